"""Searches."""

import concurrent.futures
import json
import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from symopt import _symopt
from symopt._asking import Asked, Trial
from symopt._errors import InputError
from symopt._executors import (
    TOLD,
    Dispatcher,
    Place,
    Threads,
    command_of,
    is_of_threads,
    pickled,
    place_of,
    workers_of,
)
from symopt._program import Program

_log = logging.getLogger("symopt")

Source: TypeAlias = Program | str | os.PathLike[str]


class Progress(NamedTuple):
    """How a search goes.

    Attributes:
        generated: programs generated.
        evaluated: of those, how many were evaluated, and not known.
        fitness: the best fitness so far: 0.01 is one percent less validation loss than tuned
            AdamW's. None if no program was trained to the end.
        program: the text of the best program.
        seconds: since the search began or was resumed.
    """

    generated: int
    evaluated: int
    fitness: float | None
    program: str
    seconds: float


class SearchResult(NamedTuple):
    """The end of a search.

    Attributes:
        stop: why it ended: `programs`, `evaluations`, `seconds`, `plateau`, `target_fitness` or
            `target_program`.
        fitness: the best fitness, on the search's own seeds, which it selected for: too high.
        program: the best program.
        generated: programs generated.
        evaluated: programs evaluated.
        seconds: since the search began or was resumed.
    """

    stop: str
    fitness: float | None
    program: Program
    generated: int
    evaluated: int
    seconds: float


class FoundProgram(NamedTuple):
    """A program of the hall of fame: a row of the table, or of the list.

    Attributes:
        place: from 1, the fittest first.
        hash: its functional hash: `Program(f"{store}:{hash}")` finds it.
        child: its number in the search; None for an initial program.
        fitness: on the search's own seeds.
        standard_error: of the fitness, over the seeds; 0 where it is not known.
        seeds: how many seeds that was; 0 where it is not known.
        live_statements: its length.
        state_bytes: bytes of state for each parameter.
        slots: state slots that matter.
        matrix: whether it has functions of matrices.
        odd: whether gradients of the other sign give the update of the other sign.
        scale_free: whether gradients of another scale give the same update.
        operator: the operator that made it; None in a store of an earlier release.
        parent: the functional hash of its parent.
        program: its text.
    """

    place: int
    hash: str
    child: int | None
    fitness: float
    standard_error: float
    seeds: int
    live_statements: int
    state_bytes: int
    slots: int
    matrix: bool
    odd: bool
    scale_free: bool
    operator: str | None
    parent: str | None
    program: str


