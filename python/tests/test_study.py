"""Searches: the same as the command's, interrupted, resumed, reported; and training scripts."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import symopt

sys.path.insert(0, os.path.dirname(__file__))
from runs import outcome, rows  # noqa: E402

COMMAND = [sys.executable, "-m", "symopt"]


def test_a_search_is_that_of_the_command(tmp_path: Path) -> None:
    study = symopt.Study(tmp_path / "ours", "smoke", seed=3)
    found = study.search(programs=1000, threads=2)
    words = ["search", "--suite", "smoke", "--seed", "3", "--programs", "1000", "--held-out", "0"]
    words += ["--store", str(tmp_path / "theirs"), "--json", "--threads", "1"]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout)
    assert found.stop == theirs["stop"] == "programs"
    assert found.program.source == theirs["best"]["program"]
    assert found.generated == theirs["statistics"]["generated"] == 1000
    assert study.best.hash == theirs["best"]["hash"]
    top = subprocess.run(
        [*COMMAND, "top", str(tmp_path / "ours"), "--json"], capture_output=True, check=True
    )
    theirs = [
        {key: row[key] for key in symopt.FoundProgram._fields} for row in json.loads(top.stdout)
    ]
    assert rows(study.hall_of_fame) == rows(theirs)
    assert [dict(row)["generated"] for row in rows(study.history)] == [500, 1000]
    assert study.settings["seed"] == 3


def test_a_search_that_is_interrupted_ends_as_if_it_never_was(tmp_path: Path) -> None:
    straight = symopt.Study(tmp_path / "straight", "smoke", seed=1).search(programs=600)
    study = symopt.Study(tmp_path / "store", "smoke", seed=1)
    threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        study.search(programs=10_000_000, threads=1)
    assert time.monotonic() - started < 5
    seen: list[symopt.Progress] = []

    def stop(progress: symopt.Progress) -> None:
        seen.append(progress)
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        symopt.Study(tmp_path / "store").search(programs=10_000_000, callbacks=[stop])
    assert len(seen) == 1 and seen[0].program.startswith(("def", "@"))
    again = symopt.Study(tmp_path / "other", "smoke", seed=1)
    for programs in (100, 350):
        again.search(programs=programs)
    found = symopt.Study(tmp_path / "other").resume(programs=600)
    assert (found.program, found.fitness) == (straight.program, straight.fitness)
    # The settings are those of the store, so that the search goes on.
    assert again.search(programs=600).program == straight.program
    assert [t.name for t in threading.enumerate() if t.name == "symopt"] == []


def test_a_bar_shows_the_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = symopt.Study(tmp_path / "store", "smoke")
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        study.search(programs=10, progress=True)
    monkeypatch.undo()
    pytest.importorskip("tqdm")
    study.search(programs=300, progress=True)
    assert "programs" in capsys.readouterr().err


def test_initial_programs_are_names_texts_and_programs(tmp_path: Path) -> None:
    text = symopt.Program("lion").source
    found = [
        symopt.Study(tmp_path / str(index), "smoke", initial=initial).search(programs=50).program
        for index, initial in enumerate(["lion", symopt.Program("lion"), text, ["lion"]])
    ]
    assert all(program == found[0] for program in found)
    several = symopt.Study(tmp_path / "several", "smoke", initial=["lion", symopt.Program("adamw")])
    several.search(programs=20)
    assert several.settings["initial"] == ["lion", "adamw"]


def test_settings_are_checked(tmp_path: Path) -> None:
    study = symopt.Study(tmp_path / "store", "smoke")
    with pytest.raises(symopt.InputError, match="holds no search"):
        study.resume(programs=1)
    for wrong, reason in [
        ({"suite": "smoky"}, "smoky"),
        ({"settings": {"sed": 1}}, "sed"),
        ({"settings": {"evolution": {"population": 0}}}, "population"),
        ({"functions": ["nothing"]}, "nothing"),
        ({"strategy": "greedy"}, "greedy"),
        ({"initial": "lino"}, "lion"),
        ({"settings": {"restarts": {"repeats": 3}}}, "campaign"),
        ({"settings": tmp_path / "no.toml"}, "no.toml"),
        ({"seed": -1}, "seed"),
    ]:
        with pytest.raises(symopt.InputError, match=reason):
            symopt.Study(tmp_path / "store", **wrong).search(programs=10)
    with pytest.raises(symopt.InputError, match="threads is 0"):
        study.search(programs=10, threads=0)
    assert not (tmp_path / "store").exists()
    study.search(programs=10)
    with pytest.raises(symopt.InputError, match="holds another search"):
        symopt.Study(tmp_path / "store", "smoke", seed=5).search(programs=10)
    (tmp_path / "own.toml").write_text('seed = 7\nsuite = "smoke"\n')
    own = symopt.Study(tmp_path / "own", settings=tmp_path / "own.toml", population=10)
    own.search(programs=10)
    assert (own.settings["seed"], own.settings["evolution"]["population"]) == (7, 10)
    assert "[evolution]" in symopt.default_settings()


def test_a_study_without_a_suite_is_the_search_of_the_command(tmp_path: Path) -> None:
    def settings(**given: Any) -> tuple[Any, ...]:
        text, others, _, _ = symopt.Study(tmp_path / "none", **given)._settings()
        return text, json.loads(others)

    real, paper = symopt.default_settings("real"), symopt.default_settings()
    assert 'suite = "real-1x"' in real and 'suite = "quick"' in paper
    assert settings(seed=2) == (real, {"seed": 2})
    assert settings(initial="lion") == (real, {"initial": "lion"})
    # Muon needs functions that may not be among those that are given.
    functions = {"mutation": {"functions": ["paper"]}, "initial": "adamw-paper"}
    assert settings(functions=["paper"]) == (real, functions)
    assert settings(preset="paper") == (paper, {})
    assert settings(suite="quick") == (paper, {"suite": "quick"})
    assert settings(suite="smoke", preset="real") == (real, {"suite": "smoke"})
    assert settings(settings={"suite": "smoke"}) == (paper, {"suite": "smoke"})
    assert settings(task="true")[0] == paper
    # A search begun by the command is resumed.
    for name, preset in (("paper", None), ("real", "real")):
        words = ["search", "--suite", "smoke", "--programs", "3", "--held-out", "0"]
        words += ["--store", str(tmp_path / name), *(["--preset", preset] if preset else [])]
        subprocess.run([*COMMAND, *words], check=True, capture_output=True)
        study = symopt.Study(tmp_path / name, "smoke", preset=preset)  # type: ignore[arg-type]
        assert study.search(programs=4).generated == 4
        with pytest.raises(symopt.InputError, match="holds another search"):
            symopt.Study(tmp_path / name, seed=3).search(programs=4)
    (tmp_path / "own.toml").write_text("seed = 7\n")
    with pytest.raises(symopt.InputError, match="not both"):
        symopt.Study(tmp_path / "own", settings=tmp_path / "own.toml", preset="real")
    with pytest.raises(symopt.InputError, match="should be real or paper"):
        symopt.Study(tmp_path / "none", preset="quick").search(programs=1)  # type: ignore[arg-type]


def test_a_report_is_written(tmp_path: Path) -> None:
    study = symopt.Study(tmp_path / "store", "smoke")
    study.search(programs=100)
    data = study.report(tmp_path / "report", seeds=2)
    assert data["seeds"] == 2 and len(data["stores"]) == 1
    assert "# " in (tmp_path / "report" / "report.md").read_text()
    assert list((tmp_path / "report").glob("*.svg"))


TRAINED = """
import symopt
print("imports may print")
def train(make_optimizer, seed, budget, report):
    # The program on a parabola whose middle the seed moves.
    import numpy as np
    middle = np.float32(1 + seed % 7)
    weights = np.zeros(3, np.float32)
    optimizer = symopt.Optimizer(make_optimizer.program, weights, lr=make_optimizer.peak_lr)
    for step in range(1, 21):
        optimizer.step(weights - middle)
        if report.due(step, 20):
            report(step, loss=float(np.square(weights - middle).mean()))
    return float(np.square(weights - middle).mean())
