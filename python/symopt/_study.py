"""Searches."""

import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from symopt import _symopt
from symopt._errors import InputError
from symopt._program import Program

_log = logging.getLogger("symopt")

Source: TypeAlias = Program | str | os.PathLike[str]


class Progress(NamedTuple):
    """How a search goes."""

    generated: int
    """Programs generated."""
    evaluated: int
    """Of those, how many were evaluated, and not known."""
    fitness: float | None
    """The best fitness so far: 0.01 is one percent less validation loss than tuned AdamW's. None if
    no program was trained to the end."""
    program: str
    """The text of the best program."""
    seconds: float
    """Since the search began or was resumed."""


class SearchResult(NamedTuple):
    """The end of a search."""

    stop: str
    """Why it ended: `programs`, `evaluations`, `seconds`, `plateau`, `target_fitness` or
    `target_program`."""
    fitness: float | None
    """The best fitness, on the search's own seeds, which it selected for: too high."""
    program: Program
    """The best program."""
    generated: int
    """Programs generated."""
    evaluated: int
    """Programs evaluated."""
    seconds: float
    """Since the search began or was resumed."""


class FoundProgram(NamedTuple):
    """A program of the hall of fame. `pandas.DataFrame(study.hall_of_fame)` makes a table."""

    place: int
    """From 1, the fittest first."""
    hash: str
    """Its functional hash: `Program(f"{store}:{hash}")` finds it."""
    child: int | None
    """Its number in the search; None for an initial program."""
    fitness: float
    """On the search's own seeds."""
    standard_error: float
    """Of the fitness, over the seeds; 0 where it is not known."""
    seeds: int
    """How many seeds that was; 0 where it is not known."""
    live_statements: int
    """Its length."""
    state_bytes: int
    """Bytes of state for each parameter."""
    slots: int
    """State slots that matter."""
    matrix: bool
    """Whether it has functions of matrices."""
    odd: bool
    """Whether gradients of the other sign give the update of the other sign."""
    scale_free: bool
    """Whether gradients of another scale give the same update."""
    operator: str | None
    """The operator that made it; None in a store of an earlier release."""
    parent: str | None
    """The functional hash of its parent."""
    program: str
    """Its text."""


