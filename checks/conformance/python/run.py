"""Runs exported optimizers under the conformance suite of symopt.

    PYTHON run.py DIRECTORY TARGET... [--program NAME]... [--without VARIANT]...

DIRECTORY holds `inputs.json`, `expected/PROGRAM.json` and `exports/TARGET/PROGRAM.*`, as `symopt conformance` writes them. For each target the
module `targets/TARGET.py` beside this file says in `VARIANTS` how to run a file: a function for each way that the target has (eager, compiled,
and so on). A line of JSON is printed for each variant, program and case:

    {"engine":"numpy","version":"numpy 2.4.6","program":"lion","case":"plain","deviation":0.0,"gap":1.2e-07,"mismatches":0,"same_bits":true}
    {"engine":"numpy","version":"numpy 2.4.6","program":"lion","case":"plain","error":"..."}

A variant that a program has not got gives one line instead:

    {"engine":"pytorch kernel","version":"torch 2.15.0","program":"lamb","cannot":"..."}

The libraries' own Lion, which the module names in `LIONS` with the variant that it is compared with, gives lines of the same kind: there the
exported Lion is held against the library's, which `peer` names.

    {"engine":"optax","peer":"optax.lion","version":"...","program":"lion","case":"plain","deviation":0.0,...}

deviation: the largest distance from the reference in f32 after the last step, over the weights and over each slot, as a share of the largest
number there; gap: the same of the reference in f64; mismatches: places where one of the two is not finite and the other one is something else;
same_bits: every bit is the reference's, but that all NaN count as one.
"""

import argparse
import importlib
import json
import traceback
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np

from targets import Cannot

# Packages that each target runs on.
PACKAGES = {
    "numpy": ["numpy"],
    "pytorch": ["torch"],
    "optax": ["optax", "jax"],
    "praxis": ["optax", "jax"],
    "keras": ["keras", "tensorflow", "jax", "torch"],
    "tf2": ["tensorflow"],
    "tf1": ["tensorflow"],
}


def version(target):
    return ", ".join(
        f"{package} {metadata.version(package)}" for package in PACKAGES.get(target, [])
    )


def floats(patterns, shapes, digits):
    """Arrays from hexadecimal bit patterns."""
    kind = {8: (np.uint32, np.float32), 16: (np.uint64, np.float64)}[digits]
    arrays = []
    for text, shape in zip(patterns, shapes, strict=True):
        bits = [int(text[at : at + digits], 16) for at in range(0, len(text), digits)]
        arrays.append(np.array(bits, kind[0]).view(kind[1]).reshape(shape))
    return arrays


def flat(arrays):
    return np.concatenate([np.asarray(array).reshape(-1) for array in arrays])


def distance(found, expected):
    """Largest distance over largest magnitude, and how many places disagree on what is finite."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(found) & np.isfinite(expected)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
    largest = np.max(np.abs(found[finite] - expected[finite]), initial=0.0)
    return float(largest / scale) if scale > 0 else float(largest), int(np.sum(~finite & ~same))


def same_bits(found, expected):
    if found.dtype != expected.dtype:
        return False
    nan = np.isnan(expected)
    equal = found.view(np.uint32)[~nan] == expected.view(np.uint32)[~nan]
    return bool(np.all(equal) and np.all(np.isnan(found[nan])))


def expected_of(case, kind, shapes):
    """Weights and slots of a reference."""
    digits = {"f32": 8, "f64": 16}[kind]
    outcome = case[kind]
    return floats(outcome["weights"], shapes, digits), {
        name: floats(text, shapes, digits) for name, text in outcome["slots"].items()
    }


def compare(found, single, double):
    """Weights and slots beside those that they should be, and beside what f64 makes of them."""
    result = {"deviation": 0.0, "gap": 0.0, "mismatches": 0, "same_bits": True}
    for tree in [None, *single[1]]:
        own, expected, wide = (
            flat(weights if tree is None else slots[tree])
            for weights, slots in (found, single, double)
        )
        deviation, mismatches = distance(own, expected)
        gap, _ = distance(expected, wide)
        result["deviation"] = max(result["deviation"], deviation)
        result["gap"] = max(result["gap"], gap)
        result["mismatches"] += mismatches
        result["same_bits"] = result["same_bits"] and same_bits(own, expected)
    return result


def say(**what):
    print(json.dumps(what), flush=True)


class Suite:
    """The suite in a directory."""

    def __init__(self, directory):
        self.directory = directory
        inputs = json.loads((directory / "inputs.json").read_text())
        self.shapes = [tuple(shape) for shape in inputs["shapes"]]
        self.cases = {case["name"]: case for case in inputs["cases"]}

    def shapes_of(self, case):
        """The shapes of a case's arrays."""
        own = self.cases[case["case"]].get("shapes")
        return self.shapes if own is None else [tuple(shape) for shape in own]

    def settings(self, case):
        """What a variant is given to run a case."""
        data, shapes = self.cases[case["case"]], self.shapes_of(case)
        gradients = [floats(step, shapes, 8) for step in data["gradients"]]
        return (
            floats(data["weights"], shapes, 8),
            gradients,
            case["learning_rates"],
            case["hyperparameters"],
        )

    def run(self, engine, target, run, file, lion):
        """What there is to say of a variant on a file; `lion` is the library's own Lion, its name and how it is run."""
        said = []
        expected = json.loads((self.directory / "expected" / f"{file.stem}.json").read_text())
        of_program = dict(engine=engine, version=version(target), program=expected["program"])
        for case in expected["cases"]:
            head = dict(of_program, case=case["case"])
            single, double = (
                expected_of(case, kind, self.shapes_of(case)) for kind in ("f32", "f64")
            )
            try:
                found = run(file, *self.settings(case))
                said.append(head | compare(found, single, double))
                if lion and expected["program"] == "lion":
                    head["peer"], run_lion = lion
                    said.append(head | compare(found, run_lion(*self.settings(case)), double))
            except Cannot as reason:
                return [*said, of_program | {"cannot": str(reason)}]
            except Exception as error:  # A program that fails must not hide how the others did.
                place = traceback.extract_tb(error.__traceback__)[-1]
                message = (
                    f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
                )
                said.append(head | {"error": message})
        return said


def main(directory, targets, programs, without):
    suite = Suite(directory)
    for target in targets:
        try:
            module = importlib.import_module(f"targets.{target}")
        except ImportError as error:
            say(engine=target, version="", program="", case="", error=f"can't be imported: {error}")
            continue
        lions = getattr(module, "LIONS", {})
        files = [
            file
            for file in sorted((directory / "exports" / target).glob("*"))
            if not programs or file.stem in programs
        ]

        # Targets that compile do so for all programs at once.
        getattr(module, "prepare", lambda _: None)(files)

        def run_all(engine):
            return [
                line
                for file in files
                for line in suite.run(
                    engine, target, module.VARIANTS[engine], file, lions.get(engine)
                )
            ]

        engines = [engine for engine in module.VARIANTS if engine not in without]
        # Libraries keep things by thread, so only what runs in processes of its own is run by several threads.
        with ThreadPoolExecutor() as pool:
            for lines in (pool.map if getattr(module, "PROCESSES", False) else map)(
                run_all, engines
            ):
                for line in lines:
                    say(**line)


def arguments():
    parser = argparse.ArgumentParser(
        description="Runs exported optimizers under the conformance suite of symopt."
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("target", nargs="+")
    parser.add_argument("--program", action="append", default=[], metavar="NAME")
    parser.add_argument("--without", action="append", default=[], metavar="VARIANT")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    main(given.directory, given.target, given.program, given.without)
