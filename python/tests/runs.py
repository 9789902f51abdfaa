"""Trainings for the tests of searches, as a script too: `runs.py STORE PROGRAMS EXECUTOR`."""

import concurrent.futures
import multiprocessing
import sys
from typing import Any

import numpy as np

import symopt

OPTIONS: dict[str, Any] = {
    "task_export": "program",
    "task_tune": 6,
    "task_seeds": 2,
    "population": 8,
    "settings": {"evolution": {"lag": 8}},
}
KEPT = {symopt.Program(name).hash for name in ("adamw", "adamw-paper")}


def train(make_optimizer: Any, seed: int, budget: Any, report: Any) -> float:
    """A program on a parabola whose middle the seed moves."""
    middle = np.float32(1 + seed % 7)
    weights = np.zeros(3, np.float32)
    optimizer = symopt.Optimizer(make_optimizer.program, weights, lr=make_optimizer.peak_lr)
    for step in range(1, 21):
        optimizer.step(weights - middle)
        if report.due(step, 20):
            report(step, loss=float(np.square(weights - middle, dtype=np.float64).mean()))
    return float(np.square(weights - middle, dtype=np.float64).mean())


def fails(make_optimizer: Any) -> bool:
    """Whether a program is one of the half that fails where some should."""
    return make_optimizer.hash not in KEPT and make_optimizer.hash[-1] in "01234567"


def executor_named(name: str) -> Any:
    """An executor of two workers."""
    if name == "pool":
        context = multiprocessing.get_context("spawn")
        return concurrent.futures.ProcessPoolExecutor(2, mp_context=context)
    if name == "thread pool":
        return concurrent.futures.ThreadPoolExecutor(2)
    if name == "ray":
        import symopt.ray

        return symopt.ray.Executor(2)
    return name


if __name__ == "__main__":
    store, programs, name = sys.argv[1:]
    chosen = executor_named(name)
    study = symopt.Study(store, task=train, **OPTIONS)
    study.search(programs=int(programs), executor=chosen, threads=2)
    if isinstance(chosen, concurrent.futures.Executor):
        chosen.shutdown()