class Study:
    """A search, and the store that keeps it: the one that `symopt search` and `symopt resume` use.

    Settings are those of a new search; of a store that is there the settings are known, and if some
    are given, they must be the same. The same settings give the same search, bit for bit, on any
    number of threads.

    Args:
        store: the directory of the store, which is made by the first `search`.
        suite: the suite that gives programs their fitness: a name or a TOML file (`quick`).
        initial: the programs that the search starts from, one or several (`adamw-paper`); names,
            files, programs, or `zoo` for all programs of the zoo.
        seed: of every random choice (0).
        functions: functions that mutations draw: groups and names, such as
            `["matrix", "-newton_schulz"]` (`["paper"]`).
        population: programs in the population.
        tournament: programs drawn for each tournament.
        strategy: `regularized` evolution, or `random` programs to compare with.
        task: in place of a suite, a training of yours: a function `train(make_optimizer, seed,
            budget, report)` that returns the validation loss, as `symopt.task.serve` takes it, or a
            command that serves one. It runs in processes of its own, one for each thread. A function
            is one of a module or of a script, which is imported there under another name than
            `__main__`.
        task_export: what programs are written as for the task: `pytorch`, `jax`, any target of
            `Program.export`, or `program` for their text.
        task_steps: training steps that it is asked for; None leaves them to it.
        task_checkpoints: points of the curve that hopeless runs are stopped by.
        task_seconds: a run is killed after so many.
        task_startup_seconds: so many more for a process that was just started.
        task_seeds: seeds that every program is judged on.
        task_tune: AdamW, which fitness is measured against, is tuned first with at most so many
            runs; 0 leaves it at its defaults.
        settings: all further settings by name, as `symopt search --print-config` lists them, such as
            `{"fitness": {"penalty": 0.001}}`; or the path of a TOML file.

    >>> study = Study("runs/first", suite="smoke", seed=1)
    >>> study.search(programs=3000).stop
    'programs'
    >>> print(study.best.formula())  # doctest: +SKIP
    """

    def __init__(
        self,
        store: str | os.PathLike[str],
        suite: str | os.PathLike[str] | None = None,
        *,
        initial: Source | Iterable[Source] | None = None,
        seed: int | None = None,
        functions: Iterable[str] | None = None,
        population: int | None = None,
        tournament: int | None = None,
        strategy: Literal["regularized", "random"] | None = None,
        task: Callable[..., Any] | str | None = None,
        task_export: str = "pytorch",
        task_steps: int | None = None,
        task_checkpoints: int = 4,
        task_seconds: float = 600,
        task_startup_seconds: float = 60,
        task_seeds: int = 3,
        task_tune: int = 48,
        settings: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    ) -> None:
        self.store = Path(store)
        """The directory of the store."""
        self._text = ""
        given: dict[str, Any] = {}
        if isinstance(settings, Mapping):
            given = json.loads(json.dumps(settings))
        elif settings is not None:
            self._text = _read(settings)
        names, self._programs = _initial(initial)
        options: dict[str, Any] = {
            "suite": None if suite is None else os.fspath(suite),
            "initial": names,
            "seed": seed,
        }
        given.update((key, value) for key, value in options.items() if value is not None)
        tables: dict[str, dict[str, Any]] = {
            "evolution": {
                "population": population,
                "tournament": tournament,
                "strategy": strategy,
            },
            "mutation": {"functions": None if functions is None else list(functions)},
        }
        for table, values in tables.items():
            values = {key: value for key, value in values.items() if value is not None}
            if values:
                given.setdefault(table, {}).update(values)
        self._given = given
        self._task: str | None = None
        if task is None:
            return
        if suite is not None:
            raise InputError("a study has a suite or a task, and not both")
        for name, value, least in [
            ("task_steps", task_steps, 1),
            ("task_checkpoints", task_checkpoints, 1),
            ("task_seeds", task_seeds, 1),
            ("task_tune", task_tune, 0),
        ]:
            if value is not None and value < least:
                raise InputError(f"{name} is {value}, and should be {least} or more")
        spec = {
            "name": "external",
            "command": task if isinstance(task, str) else _command(task),
            "export": task_export,
            "steps": task_steps,
            "checkpoints": task_checkpoints,
            "seconds": float(task_seconds),
            "startup_seconds": float(task_startup_seconds),
        }
        self._task = json.dumps({"spec": spec, "seeds": task_seeds, "tune": task_tune})

    def search(
        self,
        *,
        programs: int | None = None,
        evaluations: int | None = None,
        seconds: int | None = None,
        plateau: int | None = None,
        target_fitness: float | None = None,
        target_program: str | None = None,
        threads: int | None = None,
        callbacks: Iterable[Callable[[Progress], object]] = (),
        progress: bool = False,
    ) -> SearchResult:
        """Starts the search, or goes on with it where its store ends, until a limit is reached.

        Ctrl-C, and whatever a callback raises, end it with what it has: `search` goes on from there.

        Args:
            programs: end after so many programs generated, those of earlier calls among them.
            evaluations: end after so many programs evaluated.
            seconds: end after so many seconds.
            plateau: end after so many programs without a better one.
            target_fitness: end at this fitness.
            target_program: end when this program is found, by functional hash.
            threads: that evaluate; None is one for each core.
            callbacks: called a few times a second with a `Progress`.
            progress: show a bar, by the package tqdm.

        Raises:
            InputError: settings that don't fit, or a store of another search.
        """
        limits = {
            "programs": programs,
            "evaluations": evaluations,
            "seconds": seconds,
            "plateau": plateau,
            "target_fitness": target_fitness,
            "target_program": target_program,
        }
        text = json.dumps({key: value for key, value in limits.items() if value is not None})
        called: list[Callable[[Progress], object]] = list(callbacks)
        bar = _Bar(programs) if progress else None
        called += [bar] if bar else []

        def tell(*values: Any) -> None:
            for callback in called:
                callback(Progress(*values))

        observer = tell if called else None
        is_there = _symopt.is_store(os.fspath(self.store))
        _log.info("search in %s: %s", self.store, "resumed" if is_there else "started")
        try:
            if is_there and not (self._given or self._text or self._task):
                found = _symopt.resume(os.fspath(self.store), text, threads, observer)
            else:
                found = _symopt.search(
                    os.fspath(self.store),
                    self._text,
                    json.dumps(self._given),
                    text,
                    self._programs,
                    self._task,
                    threads,
                    observer,
                )
        finally:
            if bar:
                bar.bar.close()
        data = json.loads(found)
        data.pop("hash")
        result = SearchResult(**{**data, "program": Program(data["program"])})
        _log.info("search in %s ended: %s", self.store, result.stop)
        return result

    def resume(self, **limits: Any) -> SearchResult:
        """Goes on with a search whose store is there, as `search` does."""
        if not _symopt.is_store(os.fspath(self.store)):
            raise InputError(f"{self.store} holds no search; search() starts one")
        return self.search(**limits)

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of the search, as its store has them."""
        settings: dict[str, Any] = self._contents()["settings"]
        return settings

    @property
    def best(self) -> Program:
        """The best program; of a search for directions as a whole program."""
        return Program(f"{self.store}:best")

    @property
    def hall_of_fame(self) -> list[FoundProgram]:
        """Every program that has more fitness than all that are no longer and need no more state."""
        rows = json.loads(_symopt.store_front(os.fspath(self.store)))
        return [FoundProgram(**{key: row[key] for key in FoundProgram._fields}) for row in rows]

    @property
    def history(self) -> list[dict[str, Any]]:
        """How it went over the programs generated, also while it runs elsewhere: a row for every
        500."""
        rows: list[dict[str, Any]] = self._contents()["history"]
        return rows

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        seeds: int = 16,
        validate: str | os.PathLike[str] | None = None,
        sample: int = 16,
        threads: int | None = None,
    ) -> dict[str, Any]:
        """Judges the search on seeds that it has not seen, and writes figures and tables.

        Args:
            path: a directory for report.md, report.json and the figures, which is made if it is not
                there.
            seeds: how many fresh seeds.
            validate: another suite that a sample of the best programs is judged on, such as
                `held-out`.
            sample: how many programs that are at most.
            threads: that train; None is one for each core.

        Returns:
            what report.json has.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        suite = None if validate is None else os.fspath(validate)
        files = _symopt.report_on([os.fspath(self.store)], seeds, suite, sample, threads)
        for name, text in files:
            (folder / name).write_text(text, encoding="utf-8")
        data: dict[str, Any] = json.loads(dict(files)["report.json"])
        return data

    def _contents(self) -> dict[str, Any]:
        contents: dict[str, Any] = json.loads(_symopt.store_contents(os.fspath(self.store)))
        return contents

    def __repr__(self) -> str:
        return f"<symopt.Study {os.fspath(self.store)!r}>"


