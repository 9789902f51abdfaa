"""The command that comes with the package."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MODULE = [sys.executable, "-m", "symopt"]
SCRIPT = [str(Path(sys.executable).with_name("symopt"))]


def run(
    *words: str, command: list[str] = MODULE, **options: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=120, **options
    )  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("command", [MODULE, SCRIPT])
def test_the_command_runs(command: list[str]) -> None:
    done = run("--version", command=command)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("symopt ")
    done = run("export", "lion", "--to", "json", command=command)
    assert done.returncode == 0 and done.stdout.rstrip().endswith("}")


def test_exit_codes_are_those_of_the_command(tmp_path: Path) -> None:
    done = run("inspect", "lino")
    assert (done.returncode, done.stdout) == (2, "") and "did you mean lion?" in done.stderr
    done = run("inspect", "--no-such-option")
    assert done.returncode == 2 and "Usage: symopt inspect" in done.stderr
    done = run("export", "lion", "--to", "c", "-o", str(tmp_path / "none" / "lion.h"))
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert run("inspect", "\udcff").returncode == 2


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen(
        [*MODULE, "programs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, b"")


def test_an_interrupt_ends_a_search_cleanly(tmp_path: Path) -> None:
    store = tmp_path / "store"
    words = [
        "search",
        "--suite",
        "smoke",
        "--programs",
        "1000000",
        "--store",
        str(store),
        "--threads",
        "1",
    ]
    with subprocess.Popen(
        [*MODULE, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not list(store.glob("*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0 and "interrupted" in said and "Traceback" not in said
    assert run("top", str(store)).returncode == 0


def test_the_command_does_without_numpy() -> None:
    code = "import sys, symopt.__main__; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_a_script_to_begin_with_imports_the_package(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "symopt", "tasks", "new", "--external", "jax", "--package"]
    subprocess.run([*words, "-o", str(tmp_path / "mine.py")], check=True, capture_output=True)
    text = (tmp_path / "mine.py").read_text()
    assert "from symopt.task import serve" in text and "symopt_task" not in text
    assert [file.name for file in tmp_path.iterdir()] == ["mine.py"]