if __name__ == "__main__":
    import sys
    study = symopt.Study(sys.argv[1], task=train, task_export="program", task_tune=6, population=8)
    study.search(programs=int(sys.argv[2]), threads=2)
"""


def test_a_function_is_searched_on_killed_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "parabola.py"
    script.write_text(TRAINED)
    words = [sys.executable, str(script)]
    subprocess.run([*words, str(tmp_path / "whole"), "60"], check=True, capture_output=True)
    for kill in range(3):
        with subprocess.Popen(
            [*words, str(tmp_path / "killed"), "60"], stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(1 + 0.4 * kill)
            process.kill()
    subprocess.run([*words, str(tmp_path / "killed"), "60"], check=True, capture_output=True)
    whole, killed = symopt.Study(tmp_path / "whole"), symopt.Study(tmp_path / "killed")
    assert outcome(whole) == outcome(killed)
    # From a module it is the same function, and another command.
    monkeypatch.syspath_prepend(tmp_path)
    import parabola  # type: ignore[import-not-found]

    options = {"task_export": "program", "task_tune": 0, "task_seeds": 1, "population": 4}
    study = symopt.Study(tmp_path / "other", task=parabola.train, **options)
    assert study.search(programs=8, threads=1).generated == 8
    assert study.search(programs=10, threads=1).generated == 10
    with pytest.raises(symopt.InputError, match="not both"):
        symopt.Study(tmp_path / "none", "quick", task=parabola.train)


TASK = """
from symopt.task import serve, warmup_cosine
def train(make_optimizer, seed, budget, report):
    assert 0 < warmup_cosine(1, budget.steps) <= 1
    for step in range(1, budget.steps + 1):
        if report.due(step):
            report(step, loss=1.0 / step)
    return 1.0 / budget.steps if "sign" in make_optimizer.program else 0.5
serve(train)
"""


def test_a_training_script_serves_in_three_lines(tmp_path: Path) -> None:
    script = tmp_path / "my_task.py"
    script.write_text(TASK)
    words = [
        "train",
        "--task-command",
        f"'{sys.executable}' '{script}'",
        "--task-export",
        "program",
    ]
    words += ["--task-steps", "20", "--program", "lion", "--vs", "adamw", "--seeds", "1", "--json"]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "0.05" in done.stdout
    done = subprocess.run(
        [sys.executable, "-c", "import symopt.task as t; help(t.serve); print(t.__doc__)"],
        capture_output=True,
        text=True,
    )
    assert "Answers symopt's requests" in done.stdout and "from symopt.task" in done.stdout


def test_tables_are_those_of_pandas_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = symopt.Study(tmp_path / "store", "smoke")
    study.search(programs=600)
    monkeypatch.setitem(sys.modules, "pandas", None)
    front, history = study.hall_of_fame, study.history
    assert isinstance(front[0], symopt.FoundProgram) and history[0]["generated"] == 500
    monkeypatch.undo()
    pandas = pytest.importorskip("pandas")
    table = study.hall_of_fame
    assert isinstance(table, pandas.DataFrame)
    assert list(table.columns) == list(symopt.FoundProgram._fields)
    assert list(table["fitness"]) == [row.fitness for row in front]
    assert list(study.history["generated"]) == [500]