class _Bar:
    """A callback that draws a bar."""

    def __init__(self, programs: int | None) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError("progress=True needs tqdm: pip install tqdm") from error
        self.bar: Any = tqdm(total=programs, unit=" programs")

    def __call__(self, progress: Progress) -> None:
        if progress.fitness is not None:
            self.bar.set_postfix(fitness=f"{100 * progress.fitness:+.2f} %", refresh=False)
        self.bar.update(progress.generated - self.bar.n)


def default_settings() -> str:
    """The default settings of searches, as TOML with comments."""
    return _symopt.default_settings()


def _read(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


def _initial(
    given: Source | Iterable[Source] | None,
) -> tuple[str | list[str] | None, list[str] | None]:
    """The names of the initial programs; and their texts, if they are not found by their names."""
    if given is None or (isinstance(given, str) and "\n" not in given):
        return given, None
    sources = [given] if isinstance(given, str | os.PathLike | Program) else list(given)
    if sources and all(isinstance(source, str) and "\n" not in source for source in sources):
        return [str(source) for source in sources], None
    programs = [Program(source) for source in sources]
    return [program.name for program in programs], [program.source for program in programs]


def _command(task: Callable[..., Any]) -> str:
    """The command that serves a function."""
    name = getattr(task, "__qualname__", "")
    module = sys.modules.get(getattr(task, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if not name or "<" in name or module is None or file is None:
        raise InputError(
            f"{task!r} is no function of a module or a script, so that no other process can find it; "
            "write it at the top level of a file, in a notebook by %%writefile, and import it"
        )
    place, folder = os.path.abspath(file), None
    if module.__name__ != "__main__":
        depth = module.__name__.count(".") + (os.path.basename(file) == "__init__.py")
        folder = os.path.dirname(place)
        for _ in range(depth):
            folder = os.path.dirname(folder)
        place = module.__name__
    words = [sys.executable, "-m", "symopt._serve", place, name, *([folder] if folder else [])]
    return shlex.join(words)
