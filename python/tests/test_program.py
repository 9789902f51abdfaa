"""Programs: found, described, simplified, compared, exported, and faults with their places."""

import copy
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import symopt

SIGNED = """def signed(w, g, m, lr):
  m = interp(g, m, 0.9)
  unused = g * 2.0
  update = sign(m)
  update = update * lr
  return update, m
"""


def test_a_program_is_found_by_name_text_and_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.opt").write_text(SIGNED)
    Path("lion").write_text(SIGNED)
    assert symopt.Program("lion").hash == "201a782d5433c3f9dfd511aba7feb0ea"
    assert (
        symopt.Program("mine.opt")
        == symopt.Program(SIGNED)
        == symopt.Program(tmp_path / "mine.opt")
    )
    # A path is a file, whatever the zoo has.
    assert symopt.Program(Path("lion")) == symopt.Program(SIGNED)
    program = symopt.Program(SIGNED)
    assert (program.name, program.slots) == ("signed", [symopt.Slot("m", True)])
    assert program.cost.state_bytes_per_parameter == 4
    with pytest.raises(TypeError):
        symopt.Program(3)  # type: ignore[arg-type]


def test_a_fault_has_its_place_and_prints_as_the_command_line_does() -> None:
    with pytest.raises(symopt.ProgramError) as raised:
        symopt.Program("def f(w, g, lr):\n  update = sgn(g)\n  return update\n")
    error = raised.value
    assert (error.line, error.column) == (2, 12)
    assert error.faults[0].code == "unknown-function"
    assert "<string>:2:12" in str(error) and "sgn(g)" in str(error) and "\x1b" not in str(error)
    assert isinstance(error, ValueError)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.faults) == (str(error), error.faults)


@pytest.mark.parametrize("name", ["lino", "", "-", "no/such/file.opt", "\0", "lion\udcff"])
def test_a_name_of_nothing_is_an_input_error(name: str) -> None:
    with pytest.raises((symopt.InputError, UnicodeEncodeError)):
        symopt.Program(name)


def test_what_does_nothing_is_named() -> None:
    found = symopt.Program(SIGNED).diagnostics
    assert [(d.code, d.statement) for d in found] == [("redundant", 1)]
    raw = symopt.Program("lion-raw")
    assert {d.code for d in raw.diagnostics} == {"redundant", "dead", "dead-slot"}
    assert raw.pruned().hash == raw.hash and raw.pruned().diagnostics == []
    assert symopt.Program("lion").diagnostics == []


def test_a_program_is_simplified_compared_and_identified() -> None:
    derivation = symopt.Program("lion-raw").simplify()
    assert len(derivation.steps) > 2 and derivation.rejected == []
    assert derivation.label in ("exact", "real", "domain")
    assert derivation.result.source.count("\n") < derivation.original.source.count("\n")
    assert str(derivation).startswith("#")
    assert symopt.Program("lion-found").diff("lion").distance < 0.5
    assert symopt.Program("adamw").diff("adamw").relation == "equal"
    found = symopt.Program(SIGNED).identify(count=3)
    assert len(found.nearest) == 3 and found.nearest[0].name == "signum"
    assert found.nearest[0].distance == 0
    with pytest.raises(symopt.InputError, match="exact, real or domain"):
        symopt.Program("lion").simplify(label="fitness")  # type: ignore[arg-type]
    with pytest.raises(symopt.InputError, match="nodes is 0"):
        symopt.Program("lion").simplify(nodes=0)


def test_ablation_trains_on_a_suite() -> None:
    program = symopt.Program(SIGNED)
    derivation = program.simplify(ablate=True, suite="smoke", seeds=2)
    assert len(derivation.result._core.statements) < len(program._core.statements)
    with pytest.raises(symopt.InputError, match="no-such-suite"):
        program.simplify(ablate=True, suite="no-such-suite")
    with pytest.raises(symopt.InputError, match="seeds is 1,"):
        program.simplify(ablate=True, seeds=1)


def test_every_target_is_written() -> None:
    lion = symopt.Program("lion")
    for target, _, _ in symopt._symopt.targets():
        assert lion.hash in lion.export(target) or target == "latex"
    assert len(lion.export("pytorch", plain=True)) < len(lion.export("pytorch"))
    with pytest.raises(symopt.InputError, match="there are pytorch"):
        lion.export("cobol")
    with pytest.raises(symopt.InputError, match="plain already"):
        lion.export("optax", plain=True)


def test_a_notebook_shows_a_program() -> None:
    shown = symopt.Program("def f(w, g, lr):\n  update = where(g < w, g, w)\n  return update\n")
    page = shown._repr_html_()
    assert "&lt;" in page and "<svg" in page and "<script" not in page
    assert shown._repr_latex_().startswith("\\begin{align*}")
    assert shown._repr_svg_().startswith("<svg")
    assert repr(shown) == f"<symopt.Program f {shown.hash[:12]}>"


