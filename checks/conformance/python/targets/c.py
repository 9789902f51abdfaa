"""The C export: a header, compiled as a library with the C compiler that CC names (`cc` without it) and called through ctypes.

The compiler may use fused multiply-adds (`-O3 -march=native`): the header has to keep it from that.
"""

import ctypes
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

COMPILER = os.environ.get("CC", "cc")
FLAGS = ["-std=gnu11", "-O3", "-march=native", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def version():
    first = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True)
    return first.stdout.splitlines()[0]


def prototype(text):
    """The program's name and the parameters of its step: the type and the name of each."""
    found = re.search(r"static inline void (\w+)_step\(([^)]*)\) \{", text)
    parameters = [parameter.split() for parameter in found[2].split(",")]
    return found[1], [(" ".join(words[:-1]), words[-1]) for words in parameters]


@cache
def interface(path):
    """The program's name, the parameters of the step and the fields of the hyperparameters."""
    text = Path(path).read_text()
    name, parameters = prototype(text)
    fields = re.search(
        r"typedef struct \{\n((?:  double \w+;[^\n]*\n)+)\} " + name + "_hyperparameters;", text
    )
    return name, parameters, re.findall(r"double (\w+);", fields[1]) if fields else []


def shim(path, function="run"):
    """A function that takes pointers."""
    name, parameters, fields = interface(path)
    declared, passed = [], []
    for kind, word in parameters:
        kind = re.sub(r"\*\w+_RESTRICT", "*", kind)
        if "hyperparameters" in kind:
            declared.append("const double *values")
            passed.append("hyperparameters")
        else:
            stars = re.match(r"\**", word)[0]
            declared.append(f"{kind} {stars}p_{word[len(stars) :]}")
            passed.append(f"p_{word[len(stars) :]}")
    text = f'#include "{path}"\nvoid {function}({", ".join(declared)});\nvoid {function}({", ".join(declared)}) {{\n'
    if fields:
        text += f"{name}_hyperparameters hyperparameters = {name}_defaults();\n"
        text += "".join(
            f"if (values[{index}] == values[{index}]) hyperparameters.{field} = values[{index}];\n"
            for index, field in enumerate(fields)
        )
    return text + f"{name}_step({', '.join(passed)});\n}}\n"


def compiled(shims, flags):
    """The library of some functions."""
    folder = Path(tempfile.mkdtemp(prefix="symopt-c-"))
    (folder / "shim.c").write_text("".join(shims))
    command = [
        COMPILER,
        *flags,
        "-shared",
        "-fPIC",
        str(folder / "shim.c"),
        "-o",
        str(folder / "shim.so"),
        "-lm",
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode != 0:
        raise RuntimeError(built.stderr)
    return ctypes.CDLL(str(folder / "shim.so"))


# The functions of files that were compiled together.
TOGETHER = {}


def prepare(files):
    """Compiles all files as one library. If that fails, each is compiled by itself, so that the others still run."""
    paths = [str(Path(file).resolve()) for file in files]
    try:
        library = compiled([shim(path, f"run{index}") for index, path in enumerate(paths)], FLAGS)
    except RuntimeError:
        return
    TOGETHER.update((path, library[f"run{index}"]) for index, path in enumerate(paths))


@cache
def library(path, flags):
    step = (TOGETHER.get(path) if flags == tuple(FLAGS) else None) or compiled([shim(path)], flags)[
        "run"
    ]
    return step, *interface(path)[1:]


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def run(path, weights, gradients, learning_rates, hyperparameters, flags=FLAGS):
    step, parameters, fields = library(str(Path(path).resolve()), tuple(flags))
    weights = [np.array(array, np.float32, order="C") for array in weights]
    of_lists = parameters[0][1] == "arrays"
    names = [word.lstrip("*") for kind, word in parameters if "float" in kind.split()]
    slots = {name: [np.zeros_like(array) for array in weights] for name in names[2:]}
    # NaN stands for a default.
    values = (ctypes.c_double * max(len(fields), 1))(
        *[hyperparameters.get(field, float("nan")) for field in fields]
    )
    scalars = [word for kind, word in parameters if kind == "double"]
    lengths = (ctypes.c_size_t * len(weights))(*[array.size for array in weights])
    for number, gradient in enumerate(gradients):
        gradient = [np.array(array, np.float32, order="C") for array in gradient]
        trees = [weights, gradient, *slots.values()]
        # The learning rate comes before the count of the steps.
        numbers = [float(number + 1)] * len(scalars)
        if learning_rates is not None:
            numbers[0] = learning_rates[number]
        numbers = [ctypes.c_double(value) for value in numbers]
        tail = [*numbers, values] if fields else numbers
        if of_lists:
            pointers = [
                (ctypes.c_void_p * len(tree))(*[array.ctypes.data for array in tree])
                for tree in trees
            ]
            step(ctypes.c_size_t(len(weights)), *pointers, lengths, *tail)
        else:
            for index, array in enumerate(weights):
                step(*[pointer(tree[index]) for tree in trees], ctypes.c_size_t(array.size), *tail)
    return weights, slots


VARIANTS = {"c": run}
