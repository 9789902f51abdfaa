"""Who makes the runs of a search does not show in it, and what goes wrong is one run's."""

import concurrent.futures
import importlib.util
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import symopt

sys.path.insert(0, os.path.dirname(__file__))
from runs import OPTIONS, executor_named, fails, outcome, rows, slow_train, soonest, train  # noqa: E402

NAMES = ["processes", "threads", "thread pool", "pool"]
if importlib.util.find_spec("ray"):
    NAMES.append("ray")


def left_since(before: set[threading.Thread]) -> list[threading.Thread]:
    """Threads that were not there before: one that hangs in another test stays."""
    return [t for t in threading.enumerate() if t.name.startswith("symopt") and t not in before]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    study = symopt.Study(tmp_path_factory.mktemp("whole") / "store", task=train, **OPTIONS)
    study.search(programs=40, threads=1)
    return outcome(study)


@pytest.mark.parametrize("name", NAMES)
def test_the_executor_does_not_show(name: str, tmp_path: Path, whole: tuple[Any, ...]) -> None:
    executor = executor_named(name)
    study = symopt.Study(tmp_path / "store", task=train, **OPTIONS)
    study.search(programs=15, executor=executor)
    # Another one goes on, and then this one again.
    study.search(programs=25, executor="threads", threads=1)
    found = study.search(programs=40, executor=executor)
    assert outcome(study) == whole and found.generated == 40
    if isinstance(executor, concurrent.futures.Executor):
        executor.shutdown()


@pytest.mark.parametrize("name", NAMES[1:])
def test_searches_are_killed_and_end_as_if_they_never_were(
    name: str, tmp_path: Path, whole: tuple[Any, ...]
) -> None:
    script = os.path.join(os.path.dirname(__file__), "runs.py")
    words = [sys.executable, script, str(tmp_path / "store"), "40", name]
    for kill in range(3):
        with subprocess.Popen(
            words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as process:
            try:
                process.wait(1 + 0.2 * kill + 3 * (name == "ray"))
            except subprocess.TimeoutExpired:
                process.kill()
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # A script's function is the module's in another command.
    assert outcome(symopt.Study(tmp_path / "store")) == whole


@pytest.mark.parametrize("kind", ["raises", "garbage", "dies", "hangs"])
def test_what_goes_wrong_is_a_failure_of_its_program(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")

    # A closure, as functions of notebooks are: only this process has it.
    def broken(make_optimizer: Any, seed: int, budget: Any, report: Any) -> Any:
        if fails(make_optimizer):
            if kind == "raises":
                # Reports before the end count: some programs are hopeless by then.
                report(5, loss=1.0 + 10.0 * (make_optimizer.hash[0] in "01234567"))
                raise ValueError("no")
            if kind == "dies":
                os._exit(3)
            if kind == "hangs":
                time.sleep(600)
            return "low"
        return train(make_optimizer, seed, budget, report)

    broken.__module__ = "__main__"
    limits: dict[str, Any] = {"task_tune": 0, "task_seconds": 1, "task_startup_seconds": 1}
    found = {}
    for name in NAMES:
        if (kind, name) in {
            # These would end, or keep, this process.
            ("dies", "threads"),
            ("dies", "thread pool"),
            ("hangs", "thread pool"),
        }:
            continue
        executor = executor_named(name)
        # A pool that was replaced starts its processes anew.
        startup = {"processes": 30, "pool": 4}.get(name, 1)
        times = {**limits, "task_startup_seconds": startup}
        study = symopt.Study(tmp_path / name, task=broken, **{**OPTIONS, **times})
        result = study.search(programs=14, executor=executor, threads=2)
        found[name] = (result.generated, result.evaluated, rows(study.hall_of_fame))
        if isinstance(executor, concurrent.futures.Executor):
            executor.shutdown(wait=False)
        failures = subprocess.run(
            [sys.executable, "-m", "symopt", "top", str(tmp_path / name), "--all", "--json"],
            capture_output=True,
            text=True,
        )
        assert "failed" in failures.stdout or failures.returncode != 0
    if kind in ("raises", "garbage"):
        # Whoever tells it himself tells the same.
        with symopt.Study(tmp_path / "told", **{**OPTIONS, **limits}) as study:
            while trials := study.ask(4, programs=14):
                for trial in trials:
                    study.tell(trial, trial.run(broken))
            assert study.result is not None
            counts = (study.result.generated, study.result.evaluated)
            found["told"] = (*counts, rows(study.hall_of_fame))
    assert len(set(map(repr, found.values()))) == 1, found


HANGS = """
import concurrent.futures, multiprocessing, sys, threading, time
import symopt
from runs import OPTIONS, fails, train

def hanging(make_optimizer, seed, budget, report):
    while fails(make_optimizer):
        time.sleep(60)
    return train(make_optimizer, seed, budget, report)

if __name__ == "__main__":
    pool = concurrent.futures.ProcessPoolExecutor(
        2, mp_context=multiprocessing.get_context("spawn")
    )
    limits = {"task_tune": 0, "task_seconds": 1, "task_startup_seconds": 4}
    study = symopt.Study(sys.argv[1], task=hanging, **{**OPTIONS, **limits})
    late = [0]

    def stop(progress):
        late[0] += 1
        if sys.argv[2] == "callback" and late[0] > 2:
            raise KeyboardInterrupt

    try:
        print(study.search(programs=8, executor=pool, callbacks=[stop]).generated)
    except KeyboardInterrupt:
        print("stopped")
    time.sleep(0.2)
    assert not [t for t in threading.enumerate() if t.name == "symopt"]
"""


@pytest.mark.parametrize("how", ["to the end", "callback"])
def test_what_hangs_in_a_pool_does_not_keep_python_from_its_exit(how: str, tmp_path: Path) -> None:
    # In a file: a process that pool starts imports it.
    (tmp_path / "hangs.py").write_text(HANGS)
    path = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(tmp_path / "hangs.py"), str(tmp_path / "store"), how],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout) == (0, "8\n" if how == "to the end" else "stopped\n"), (
        done.stderr
    )


