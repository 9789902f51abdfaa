"""The Rust export: a module, compiled as a library with rustc and called through ctypes."""

import ctypes
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

FLAGS = ["--edition", "2024", "-C", "opt-level=3", "-C", "target-cpu=native"]


def version():
    return subprocess.run(
        ["rustc", "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()


def prototype(text):
    """The parameters of the step: the name and the type of each."""
    found = re.search(r"pub fn step\(([^)]*)\) \{", text)
    parameters = [parameter.split(":") for parameter in found[1].split(",") if parameter.strip()]
    return [(name.strip(), kind.strip()) for name, kind in parameters]


def shim(path, parameters, fields, function="run"):
    """A module with the exported one in it, and a function that takes pointers."""
    declared, lines, passed = ["arrays: usize", "lengths: *const usize"], [], []
    of_lists = any("&[&[f32]]" in kind or "&mut [&mut [f32]]" in kind for _, kind in parameters)
    places = []
    for place, (name, kind) in enumerate(parameters):
        if "f32" in kind:
            mutable = "mut" in kind
            pointer, make = (
                ("*mut f32", "from_raw_parts_mut") if mutable else ("*const f32", "from_raw_parts")
            )
            declared.append(f"p{place}: *const {pointer}")
            item = f"std::slice::{make}(*p{place}.add(k), *lengths.add(k))"
            if of_lists:
                lines.append(
                    f"let {'mut ' if mutable else ''}a{place}: Vec<_> = (0..arrays).map(|k| unsafe {{ {item} }}).collect();"
                )
                passed.append(f"&{'mut ' if mutable else ''}a{place}")
            else:
                places.append(f"let a{place} = unsafe {{ {item} }};")
                passed.append(f"a{place}")
        elif "Hyperparameters" in kind:
            declared.append("values: *const f64")
            lines.append("let mut hyperparameters = exported::Hyperparameters::default();")
            for index, field in enumerate(fields):
                # NaN stands for a default.
                value = f"unsafe {{ *values.add({index}) }}"
                lines.append(f"if !{value}.is_nan() {{ hyperparameters.{field} = {value}; }}")
            passed.append("&hyperparameters")
        else:
            declared.append(f"p{place}: f64")
            passed.append(f"p{place} as {kind}")
    call = f"exported::step({', '.join(passed)});"
    if not of_lists:
        call = f"for k in 0..arrays {{ {' '.join(places)} {call} }}"
    head = (
        f'pub mod module_{function} {{\n#[path = "{path}"]\nmod exported;\n#[unsafe(no_mangle)]\n'
    )
    return (
        f'{head}pub unsafe extern "C" fn {function}({", ".join(declared)}) {{\n'
        + "\n".join([*lines, call])
        + "\n}\n}\n"
    )


@cache
def interface(path):
    """The parameters of the step and the fields of the hyperparameters."""
    text = Path(path).read_text()
    fields = re.search(r"pub struct Hyperparameters \{\n(.*?)\n\}", text, re.DOTALL)
    return prototype(text), re.findall(r"pub (\w+): f64", fields[1]) if fields else []


def compiled(shims):
    """The library of a crate."""
    folder = Path(tempfile.mkdtemp(prefix="symopt-rust-"))
    (folder / "shim.rs").write_text("".join(shims))
    command = [
        "rustc",
        *FLAGS,
        "--crate-type",
        "cdylib",
        str(folder / "shim.rs"),
        "-o",
        str(folder / "shim.so"),
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
        library = compiled(
            [shim(path, *interface(path), f"run{index}") for index, path in enumerate(paths)]
        )
    except RuntimeError:
        return
    TOGETHER.update((path, library[f"run{index}"]) for index, path in enumerate(paths))


@cache
def library(path):
    step = TOGETHER.get(path) or compiled([shim(path, *interface(path))])["run"]
    return step, *interface(path)


def run(path, weights, gradients, learning_rates, hyperparameters):
    step, parameters, fields = library(str(Path(path).resolve()))
    weights = [np.array(array, np.float32, order="C") for array in weights]
    names = [name.lstrip("_") for name, kind in parameters if "f32" in kind]
    slots = {name: [np.zeros_like(array) for array in weights] for name in names[2:]}
    values = (ctypes.c_double * max(len(fields), 1))(
        *[hyperparameters.get(field, float("nan")) for field in fields]
    )
    lengths = (ctypes.c_size_t * len(weights))(*[array.size for array in weights])
    for number, gradient in enumerate(gradients):
        gradient = [np.array(array, np.float32, order="C") for array in gradient]
        trees = [weights, gradient, *slots.values()]
        pointers = [
            (ctypes.c_void_p * len(tree))(*[array.ctypes.data for array in tree]) for tree in trees
        ]
        tail = []
        for _, kind in parameters[len(trees) :]:
            if kind == "f64":
                tail.append(ctypes.c_double(learning_rates[number]))
            elif kind == "u64":
                tail.append(ctypes.c_double(number + 1))
            else:
                tail.append(values)
        step(ctypes.c_size_t(len(weights)), lengths, *pointers, *tail)
    return weights, slots


VARIANTS = {"rust": run}
