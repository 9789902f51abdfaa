"""`ask` and `tell`: the user trains, and the search is the one that trains by itself."""

import gc
import linecache
import os
import pickle
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symopt

sys.path.insert(0, os.path.dirname(__file__))
from runs import OPTIONS, outcome, soonest, train  # noqa: E402

TOLD = {**OPTIONS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    study = symopt.Study(tmp_path_factory.mktemp("whole") / "store", task=train, **OPTIONS)
    study.search(programs=40, executor="threads", threads=1)
    return outcome(study)


def test_what_is_told_in_any_order_is_the_search_itself(
    tmp_path: Path, whole: tuple[Any, ...]
) -> None:
    order = random.Random(5)
    with symopt.Study(tmp_path / "store", **TOLD) as study:
        out: list[symopt.Trial] = []
        seen = 0
        while True:
            trials = study.ask(5, programs=40)
            out += trials
            seen += len(trials)
            if not out:
                break
            trial = out.pop(order.randrange(len(out)))
            study.tell(trial, trial.run(train))
        assert outcome(study) == whole
        assert study.result is not None and study.result.stop == "programs"
        assert seen > 10
    # AdamW's tuning is a trial for each seed, and a program's evaluation one for all.
    assert not [t for t in threading.enumerate() if t.name == "symopt"]


SCRIPT = """
import os, sys, random
sys.path.insert(0, sys.argv[3])
import symopt
from runs import OPTIONS, train
order = random.Random(int(sys.argv[2]))
study = symopt.Study(sys.argv[1], **OPTIONS)
out, told = [], 0
while True:
    out += study.ask(4, programs=40)
    if not out:
        break
    trial = out.pop(order.randrange(len(out)))
    study.tell(trial, trial.run(train))
    told += 1
    if told == int(sys.argv[4]):
        import time
        time.sleep(0.3)
        os.kill(os.getpid(), 9)
"""


def test_asked_and_untold_trials_are_asked_again_after_a_kill(
    tmp_path: Path, whole: tuple[Any, ...]
) -> None:
    folder = os.path.dirname(__file__)
    words = [sys.executable, "-c", SCRIPT, str(tmp_path / "store")]
    for kill, told in enumerate((2, 9, 3, 2)):
        done = subprocess.run([*words, str(kill), folder, str(told)], capture_output=True)
        assert done.returncode == -9, done.stderr
    done = subprocess.run([*words, "9", folder, "-1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert outcome(symopt.Study(tmp_path / "store")) == whole


def test_a_search_that_is_cut_at_any_tell_ends_as_if_it_never_was(tmp_path: Path) -> None:
    order = random.Random(3)

    def told(study: symopt.Study, after: Any) -> int:
        """Tells all trials in some order, and returns how many they were."""
        out: list[symopt.Trial] = []
        count = 0
        while True:
            out += study.ask(3, programs=12)
            if not out:
                return count
            trial = out.pop(order.randrange(len(out)))
            study.tell(trial, trial.run(train))
            count += 1
            after(count)

    def cut(count: int) -> None:
        # The store as it stands is what a kill leaves.
        time.sleep(order.choice((0, 0.02)))
        if (tmp_path / "store").exists():
            shutil.copytree(tmp_path / "store", tmp_path / str(count))

    whole = symopt.Study(tmp_path / "store", **OPTIONS)
    count = told(whole, cut)
    cuts = [at for at in range(1, count + 1) if (tmp_path / str(at)).exists()]
    # The tuning of AdamW is begun anew.
    assert len(cuts) >= 5 and cuts[-1] == count
    for at in cuts:
        study = symopt.Study(tmp_path / str(at), **OPTIONS)
        assert told(study, lambda _: None) <= count
        assert outcome(study) == outcome(whole), at


def test_the_source_of_an_export_stays_when_an_equal_one_goes() -> None:
    from symopt import task

    lion = symopt.Program("lion")
    export = {"target": "numpy", "text": lion.export("numpy"), "name": "Lion"}
    request = {
        "name": "lion",
        "program": lion.source,
        "hash": lion.hash,
        "peak_lr": 0.1,
        "hyperparameters": {},
        "export": export,
    }
    make: Any = getattr(task, "Optimizer")(request)
    first, second = make.load(), make.load()
    file = second.step.__code__.co_filename
    assert first is not second and "class Lion" in "".join(linecache.getlines(file))
    del first
    gc.collect()
    assert "class Lion" in "".join(linecache.getlines(file))
    # Those that go leave nothing.
    before = len(linecache.cache)
    for _ in range(20):
        make.load()
    gc.collect()
    assert len(linecache.cache) <= before


def test_an_interrupt_ends_asking_and_telling_soon_and_loses_nothing(tmp_path: Path) -> None:
    options: dict[str, Any] = {**TOLD, "task_tune": 0}
    with symopt.Study(tmp_path / "store", **options) as study:
        (adamw,) = study.ask(1, programs=20)
        # Nobody else is there to tell of it, so that this waits.
        again = study.ask
        assert soonest(lambda: [again(1) for _ in range(10_000)], 3) < 0.1
        study.tell(adamw, [1.0, 2.0])
        while trials := study.ask(4):
            for trial in trials:
                study.tell(trial, trial.run(train))
        assert study.result is not None and study.result.generated == 20
    assert not [t for t in threading.enumerate() if t.name == "symopt"]


def test_a_trial_outlives_the_process_that_asked_it(tmp_path: Path) -> None:
    options: dict[str, Any] = {**TOLD, "task_tune": 0}
    study = symopt.Study(tmp_path / "store", **options)
    while len(trials := study.ask(8, programs=30)) < 3:
        for trial in trials:
            study.tell(trial.id, [1.0] * len(trial.seeds))
    kept = pickle.loads(pickle.dumps(trials))
    study.close()
    with pytest.raises(symopt.InputError, match="ask.. comes first"):
        study.tell(kept[0], [0.5, 0.5])
    again = symopt.Study(tmp_path / "store")
    asked = again.ask(8, programs=30)
    assert {trial.id for trial in kept} <= {trial.id for trial in asked}
    assert kept[0].seeds == (1, 2) and kept[0].program.hash == kept[0].hash
    # In any order, by the old trials.
    for trial in reversed(kept):
        again.tell(trial, fitness=[0.1, 0.2])
    again.close()


def test_what_is_told_wrongly_changes_nothing(tmp_path: Path) -> None:
    study = symopt.Study(tmp_path / "store", **{**TOLD, "task_tune": 0})
    (adamw,) = study.ask(1, programs=20)
    assert adamw.seeds == (1, 2) and adamw.program.hash == symopt.Program("adamw").hash
    assert study.ask(3) == []
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (adamw, {"loss": 1.0}, "2 seeds, and 1 was told"),
        (adamw, {"loss": [1.0, 1.0, 1.0]}, "3 were told"),
        (adamw, {"loss": [1.0, -1.0]}, "0 or more"),
        (adamw, {"loss": ["low", 1.0]}, "no loss"),
        (adamw, {"fitness": [1e4, 0.0]}, "scale it"),
        (adamw, {}, "one of loss, fitness and error"),
        (adamw, {"loss": [1.0, 1.0], "error": "no"}, "one of loss"),
        (adamw, {"loss": [{"accuracy": 1.0}, 1.0]}, "neither loss nor fitness"),
        (adamw, {"loss": [1.0, {"loss": 1.0, "progress": [{"loss": 2.0}]}]}, "without its step"),
        (adamw, {"loss": [1.0, {"loss": 1.0, "progress": [{"step": object()}]}]}, "no outcome"),
        (adamw, {"loss": [1.0, {"loss": 1.0, "accuracy": "good"}]}, "no accuracy"),
        ("0123456789abcdef", {"loss": 1.0}, "another study's"),
        (17, {"loss": 1.0}, "no trial"),
    ]
    for trial, told, reason in wrong:
        with pytest.raises(symopt.InputError, match=reason):
            study.tell(trial, **told)
    study.tell(adamw, [1.0, 2.0])
    with pytest.raises(symopt.InputError, match="told already"):
        study.tell(adamw, [1.0, 2.0])
    with pytest.raises(symopt.InputError, match="close.. it first"):
        study.search(programs=20)
    with pytest.raises(symopt.InputError, match="count is 0"):
        study.ask(0)
    (initial,) = study.ask(1)
    study.tell(initial, [0.5, float("nan")])
    trials = study.ask(4)
    assert len(trials) == 4
    # A failure is counted, and the others go on.
    study.tell(trials[0], error="out of memory")
    # So is an answer that says nothing, and what belongs to no outcome is left out.
    study.tell(trials[1], [{"loss": 0.5, "curve": [{"step": 1}]}, 1.0])
    study.tell(trials[2], [{"loss": 0.5, "step": 7, "id": 3, "accuracy": np.float32(0.5)}, 1.0])
    for trial in trials[3:]:
        study.tell(trial, [0.5, 1.0])
    while trials := study.ask(8):
        for trial in trials:
            study.tell(trial, [0.5, 1.0])
    assert study.result is not None and study.result.generated == 20
    assert study.result.fitness == 0.5
    with pytest.raises(symopt.InputError, match="a study on a suite"):
        symopt.Study(tmp_path / "other", "smoke").ask()
    symopt.Study(tmp_path / "smoke", "smoke").search(programs=5)
    with pytest.raises(symopt.InputError, match="symopt's own"):
        symopt.Study(tmp_path / "smoke").ask()
    # AdamW must be trained.
    failing = symopt.Study(tmp_path / "failing", **{**TOLD, "task_tune": 0})
    (adamw,) = failing.ask(1)
    failing.tell(adamw, error="no data")
    with pytest.raises(symopt.SymoptError, match="no data"):
        failing.ask(1)
    assert not [t for t in threading.enumerate() if t.name == "symopt"]
