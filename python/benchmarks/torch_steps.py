#!/usr/bin/env python3
"""Measures a step of a class of `symopt.torch` beside that of the exported file, in turns.

torch_steps.py [PROGRAM...]    with an installed symopt and PyTorch

The last column is the ratio of the medians, which should be 1.
"""

import runpy
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import symopt
import symopt.torch


def optimizer_of(cls: Any, sizes: list[int]) -> torch.optim.Optimizer:
    """An optimizer with gradients, after a step."""
    params = [torch.nn.Parameter(torch.ones(size)) for size in sizes]
    for param in params:
        param.grad = torch.full_like(param, 0.5)
    made: torch.optim.Optimizer = cls(params)
    made.step()
    return made


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'program':<8} {'arrays':>12} {'in memory':>12} {'file':>12} {'ratio':>7}")
    for name in sys.argv[1:] or ["lion", "adamw"]:
        program = symopt.Program(name)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"exported_{program.hash}.py")
            file.write_text(program.export("pytorch"))
            entry = symopt.torch.optimizer_class(program)
            exported = runpy.run_path(str(file))[entry.__name__]
            for sizes in ([64] * 50, [1 << 16], [1 << 20]):
                pair = [optimizer_of(cls, sizes) for cls in (entry, exported)]
                times: list[list[float]] = [[], []]
                end = time.perf_counter() + 2
                while time.perf_counter() < end:
                    for made, found in zip(pair, times, strict=True):
                        start = time.perf_counter()
                        made.step()
                        found.append(time.perf_counter() - start)
                ours, theirs = map(statistics.median, times)
                arrays = f"{len(sizes)} x {sizes[0]}"
                print(
                    f"{name:<8} {arrays:>12} {1e6 * ours:>9.1f} µs {1e6 * theirs:>9.1f} µs"
                    f" {ours / theirs:>7.3f}"
                )


if __name__ == "__main__":
    main()