def test_runs_that_wait_in_a_pool_have_not_begun(tmp_path: Path) -> None:
    # Each takes more than half of the time limit, and all together more than that.
    options = {"task_tune": 0, "task_seeds": 1, "task_seconds": 2, "task_startup_seconds": 1}
    study = symopt.Study(tmp_path / "store", task=slow_train, **{**OPTIONS, **options})
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(exec, "import numpy, symopt.task").result()
        study.search(programs=4, executor=pool, threads=4)
    top = subprocess.run(
        [sys.executable, "-m", "symopt", "top", str(tmp_path / "store"), "--all", "--json"],
        capture_output=True,
        text=True,
    )
    assert json.loads(top.stdout) and '"failed"' not in top.stdout


def test_functions_that_cannot_be_given_away_say_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = threading.Lock()

    def locked(make_optimizer: Any, seed: int, budget: Any, report: Any) -> float:
        with lock:
            return train(make_optimizer, seed, budget, report)

    study = symopt.Study(tmp_path / "store", task=locked, **OPTIONS)
    with pytest.raises(symopt.InputError, match='executor="threads"'):
        study.search(programs=5)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(symopt.InputError, match="install cloudpickle"):
        study.search(programs=5)
    assert study.search(programs=5, executor="threads").generated == 5
    with pytest.raises(symopt.InputError, match="no"):
        symopt.Study(tmp_path / "quick", "smoke").search(programs=5, executor="threads")
    with pytest.raises(symopt.InputError, match="should be 'processes', 'threads'"):
        study.search(programs=6, executor="cluster")  # type: ignore[arg-type]
    # The command line says who goes on with it.
    done = subprocess.run(
        [sys.executable, "-m", "symopt", "resume", str(tmp_path / "store"), "--programs", "9"],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and "symopt.Study(STORE, task=" in done.stderr


def test_training_that_fails_with_adamw_ends_the_search(tmp_path: Path) -> None:
    def wrong(make_optimizer: Any, seed: int, budget: Any, report: Any) -> float:
        raise KeyError("data")

    before = set(threading.enumerate())
    study = symopt.Study(tmp_path / "store", task=wrong, **OPTIONS)
    with pytest.raises(symopt.SymoptError, match="KeyError: 'data'"):
        study.search(programs=5, executor="threads")
    assert not left_since(before)


def slow(make_optimizer: Any, seed: int, budget: Any, report: Any) -> float:
    """Takes longer than any test."""
    for step in range(1, 20_000):
        time.sleep(0.005)
        report.due(step, 20_000)
    return 1.0


@pytest.mark.parametrize("name", NAMES[:4])
def test_an_interrupt_ends_runs_soon(name: str, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    study = symopt.Study(tmp_path / "store", task=slow, **{**OPTIONS, "task_tune": 0})
    executor = executor_named(name)
    after = 0.4 if name.startswith("thread") else 1.5
    seconds = soonest(lambda: study.search(programs=5, executor=executor, threads=2), after=after)
    assert seconds < 0.1
    time.sleep(0.3)
    assert not [thread for thread in left_since(before) if thread.name != "symopt watch"]
    if isinstance(executor, concurrent.futures.ProcessPoolExecutor):
        processes = list(executor._processes.values())
        executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()
