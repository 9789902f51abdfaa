"""Exported Lion against recorded trajectories of the published implementations.

    python golden_lion.py LION_OFFICIAL.JSON TARGET=FILE...

LION_OFFICIAL.JSON is programs/tests/golden/lion_official.json, which says in `formula` how its weights and gradients are made; FILE is what
`symopt export lion --to TARGET` wrote. A line for each way to run a target, case and published implementation: how many weights differ from the
recorded ones after the recorded steps, and how far. The status is 1 if a bit differs where the roundings are those of the published
implementation, or if an export is too far away elsewhere.
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np

MASK = (1 << 32) - 1

# How far an export that rounds otherwise may be, as a share of the largest weight: half a unit in the last place for each of 50 steps.
FARTHEST = 50 / (1 << 24)


def lowbias32(x):
    x &= MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
    return x ^ (x >> 16)


def unit(seed, i):
    return np.float32(lowbias32(seed * 0x9E3779B9 + i) >> 8) / np.float32(1 << 23) - np.float32(1)


def gradient(seed, step, i):
    place = 257 * step + i
    if lowbias32(place + 77 * seed) % 16 == 0 or i % 64 == 0:
        return np.float32(0)
    return unit(seed + 1, place) * np.float32(2.0) ** (-2 * (i % 9))


def floats(patterns):
    return np.array(patterns, dtype=np.uint32).view(np.float32)


def rounds_otherwise(engine, published, case):
    """With decay PyTorch's published Lion multiplies the weights first, and XLA contracts products and sums."""
    return case["weight_decay"] != 0 and (published == "torch" or engine == "optax jit")


def check(engine, run, file, name, case):
    """Whether a way to run an export is as near to the recorded weights of a case as it must be."""
    seed, steps = case["seed"], case["steps"]
    weights = np.array([unit(seed, i) for i in range(257)], dtype=np.float32)
    gradients = [
        [np.array([gradient(seed, step, i) for i in range(257)], dtype=np.float32)]
        for step in range(steps)
    ]
    rates = [float(rate) for rate in floats(case["lr_bits"])]
    hyperparameters = {key: case[key] for key in ("beta1", "beta2", "weight_decay")}
    recorded_steps = sorted({int(key[4:]) for steps in case["impl"].values() for key in steps})
    found = {
        step: run(file, [weights.copy()], gradients[:step], rates[:step], hyperparameters)[0][0]
        for step in recorded_steps
    }
    passed = True
    for published, recorded in case["impl"].items():
        differing, farthest = 0, 0.0
        for key, bits in recorded.items():
            own, expected = found[int(key[4:])], floats(bits["w_bits"])
            differing += int((own.view(np.uint32) != expected.view(np.uint32)).sum())
            farthest = max(farthest, float(np.abs(own - expected).max() / np.abs(expected).max()))
        good = farthest <= FARTHEST if rounds_otherwise(engine, published, case) else differing == 0
        passed = passed and good
        verdict = "" if good else ": WRONG"
        print(
            f"{engine}, case {name}, beside {published}: {differing} of {257 * len(recorded)} differ, by {farthest:.0e} at most{verdict}"
        )
    return passed


def main(golden, pairs):
    cases = json.loads(Path(golden).read_text())["cases"]
    passed = True
    for pair in pairs:
        target, file = pair.split("=", 1)
        module = importlib.import_module(f"targets.{target}")
        for engine, run in module.VARIANTS.items():
            # The plain file has its numbers under the names of torch; `pytorch_plain.py` holds its bits against the full file's.
            if engine == "pytorch plain":
                continue
            for name, case in cases.items():
                passed = check(engine, run, Path(file), name, case) and passed
    return 0 if passed and pairs else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