def test_copies_and_pickles_are_the_program() -> None:
    for program in (symopt.Program("lion"), symopt.Program(SIGNED)):
        for other in (
            copy.copy(program),
            copy.deepcopy(program),
            pickle.loads(pickle.dumps(program)),
        ):
            assert (other, other.name, hash(other)) == (program, program.name, hash(program))


def test_the_zoo_is_a_mapping() -> None:
    assert "lion" in symopt.zoo and len(symopt.zoo) > 40 and "lino" not in symopt.zoo
    assert symopt.zoo.adamw_paper == symopt.zoo["adamw-paper"] == symopt.Program("adamw-paper")
    assert all(program.summary for program in [symopt.zoo])
    with pytest.raises(AttributeError, match="lino"):
        symopt.zoo.lino  # noqa: B018
    with pytest.raises(KeyError):
        symopt.zoo["lino"]
    assert "Lion" in symopt.zoo.summary("lion") and "<table>" in symopt.zoo._repr_html_()


def test_an_interrupt_ends_a_long_call() -> None:
    threading.Timer(1, lambda: signal.raise_signal(signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        symopt.Program("adamw").simplify(ablate=True, seeds=1000)
    assert time.monotonic() - started < 10


def threads_of_work() -> int:
    """Threads of long calls that are under way."""
    names = Path("/proc/self/task").glob("*/comm")
    return sum(name.read_text().strip() == "symopt" for name in names)


@pytest.mark.parametrize("call", ["simplify", "diff", "identify"])
def test_an_interrupt_ends_algebra_at_once_and_leaves_no_thread(call: str) -> None:
    # Two hundred statements on which algebra has much to do.
    lines = [f"  x{n} = interp(x{n - 1}, g, 0.{n % 8 + 1})" for n in range(1, 201)]
    text = "\n".join(["def f(w, g, lr):", "  x0 = sin(g)", *lines, "  return x200", ""])
    program = symopt.Program(text)
    calls = {"simplify": (), "diff": ("lion",), "identify": ()}
    at: list[float] = []

    def interrupt() -> None:
        at.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    threading.Timer(0.3, interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        while True:
            getattr(program, call)(*calls[call])
    assert time.monotonic() - at[0] < 0.1
    end = time.monotonic() + 20
    while threads_of_work() and time.monotonic() < end:
        time.sleep(0.02)
    assert threads_of_work() == 0


def test_every_public_name_is_documented() -> None:
    import inspect

    import symopt.task

    missing = []
    for module in (symopt, symopt.task):
        for name in module.__all__:
            found = getattr(module, name)
            doc = inspect.getdoc(found) or ""
            if not doc:
                missing.append(name)
            if not inspect.isclass(found):
                missing += undocumented(name, found, doc)
                continue
            if issubclass(found, Exception):
                continue
            # Those of the module for tasks are made by symopt.
            if module is symopt and not issubclass(found, tuple):
                missing += undocumented(name, found, doc)
            fields = getattr(found, "_fields", getattr(found, "__dataclass_fields__", ()))
            for field in fields:
                if not field.startswith("_") and f"{field}: " not in doc:
                    missing.append(f"{name}.{field}")
            for member, value in vars(found).items():
                if member.startswith("_") or member in fields:
                    continue
                value = getattr(value, "__func__", value)
                doc_of_member = inspect.getdoc(value) or ""
                if (callable(value) or isinstance(value, property)) and not doc_of_member:
                    missing.append(f"{name}.{member}")
                if inspect.isfunction(value):
                    missing += undocumented(f"{name}.{member}", value, doc_of_member)
    assert missing == []


def undocumented(name: str, found: Any, doc: str) -> list[str]:
    """Parameters that a text does not name."""
    import inspect

    if not callable(found):
        return []
    return [
        f"{name}({parameter})"
        for parameter in inspect.signature(found).parameters
        if parameter not in doc and parameter not in ("self", "cls") and parameter[0] != "_"
    ]


def test_other_threads_run_during_a_long_call() -> None:
    done = threading.Event()
    worker = threading.Thread(target=lambda: (symopt.Program("lion-raw").simplify(), done.set()))
    worker.start()
    turns = 0
    while not done.wait(0.001):
        turns += 1
    worker.join()
    assert turns > 3


def test_programs_that_are_dropped_leave_no_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc")
    for _ in range(2_000):
        symopt.Program(SIGNED)
    before = resident()
    for _ in range(20_000):
        symopt.Program(SIGNED)
    assert (resident() - before) * 4096 < 4 << 20


def test_a_second_interpreter_is_refused() -> None:
    interpreters = pytest.importorskip("_xxsubinterpreters")
    other = interpreters.create()
    with pytest.raises(interpreters.RunFailedError, match="interpreter"):
        interpreters.run_string(other, "import symopt")
    interpreters.destroy(other)
