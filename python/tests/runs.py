"""Trainings for the tests of searches, as a script too: `runs.py STORE PROGRAMS EXECUTOR`."""

import concurrent.futures
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable
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


def slow_train(make_optimizer: Any, seed: int, budget: Any, report: Any) -> float:
    """The same after a while."""
    time.sleep(1.2)
    return train(make_optimizer, seed, budget, report)


def rows(table: Any) -> list[tuple[Any, ...]]:
    """The rows of a table of pandas, or of a list, in one form."""
    if hasattr(table, "to_dict"):
        import pandas

        missing = (None, pandas.NA)
        table = [
            {k: None if any(v is m for m in missing) or v != v else v for k, v in row.items()}
            for row in table.to_dict("records")
        ]
    found = [row if isinstance(row, dict) else row._asdict() for row in table]
    return [tuple(sorted(row.items(), key=lambda item: item[0])) for row in found]


def outcome(study: symopt.Study) -> tuple[Any, ...]:
    """All that a search has to say."""
    return study.best.source, rows(study.hall_of_fame), rows(study.history)


def fails(make_optimizer: Any) -> bool:
    """Whether a program is one of the half that fails where some should."""
    return make_optimizer.hash not in KEPT and make_optimizer.hash[-1] in "01234567"


def soonest(call: Callable[[], object], tries: int = 6, after: float = 0.4) -> float:
    """Seconds from Ctrl-C to the exception that ends a call: the least of some tries, since the machine
    may be busy otherwise, or of the first one within 100 ms."""
    best = float("inf")
    for _ in range(tries):
        at: list[float] = []

        def interrupt(at: list[float] = at) -> None:
            at.append(time.monotonic())
            signal.raise_signal(signal.SIGINT)

        threading.Timer(after, interrupt).start()
        try:
            call()
        except KeyboardInterrupt:
            best = min(best, time.monotonic() - at[0])
        else:
            raise AssertionError("the call ended before it was interrupted")
        if best < 0.1:
            break
    return best


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
