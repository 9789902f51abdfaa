#!/usr/bin/env python3
"""Kills searches on a small PyTorch model with -9, resumes them, and compares their ends bit for bit.

kills.py [PROGRAMS] [KILLS] [EXECUTOR...]    200 programs, 5 kills, one pool ray asking

The first search, by one process, is not killed; all others must end as it does. Executors: `one`
process of symopt's own, `pool` of two processes (concurrent.futures), `threads` (one), `ray` with two
actors, and `asking`, where losses are told in another order. Needs torch, and Ray for `ray`.
"""

import concurrent.futures
import multiprocessing
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import symopt

EXECUTORS = ["one", "pool", "ray", "asking"]


def train(make_optimizer: Any, seed: int, budget: Any, report: Any) -> float:
    """A perceptron with two layers on a random function."""
    import torch

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(256, 8, generator=generator)
    targets = torch.sin(inputs @ torch.randn(8, 1, generator=generator))
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimizer = make_optimizer(model.parameters())
    for step in range(1, 41):
        rows = torch.randint(192, (32,), generator=generator)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(inputs[rows]), targets[rows]).backward()
        optimizer.step()
        if report.due(step, 40):
            with torch.no_grad():
                loss = torch.nn.functional.mse_loss(model(inputs[192:]), targets[192:]).item()
            report(step, loss=loss)
    return loss


def search(store: str, programs: int, name: str) -> None:
    """Starts the search of a store, or goes on with it."""
    study = symopt.Study(
        store,
        task=train,
        task_tune=12,
        task_seeds=2,
        population=20,
        settings={"evolution": {"lag": 16}},
    )
    if name == "asking":
        order, out = random.Random(time.time()), []
        while True:
            out += study.ask(8, programs=programs)
            if not out:
                return
            trial = out.pop(order.randrange(len(out)))
            study.tell(trial, trial.run(train))
    executor: Any = "threads" if name == "threads" else "processes"
    if name == "pool":
        context = multiprocessing.get_context("spawn")
        executor = concurrent.futures.ProcessPoolExecutor(2, mp_context=context)
    elif name == "ray":
        from symopt.ray import Executor

        executor = Executor(2)
    study.search(programs=programs, executor=executor, threads=2 if name in ("pool", "ray") else 1)
    if isinstance(executor, concurrent.futures.Executor):
        executor.shutdown()


def end(store: Path) -> tuple[Any, ...]:
    """All that a search has to say."""
    study = symopt.Study(store)
    return study.best.source, study.history, [tuple(row) for row in study.hall_of_fame]


def main() -> int:
    programs, kills = (int(word) for word in [*sys.argv[1:3], "200", "5"][:2])
    names = sys.argv[3:] or EXECUTORS
    with tempfile.TemporaryDirectory(prefix="symopt-kills-") as folder:

        def begin(name: str, store: Path) -> "subprocess.Popen[bytes]":
            words = [sys.executable, __file__, "--search", str(store), str(programs), name]
            return subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

        whole, started = Path(folder, "whole"), time.monotonic()
        if begin("one", whole).wait() != 0:
            search(str(whole), programs, "one")
        seconds = time.monotonic() - started
        print(f"one process, never killed: {seconds:.1f} s, {end(whole)[2][0][:4]}", flush=True)
        bad = 0
        for name in names:
            store, done, started = Path(folder, name), 0, time.monotonic()
            wait = 0.6 + 0.12 * seconds + 4 * (name == "ray")
            while True:
                process = begin(name, store)
                try:
                    code = process.wait(wait if done < kills else None)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    done += 1
                    continue
                break
            same = code == 0 and end(store) == end(whole)
            bad += not same
            seconds_here = time.monotonic() - started
            print(
                f"{name}: {done} kills, {seconds_here:.1f} s, "
                f"{'the same bits' if same else f'ANOTHER END (exit code {code})'}",
                flush=True,
            )
    return int(bad > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--search"]:
        search(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        sys.exit(main())
