#!/usr/bin/env python3
"""Measures a step of `symopt.Optimizer` beside NumPy written out.

benchmark.py [PROGRAM...]    with an installed symopt
"""

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


def main() -> None:
    print(f"{'program':<8} {'parameters':>10} {'symopt':>10} {'one thread':>10} {'NumPy':>10}")
    for name in sys.argv[1:] or ["lion", "adamw"]:
        for size in (1 << 16, 1 << 20):
            w, g = np.ones(size, np.float32), np.full(size, 0.5, np.float32)
            m, v = np.zeros_like(w), np.zeros_like(w)
            times = []
            for threads in ("auto", "one"):
                optimizer = symopt.Optimizer(name, w.copy(), threads=threads)
                times.append(fastest(lambda optimizer=optimizer: optimizer.step(g)))
            if name == "lion":
                times.append(fastest(lambda: numpy_lion(w, m, g, 1e-4, 0.9, 0.99, 0.1)))
            elif name == "adamw":
                times.append(
                    fastest(lambda: numpy_adamw(w, m, v, g, 5, 1e-3, 0.9, 0.999, 1e-8, 0.1))
                )
            row = "".join(f" {1e6 * t:>7.1f} µs" for t in times)
            print(f"{name:<8} {size:>10}{row}")


if __name__ == "__main__":
    main()
