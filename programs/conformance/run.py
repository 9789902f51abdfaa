"""Runs exported optimizers under the conformance suite of symopt.

    PYTHON run.py DIRECTORY TARGET...

DIRECTORY holds `inputs.json`, `expected/PROGRAM.json` and `exports/TARGET/PROGRAM.*`, as `symopt conformance` writes them. For each target the
module `targets/TARGET.py` beside this file says in `VARIANTS` how to run a file: a function for each way that the target has (eager, compiled,
and so on). A line of JSON is printed for each variant, program and case:

    {"engine":"numpy","version":"numpy 2.4.6","program":"lion","case":"plain","deviation":0.0,"gap":1.2e-07,"mismatches":0,"same_bits":true}
    {"engine":"numpy","version":"numpy 2.4.6","program":"lion","case":"plain","error":"..."}

deviation: the largest distance from the reference in f32 after the last step, over the weights and over each slot, as a share of the largest
number there; gap: the same of the reference in f64; mismatches: places where one of the two is not finite and the other one is something else;
same_bits: every bit is the reference's, but that all NaN count as one.
"""

import importlib
import json
import sys
import traceback
from importlib import metadata
from pathlib import Path

import numpy as np


# What each target runs on.
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
    return ", ".join(f"{package} {metadata.version(package)}" for package in PACKAGES.get(target, []))


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


def compare(weights, slots, case, shapes):
    trees = [(flat(weights), "weights", None)]
    trees += [(flat(slots[name]), "slots", name) for name in case["f32"]["slots"]]
    result = {"deviation": 0.0, "gap": 0.0, "mismatches": 0, "same_bits": True}
    for found, key, name in trees:
        single, double = (case[kind][key] if name is None else case[kind][key][name] for kind in ("f32", "f64"))
        single, double = flat(floats(single, shapes, 8)), flat(floats(double, shapes, 16))
        deviation, mismatches = distance(found, single)
        gap, _ = distance(single, double)
        result["deviation"] = max(result["deviation"], deviation)
        result["gap"] = max(result["gap"], gap)
        result["mismatches"] += mismatches
        result["same_bits"] = result["same_bits"] and same_bits(found, single)
    return result


def main(directory, targets):
    directory = Path(directory)
    inputs = json.loads((directory / "inputs.json").read_text())
    shapes = [tuple(shape) for shape in inputs["shapes"]]
    given = {case["name"]: case for case in inputs["cases"]}
    sys.path.insert(0, str(Path(__file__).parent))

    def say(**what):
        print(json.dumps(what), flush=True)

    for target in targets:
        files = sorted((directory / "exports" / target).glob("*"))
        try:
            module = importlib.import_module(f"targets.{target}")
        except ImportError as error:
            say(engine=target, version="", program="", case="", error=f"can't be imported: {error}")
            continue
        for engine, run in module.VARIANTS.items():
            for file in files:
                expected = json.loads((directory / "expected" / f"{file.stem}.json").read_text())
                for case in expected["cases"]:
                    head = dict(engine=engine, version=version(target), program=expected["program"], case=case["case"])
                    data = given[case["case"]]
                    weights = floats(data["weights"], shapes, 8)
                    gradients = [floats(step, shapes, 8) for step in data["gradients"]]
                    try:
                        found = run(file, weights, gradients, case["learning_rates"], case["hyperparameters"])
                    except Exception as error:  # A program that fails must not hide how the others did.
                        place = traceback.extract_tb(error.__traceback__)[-1]
                        say(**head, error=f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})")
                        continue
                    say(**head, **compare(*found, case, shapes))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
