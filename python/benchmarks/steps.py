#!/usr/bin/env python3
"""Measures a step of `symopt.Optimizer` beside the Rust library's and NumPy written out.

steps.py [PROGRAM...]    with an installed symopt of a release build, and nothing else running

Rust is the library's compiled code on one thread and on aligned arrays, by `symopt bench`. NumPy has one
thread too: `by hand` works in place with as few temporary arrays as it can, `export` is what
`symopt export --to numpy` writes, an operation a line. The last columns are ratios: a step on one thread
to Rust's, and NumPy's by hand and as exported to a step on one thread and on as many as symopt takes by
itself. Fair beside NumPy is one thread; the others are what a user gets.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import symopt


def numpy_lion(w, m, g, lr, beta1, beta2, weight_decay):
    update = np.sign(beta1 * m + (1 - beta1) * g) + weight_decay * w
    m *= beta2
    m += (1 - beta2) * g
    w -= lr * update


def numpy_adamw(w, m, v, g, t, lr, beta1, beta2, epsilon, weight_decay):
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * g * g
    update = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
    w -= lr * (update + weight_decay * w)


def fastest(step: Callable[[], None], seconds: float = 1.0) -> float:
    """The shortest of the steps that fit into some seconds."""
    end, best = time.perf_counter() + seconds, float("inf")
    while time.perf_counter() < end:
        start = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - start)
    return best


def rust(name: str, size: int) -> float:
    """A step of the Rust library on one thread, as the command of the package measures it."""
    words = ["bench", "--program", name, "--size", str(size), "--threads", "1", "--no-c", "--json"]
    words += ["--seconds", "1"]
    command = [sys.executable, "-m", "symopt", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (cell,) = json.loads(done.stdout)["cells"]
    times = {row["engine"]: row["range"][0] for row in cell["rows"]}
    return 1e-9 * float(times.get("compiled", times["tile-machine"]))


def exported(name: str, w: np.ndarray, g: np.ndarray) -> Callable[[], None]:
    """A step of the export to NumPy."""
    program, module = symopt.Program(name), {}
    exec(program.export("numpy"), module)
    optimizer = module[program._core.entry_point("numpy")]([w.copy()])
    return lambda: optimizer.step([g])


def main() -> None:
    heads = ["one thread", "threads", "Rust", "by hand", "export"]
    ratios = ["to Rust", "hand/one", "export/one", "hand/all", "export/all"]
    print(
        f"{'program':<8} {'parameters':>10}"
        + "".join(f" {head:>13}" for head in heads)
        + "".join(f" {head:>10}" for head in ratios)
    )
    for name in sys.argv[1:] or ["lion", "adamw"]:
        for size in (1 << 16, 1 << 20):
            w, g = np.ones(size, np.float32), np.full(size, 0.5, np.float32)
            m, v = np.zeros_like(w), np.zeros_like(w)
            times = []
            for threads in ("one", "auto"):
                optimizer = symopt.Optimizer(name, w.copy(), threads=threads)
                times.append(fastest(lambda optimizer=optimizer: optimizer.step(g)))
            times.append(rust(name, size))
            by_hand = {
                "lion": lambda: numpy_lion(w, m, g, 1e-4, 0.9, 0.99, 0.1),
                "adamw": lambda: numpy_adamw(w, m, v, g, 5, 1e-3, 0.9, 0.999, 1e-8, 0.1),
            }
            times.append(fastest(by_hand[name]) if name in by_hand else float("nan"))
            times.append(fastest(exported(name, w, g)))
            one, all_, rusts, hand, export = times
            row = "".join(f" {1e6 * t:>10.1f} µs" for t in times)
            found = [one / rusts, hand / one, export / one, hand / all_, export / all_]
            print(f"{name:<8} {size:>10}{row}" + "".join(f" {ratio:>9.2f}x" for ratio in found))


if __name__ == "__main__":
    main()
