"""The conformance suite through the package.

    conformance.py SUITE [--only ENGINE] [PROGRAM...]    SUITE is checks/conformance/python

`symopt.Optimizer` must have the bits of the reference, for all programs. `symopt.torch`,
`symopt.optax` and `symopt.keras` must have those of the exported files, which `symopt conformance`
holds against the reference: for the programs that are named, or for all. `--only symopt.keras` has
one of these alone, and the environment variable KERAS_BACKEND says on which backend (jax).
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np

import symopt
from symopt import _made


def on_arrays(
    name: str, weights: Any, gradients: Any, rates: Any, hyperparameters: Any
) -> tuple[list[Any], dict[str, list[Any]]]:
    """By `symopt.Optimizer`."""
    program = symopt.Program(name)
    arrays = [np.ascontiguousarray(array) for array in weights]
    first = {} if rates is None else {"lr": rates[0]}
    optimizer = symopt.Optimizer(program, arrays, **first, **hyperparameters)
    for index, step in enumerate(gradients):
        lr = 1.0 if rates is None else rates[index]
        optimizer.step([np.ascontiguousarray(array) for array in step], lr=lr)
    slots = {slot: list(found.values()) for slot, found in optimizer.slots.items()}
    return arrays, slots


def variants(folder: Path) -> dict[str, tuple[Any, Any]]:
    """How each module is run on a program, and how its exported file is."""
    pytorch, optax, keras = (
        importlib.import_module(f"targets.{name}") for name in ("pytorch", "optax", "keras")
    )
    import symopt.keras
    import symopt.optax
    import symopt.torch

    def pair(target: str, run: Any, module: Any, **others: Any) -> tuple[Any, Any]:
        """A run by the package, with functions of the module in place of its own; and by a file."""

        def ours(name: str, *settings: Any) -> Any:
            kept = {key: getattr(module, key) for key in others}
            vars(module).update(others)
            try:
                return run(name, *settings)
            finally:
                vars(module).update(kept)

        def theirs(name: str, *settings: Any) -> Any:
            file = folder / target / f"{name}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(symopt.Program(name).export(target))
            return run(file, *settings)

        return ours, theirs

    def torch_load(name: str) -> tuple[ModuleType, Any]:
        return _made.module(symopt.Program(name), "pytorch"), symopt.torch.optimizer_class(name)

    def transform(name: str) -> Any:
        return lambda **given: symopt.optax.transform(name, **given)

    def same(name: str) -> str:
        return name

    by_torch = {"load": torch_load}
    return {
        "symopt.torch": pair("pytorch", pytorch.run, pytorch, **by_torch),
        "symopt.torch foreach": pair("pytorch", pytorch.run_foreach, pytorch, **by_torch),
        "symopt.optax": pair("optax", optax.run_compiled, optax, load=same, factory=transform),
        "symopt.keras": pair(
            "keras",
            keras.train,
            keras,
            load=same,
            optimizer_class=symopt.keras.optimizer_class,
        ),
    }


def main(folder: str, only: str | None, names: list[str]) -> int:
    sys.path.insert(0, folder)
    runner = importlib.import_module("run")
    suite, bad, count = runner.Suite(Path(folder)), 0, 0

    def same(a: Any, b: Any) -> bool:
        # Counts of steps are whole numbers.
        is_float = a.dtype == np.float32
        return runner.same_bits(a, b) if is_float else a.dtype == b.dtype and (a == b).all()

    def differs(engine: str, name: str, case: Any, ours: Any, theirs: Any) -> None:
        nonlocal bad, count
        count += 1
        pairs = [(ours[0], theirs[0]), *((ours[1][slot], theirs[1][slot]) for slot in theirs[1])]
        equal = set(ours[1]) >= set(theirs[1]) and all(
            same(runner.flat(a), runner.flat(b)) for a, b in pairs
        )
        if not equal:
            bad += 1
            print(f"{engine}: {name}, case {case['case']}: other bits", flush=True)

    files = [json.loads(file.read_text()) for file in Path(folder, "expected").glob("*.json")]
    for expected in files if only in (None, "symopt.Optimizer") else []:
        for case in expected["cases"]:
            reference = runner.expected_of(case, "f32", suite.shapes_of(case))
            found = on_arrays(expected["program"], *suite.settings(case))
            differs("symopt.Optimizer", expected["program"], case, found, reference)
    with tempfile.TemporaryDirectory() as exports:
        for engine, (ours, theirs) in variants(Path(exports)).items():
            if only not in (None, engine):
                continue
            for expected in files:
                name = expected["program"]
                if names and name not in names:
                    continue
                for case in expected["cases"]:
                    settings = suite.settings(case)
                    differs(engine, name, case, ours(name, *settings), theirs(name, *settings))
    print(f"{count} cases, {bad} bad")
    return int(bad > 0 or count == 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("suite")
    parser.add_argument("programs", nargs="*")
    parser.add_argument("--only")
    arguments = parser.parse_intermixed_args()
    sys.exit(main(arguments.suite, arguments.only, arguments.programs))