class Study:
    """A search, and the store that keeps it: the one that `symopt search` and `symopt resume` use.

    Settings are those of a new search; of a store that is there the settings are known, and if some
    are given, they must be the same. The same settings give the same search, bit for bit, on any
    number of threads.

    Args:
        store: the directory of the store, which is made by the first `search`.
        suite: the suite that gives programs their fitness: a name or a TOML file.
        preset: settings to begin with: `real` (directions on small real tasks, from AdamW, Lion and
            Muon, with functions of matrices, up to 120 programs evaluated), or `paper` (the published
            search: whole programs, on the suite `quick`). By default `real`, and `paper` with a
            suite, a task or a file of settings: as `symopt search` has it.
        initial: the programs that the search starts from, one or several (`adamw-paper`, and with
            the preset `real` also `lion` and `muon`); names, files, programs, or `zoo` for all
            programs of the zoo.
        seed: of every random choice (0).
        functions: functions that mutations draw: groups and names, such as
            `["matrix", "-newton_schulz"]` (`["paper"]`, and with the preset `real` `["matrix"]`).
        population: programs in the population.
        tournament: programs drawn for each tournament.
        strategy: `regularized` evolution, or `random` programs to compare with.
        task: in place of a suite, a training of yours: a function `train(make_optimizer, seed,
            budget, report)` that returns the validation loss, as `symopt.task.serve` takes it, or a
            command that serves one. `search` says who runs it. A function of a module or of a script
            is imported by other processes, there under another name than `__main__`; one of a
            notebook, or a lambda, is given to them by cloudpickle. With no suite and no task, `ask`
            and `tell` leave all training to you.
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

    Attributes:
        store: the directory of the store.
        result: the end of the last search that was made by `ask` and `tell`, a `SearchResult`.

    Raises:
        InputError: arguments that don't fit together. Settings are checked by the first `search`.

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
        preset: Literal["real", "paper"] | None = None,
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
        if preset is not None and self._text:
            raise InputError("a study has a preset or a file of settings, and not both")
        self._has_suite = "suite" in given or bool(self._text)
        self._preset = preset
        self._function = task if callable(task) else None
        self._place = None if self._function is None else place_of(self._function)
        self._asked: Asked | None = None
        self.result: SearchResult | None = None
        if task is not None and suite is not None:
            raise InputError("a study has a suite or a task, and not both")
        for name, value, least in [
            ("task_steps", task_steps, 1),
            ("task_checkpoints", task_checkpoints, 1),
            ("task_seeds", task_seeds, 1),
            ("task_tune", task_tune, 0),
        ]:
            if value is not None and value < least:
                raise InputError(f"{name} is {value}, and should be {least} or more")
        if isinstance(task, str):
            command = task
        elif task is None:
            command = TOLD
        elif self._place is not None:
            command = self._place.command()
        else:
            command = command_of(getattr(task, "__qualname__", "train"))
        self._seconds = float(task_seconds) + float(task_startup_seconds)
        self._seeds = task_seeds
        spec = {
            "name": "external",
            "command": command,
            "export": task_export,
            "steps": task_steps,
            "checkpoints": task_checkpoints,
            "seconds": float(task_seconds),
            "startup_seconds": float(task_startup_seconds),
        }
        self._has_task = task is not None
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
        executor: "Literal['processes', 'threads'] | concurrent.futures.Executor" = "processes",
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
            threads: that evaluate, each with a process if the task is a function; None is one for
                each core, or for each worker of an executor. It changes no result.
            executor: who calls a task that is a function: `processes` of symopt's own, `threads` of
                this process, any `concurrent.futures.Executor` such as a pool of yours, or
                `symopt.ray.Executor`. It changes no result either, and may be another one when the
                search goes on. A run that raises, returns no loss, takes longer than `task_seconds`
                (with `task_startup_seconds`), or whose worker dies is a failure of its program; the
                others go on. Executors of yours are not shut down, and one whose workers hang or die
                is given up, but for a `ProcessPoolExecutor`, which is ended, with its processes, and
                replaced by one like it.
            callbacks: called a few times a second with a `Progress`.
            progress: show a bar, by the package tqdm.

        Raises:
            InputError: settings that don't fit, or a store of another search.
            WorkError: AdamW, which fitness is measured against, can't be trained; or all workers are
                gone.
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
        if self._asked is not None:
            raise InputError("the study is being asked; close() it first")
        called: list[Callable[[Progress], object]] = list(callbacks)
        bar = _Bar(programs) if progress else None
        called += [bar] if bar else []

        def tell(*values: Any) -> None:
            for callback in called:
                callback(Progress(*values))

        observer = tell if called else None
        _log.info("search in %s: %s", self.store, "resumed" if self._is_there else "started")
        try:
            if executor != "processes":
                found = self._dispatched(executor, text, threads, observer)
            elif self._function is not None and self._place is None:
                with tempfile.TemporaryDirectory(prefix="symopt-") as folder:
                    file = Path(folder, "task.pickle")
                    file.write_bytes(pickled(self._function))
                    words = [sys.executable, "-m", "symopt._serve", "--pickled", os.fspath(file)]
                    found = self._run(text, threads, observer, shlex.join(words))
            else:
                found = self._run(text, threads, observer, None)
        finally:
            if bar:
                bar.bar.close()
        result = _result(found)
        _log.info("search in %s ended: %s", self.store, result.stop)
        return result

    @property
    def _is_there(self) -> bool:
        return _symopt.is_store(os.fspath(self.store))

    def _settings(self, *, told: bool = False) -> Any:
        """What a search is given; None if nothing is, and the store has all."""
        task = self._task if self._has_task or (told and not self._has_suite) else None
        if self._is_there and not (self._given or self._text or self._preset or self._has_task):
            return None
        # Whoever names a task wants the published search on it, unless a preset is named.
        preset = self._preset or ("paper" if task or "suite" in self._given else "real")
        given = dict(self._given)
        if preset == "real" and "functions" in given.get("mutation", {}):
            # Those of the preset need functions that may not be among these.
            given.setdefault("initial", "adamw-paper")
        text = self._text or _symopt.default_settings(preset)
        return text, json.dumps(given), self._programs, task

    def _run(self, limits: str, threads: int | None, observer: Any, command: str | None) -> str:
        return _symopt.search(
            os.fspath(self.store), self._settings(), limits, threads, observer, command
        )

    def _dispatched(
        self,
        executor: Any,
        limits: str,
        threads: int | None,
        observer: Any,
    ) -> str:
        """Runs a search on an executor, and returns what it found."""
        if self._function is None:
            raise InputError("an executor calls a task that is a function, and this study has none")
        if executor == "threads":
            executor = Threads(threads or os.cpu_count() or 1)
        elif not isinstance(executor, concurrent.futures.Executor):
            raise InputError(
                f"executor is {executor!r}, and should be 'processes', 'threads' or a "
                "concurrent.futures.Executor"
            )
        function: Place | bytes | Callable[..., Any] = self._function
        if not is_of_threads(executor):
            function = self._place or pickled(self._function)
        seconds = self._seconds
        asking = _symopt.start(
            os.fspath(self.store),
            self._settings(),
            limits,
            threads or workers_of(executor),
            observer,
            True,
        )
        return Dispatcher(asking, executor, function, seconds).run()

    def ask(
        self,
        count: int = 1,
        *,
        programs: int | None = None,
        evaluations: int | None = None,
        seconds: int | None = None,
        plateau: int | None = None,
        target_fitness: float | None = None,
        ahead: int = 32,
    ) -> list[Trial]:
        """Programs that are to be trained, by you: up to `count` of them, wherever and in whatever
        order you like. `tell` takes their losses.

        The first are AdamW's, which fitness is measured against. Those that nobody has told anything
        of are asked again by the next process, and results enter by the number of their child: the
        search is the same, bit for bit, as if it had made the runs itself.

        Args:
            count: how many at most. Fewer come if others must be told first; none if that is so of
                all, or if the search is over (`result` has its end then).
            programs, evaluations, seconds, plateau, target_fitness: limits, as `search` has them,
                from the first call on; a call after the end goes on with other ones.
            ahead: how many can be asked at once, from the first call on.

        Raises:
            InputError: settings that don't fit, or a store of another search, or one on a suite.
            WorkError: AdamW, which fitness is measured against, could not be trained.

        >>> study = Study("runs/told", task_seeds=1, task_tune=0)
        >>> while trials := study.ask(4, programs=20):  # doctest: +SKIP
        ...     for trial in trials:
        ...         study.tell(trial, my_training(trial.program, trial.lr, trial.seeds[0]))
        """
        if count < 1 or not 1 <= ahead <= 256:
            raise InputError(
                f"count is {count}, and should be 1 or more; ahead is {ahead}, and should be from 1 "
                "to 256"
            )
        if self._has_suite and not self._has_task:
            raise InputError("a study on a suite trains by itself: search() runs it")
        limits = {
            "programs": programs,
            "evaluations": evaluations,
            "seconds": seconds,
            "plateau": plateau,
            "target_fitness": target_fitness,
        }
        if self._asked is None:
            text = json.dumps({key: value for key, value in limits.items() if value is not None})
            self._asked = Asked(
                _symopt.start(
                    os.fspath(self.store), self._settings(told=True), text, ahead, None, False
                ),
                self._contents()["seeds"] if self._is_there else self._seeds,
            )
        asked = self._asked
        try:
            trials, found = asked.ask(count)
        except BaseException:
            if asked.is_over:
                self._asked = None
            raise
        if found is not None:
            self._asked, self.result = None, _result(found)
        return trials

    def tell(
        self,
        trial: Trial | str,
        loss: Any = None,
        *,
        fitness: Any = None,
        error: str | None = None,
    ) -> None:
        """Takes what came of a trial that was asked. It is in the store within a tenth of a second.

        Args:
            trial: the trial, or its `id`.
            loss: the validation loss, 0 or more; NaN and infinity say that the training diverged. Of
                a trial with several seeds a sequence of them, in the order of `trial.seeds`. In place
                of a number there may be what `Trial.run` returns.
            fitness: in place of the loss, a number that is better when it is higher.
            error: in place of both, why the training failed. It counts as a failure of the program.

        Raises:
            InputError: a trial that this study has not asked, or that was told already; losses that
                are no numbers, below 0, or not as many as the trial has seeds. Nothing is taken then.
        """
        if self._asked is None:
            raise InputError("the study has not asked anything in this process; ask() comes first")
        self._asked.tell(trial, loss, fitness, error)

    def close(self) -> None:
        """Ends the asking. What was told is kept, and what was asked and not told is asked again."""
        if self._asked is not None:
            asked, self._asked = self._asked, None
            asked.close()

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resume(self, **limits: Any) -> SearchResult:
        """Goes on with a search whose store is there, as `search` does.

        Args:
            limits: all that `search` takes.

        Raises:
            InputError: there is no search in the store.
        """
        if not self._is_there:
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
    def hall_of_fame(self) -> Any:
        """Every program that has more fitness than all that are no longer and need no more state, the
        fittest first: a `pandas.DataFrame` where pandas is there, with the columns of `FoundProgram`,
        and else a list of these."""
        rows = json.loads(_symopt.store_front(os.fspath(self.store)))
        return _table(
            [FoundProgram(**{key: row[key] for key in FoundProgram._fields}) for row in rows],
            FoundProgram._fields,
        )

    @property
    def history(self) -> Any:
        """How it went over the programs generated, also while it runs elsewhere: a row for every 500.
        A `pandas.DataFrame` where pandas is there, and else a list of dictionaries."""
        rows: list[dict[str, Any]] = self._contents()["history"]
        return _table(rows, None)

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

        Raises:
            InputError: there is no search in the store, or no such suite; a number out of range.
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


def _table(rows: list[Any], columns: tuple[str, ...] | None) -> Any:
    """Rows as a table where there is something to show it."""
    try:
        import pandas
    except ImportError:
        return rows
    table = pandas.DataFrame(rows, columns=columns)
    if "child" in table:
        # Whole numbers, also beside those that are missing.
        table["child"] = table["child"].astype("Int64")
    return table


def _result(found: str) -> SearchResult:
    data = json.loads(found)
    data.pop("hash")
    return SearchResult(**{**data, "program": Program(data["program"])})


def default_settings(preset: Literal["real", "paper"] = "paper") -> str:
    """The settings of a preset, as TOML with comments.

    Args:
        preset: `paper`, which has all settings of searches with their defaults; or `real`, which has
            those that are others where a study has neither a suite nor a task.

    Raises:
        InputError: another preset.
    """
    return _symopt.default_settings(preset)


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
