"""Names that collide with Python's, with a framework's or with a compiled language's, in exported files that are run.

    python names_behaviour.py write DIRECTORY     writes programs whose parameters have such names
    python names_behaviour.py run DIRECTORY TARGET     runs DIRECTORY/TARGET/NAME.*

The names come from the libraries that are installed. Between the two, each program is exported to each target. It ends with status 1 if one fails.
"""

import builtins
import functools
import importlib
import keyword
import subprocess
import sys
from pathlib import Path

import numpy as np

# Functions of the language, which no variable can be called.
FUNCTIONS = set(
    "abs cos sin tan arcsin arccos arctan exp log sinh cosh tanh arcsinh arccosh arctanh sign exp2 exp10 expm1 log10 log2 log1p square sqrt cube "
    "cbrt reciprocal add subtract multiply divide power maximum max minimum min norm global_norm dot cosine_sim cosine_similarity clip "
    "clip_by_global_norm interp interpolate get_pi get_e get_eps negative copy where less less_equal greater greater_equal equal mean size "
    "transpose matmul row_mean column_mean newton_schulz rows columns pow".split()
)
# Words of C, C++ and Rust, macros, functions of math.h, and what the exported files call things.
OTHERS = (
    "int float double long short void struct union enum switch case const static extern volatile restrict register signed unsigned sizeof goto "
    "template class_ namespace new delete this virtual operator auto bool true false nullptr NULL NAN INFINITY HUGE_VAL M_PI I linux unix errno "
    "fn let mut pub impl trait match loop use mod crate super_ ref move dyn box unsafe type Some None_ Ok Err Vec String sqrtf fabsf powf expf logf "
    "copysign fabs i lane lanes length lengths start end chunk block arrays sums totals trees hyperparameters array gradient gradients weights index "
    "dtype shape variable variables pairs decays kwargs config name state params updates count mask numbers inner step steps group closure totals "
    "scratch foreach fused maximize learning_rate iterations build apply update_step assign add_variable np jnp jax optax keras ops tf torch os _x __y "
    "__class__ _dot _step _wide _norm program session graph placeholder given own store beta_1 b1 eps momentum zero zeros kept x y z t2 self cls object property"
).split()


# Prints what exported classes inherit; each in a process of its own, since not all of these libraries can be loaded together.
INHERITED = [
    """
import keras, tensorflow as tf
built = keras.optimizers.SGD()
built.build([keras.Variable([1.0])])
print(*dir(built), *dir(tf.Module()), *dir(tf.compat.v1.train.GradientDescentOptimizer(0.1)))
""",
    """
import torch
optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
print(*dir(optimizer), *vars(optimizer))
""",
]


def attributes():
    """The names that exported classes inherit, with their underscores and without."""
    said = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for code in INHERITED
    ]
    names = {name for text in said for name in text.split()}
    return names | {name.lstrip("_") for name in names}


def names():
    found = {*dir(builtins), *OTHERS, *attributes(), *keyword.softkwlist}
    return sorted(
        n
        for n in found
        if n.isidentifier()
        and not keyword.iskeyword(n)
        and n not in FUNCTIONS | {"w", "g", "t", "lr", "m0", "_"}
    )


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    all_names = names()
    parts = [all_names[at : at + 40] for at in range(0, len(all_names), 40)]
    for number, part in enumerate(parts):
        scalars = ", ".join(f"{name}=0.5" for name in part)
        total = "\n".join(f"  m0 = m0 + g * {name}" for name in part)
        text = f"def names{number}(w, g, m0, t, lr=0.1, *, {scalars}):\n{total}\n  update = m0 * lr / t\n  return update, m0\n"
        (folder / f"hyper{number}.opt").write_text(text)
        total = "\n".join(f"  {name} = {name} * 0.5 + g\n  m0 = m0 + {name}" for name in part)
        slots = ", ".join(part)
        text = f"def slots{number}(w, g, m0, {slots}, t, lr=0.1):\n{total}\n  update = m0 * lr / (1 - power(0.5, t))\n  return update, m0, {slots}\n"
        (folder / f"slots{number}.opt").write_text(text)
    for name in {
        *OTHERS,
        "any",
        "named_tuple",
        "value_error",
        "none",
        "true",
        "type_error",
        "_",
        "runtime_error",
        "lion",
    } - {
        "self",
        "cls",
    }:
        if not keyword.iskeyword(name):
            text = f"def {name}(w, g, mm, t, lr=0.1, *, bb=0.5):\n  mm = interp(g, mm, bb)\n  update = mm * lr / t + w * norm(g)\n  return update, mm\n"
            (folder / f"program_{name}.opt").write_text(text)


# How each target is run. Not all of the libraries can be loaded together, so one target is run at a time.
RUNS = {
    "keras": lambda module: functools.partial(module.run, "jax"),
    "pytorch": lambda module: next(iter(module.VARIANTS.values())),
    "praxis": lambda module: next(iter(module.VARIANTS.values())),
}


def run(folder, target):
    module = importlib.import_module(f"targets.{target}")
    step = RUNS[target](module) if target in RUNS else module.run
    weights, gradients = [np.ones(3, np.float32)], [[np.full(3, 0.25, np.float32)]] * 2
    files = sorted((folder / target).glob("*"))
    failed = 0
    for file in files:
        try:
            (found, *_), _ = step(file, [w.copy() for w in weights], gradients, [0.1, 0.1], {})
            assert np.all(np.isfinite(found)), found
        except Exception as error:
            failed += 1
            print(f"{target}/{file.name}: {type(error).__name__}: {str(error)[:300]}")
    print(f"{target}: {len(files)} files, {failed} failed")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    command, directory, *target = sys.argv[1:]
    sys.exit(write(Path(directory)) if command == "write" else run(Path(directory), *target))
