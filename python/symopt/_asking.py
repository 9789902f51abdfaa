"""Trials that a search asks, and what is told of them."""

import atexit
import hashlib
import json
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from symopt import _symopt
from symopt._errors import InputError, SymoptError
from symopt._executors import LOOK, Function, call
from symopt._program import Program

_PATIENCE = 0.1
"""Seconds for which nothing more was asked when others must be told first."""


@dataclass(frozen=True)
class Trial:
    """A program that is to be trained, once for each of some seeds. It can be pickled, and trained in
    any process, also after the one that asked has ended: the next one asks the same trial again, with
    the same `id`.

    Attributes:
        id: of the program, its constants and the seeds.
        source: the program's text.
        hash: its functional hash.
        lr: the learning rate at the peak of the schedule.
        hyperparameters: all others, by name.
        seeds: the seeds: of data, weights, batches, whatever is random. The same for programs
            that are compared.
        steps: training steps; None leaves them to you.
    """

    id: str
    source: str
    hash: str
    lr: float
    hyperparameters: dict[str, float]
    seeds: tuple[int, ...]
    steps: int | None
    _requests: tuple[dict[str, Any], ...] = field(repr=False, compare=False, default=())

    @property
    def program(self) -> Program:
        """The program."""
        return Program(self.source)

    @property
    def make_optimizer(self) -> Any:
        """What a function that is a task gets: called with parameters, it makes the optimizer, with the
        learning rate and the hyperparameters of the trial."""
        from symopt import task

        return getattr(task, "Optimizer")(self._requests[0])

    def run(self, train: Function) -> list[dict[str, Any]]:
        """Trains once for each seed, in this process, and returns what `Study.tell` takes: for each seed
        a dictionary with `loss` or `fitness`, or `error` where the training raised.

        Args:
            train: a function `train(make_optimizer, seed, budget, report)` that returns the loss.
        """
        outcomes = []
        for request in self._requests:
            *progress, outcome = call(train, request)
            outcomes.append({**outcome, "progress": progress})
        return outcomes


_open: "weakref.WeakSet[Asked]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Leaves no thread behind that would use the interpreter after its end."""
    for asked in list(_open):
        asked.close()


class Asked:
    """A search in the background, whose runs are asked and told."""

    def __init__(self, asking: "_symopt.Asking", seeds: int) -> None:
        self._asking = asking
        self._seeds = seeds
        self._lock = threading.RLock()
        self._ready: list[Trial] = []
        self._out: dict[str, Trial] = {}
        self._numbers: dict[tuple[str, int], tuple[int, dict[str, Any]]] = {}
        """Of each trial's id and seed, the number of the request that waits, and the request."""
        self._told: set[str] = set()
        self._unsaid: deque[tuple[str, int, list[dict[str, Any]]]] = deque()
        """Of a trial that was told the seeds of which the search has not heard: none between two
        calls, unless one was interrupted."""
        self.is_over = False
        _open.add(self)

    def _pump(self, seconds: float) -> bool:
        """Takes what the search wants; whether that was anything."""
        end = time.monotonic() + seconds
        while True:
            # Ctrl-C is seen in between.
            left = end - time.monotonic()
            wanted, over = self._asking.take(1024, min(max(left, 0), LOOK))
            if wanted or over or left <= LOOK:
                break
        for number, text in wanted:
            request = json.loads(text)
            seed = request["seed"]
            key = _key(request)
            if (key, seed) in self._numbers:
                # The same run twice at once: it is a trial of its own.
                key = f"{key}-{number}"
            self._numbers[key, seed] = (number, request)
            # The seeds of a program's evaluation come one after the other, and all are known when the
            # first one comes.
            rest = range(seed + 1, self._seeds + 1) if seed <= self._seeds else range(0)
            if key in self._out:
                continue
            requests = (request, *({**request, "seed": other} for other in rest))
            trial = Trial(
                id=key,
                source=request["program"],
                hash=request["hash"],
                lr=request["peak_lr"],
                hyperparameters=request["hyperparameters"],
                seeds=(seed, *rest),
                steps=request["budget"]["steps"],
                _requests=requests,
            )
            self._told.discard(key)
            self._ready.append(trial)
        self.is_over = over
        return bool(wanted)

    def ask(self, count: int) -> tuple[list[Trial], str | None]:
        """Up to so many trials; and what the search found, if it is over."""
        with self._lock:
            self._say()
            while len(self._ready) < count and not self.is_over:
                waits = self._ready or self._out
                if not self._pump(_PATIENCE) and waits:
                    break
            trials, self._ready = self._ready[:count], self._ready[count:]
            self._out.update((trial.id, trial) for trial in trials)
            if not self.is_over:
                return trials, None
            _open.discard(self)
            while (found := self._asking.result(LOOK)) is None:
                pass
            return [], found

    def tell(self, trial: Trial | str, loss: Any, fitness: Any, error: str | None) -> None:
        """Takes what came of a trial."""
        with self._lock:
            key = trial.id if isinstance(trial, Trial) else trial
            if not isinstance(key, str):
                raise InputError(f"{trial!r} is no trial, and no id of one")
            self._say()
            # A process that was restarted may be told before it asks.
            end = time.monotonic() + _PATIENCE
            while key not in self._out and key not in self._told and time.monotonic() < end:
                self._pump(_PATIENCE / 4)
                for ready in [ready for ready in self._ready if ready.id == key]:
                    self._ready.remove(ready)
                    self._out[key] = ready
            known = self._out.get(key)
            if known is None:
                raise InputError(
                    f"the trial {key} was told already"
                    if key in self._told
                    else f"the trial {key} is none that this study waits for: it is another study's, "
                    "or was told in an earlier process"
                )
            outcomes = _outcomes(known, loss, fitness, error)
            del self._out[key]
            self._told.add(key)
            self._unsaid += ((key, *seed) for seed in zip(known.seeds, outcomes, strict=True))
            self._say()

    def _say(self) -> None:
        """Says what came of the seeds of a trial that was told."""
        while self._unsaid:
            key, seed, outcome = self._unsaid[0]
            # The next seed is asked as soon as the one before it was told.
            while (key, seed) not in self._numbers:
                if self.is_over:
                    self._unsaid.clear()
                    return
                self._pump_rest(key)
            self._unsaid.popleft()
            number, request = self._numbers.pop((key, seed))
            lines = [json.dumps({**values, "id": request["id"]}) for values in outcome]
            if not self._asking.finish(number, lines):
                # No other seed is wanted.
                self._unsaid.clear()

    def _pump_rest(self, key: str) -> None:
        """Takes what the search wants, among it the next seed of a trial that is told."""
        known = len(self._ready)
        self._pump(_PATIENCE)
        kept = self._ready[:known]
        for trial in self._ready[known:]:
            if trial.id == key:
                self._told.add(key)
            else:
                kept.append(trial)
        self._ready = kept

    def close(self) -> None:
        """Cancels the search, and waits for its end."""
        _open.discard(self)
        self._asking.cancel()
        with self._lock:
            try:
                while not self.is_over:
                    self.is_over = self._asking.take(0, 0)[1]
                    time.sleep(0.002)
                self._asking.result(1)
            except SymoptError:
                # Nobody waits for what it says.
                pass


def _key(request: Mapping[str, Any]) -> str:
    """The same for the same run in any process; for the seeds of one evaluation the same."""
    parts = [request["program"], request["peak_lr"], request["hyperparameters"], request["budget"]]
    seed = request["seed"]
    if seed >= 1_000_000:
        # Seeds of tunings, and seeds that change, are trials of their own.
        parts.append(seed)
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _outcomes(
    trial: Trial, loss: Any, fitness: Any, error: str | None
) -> list[list[dict[str, Any]]]:
    """The answers that came of each seed, the last of which ends its run."""
    given = [value for value in (loss, fitness, error) if value is not None]
    if len(given) != 1:
        raise InputError("give tell() one of loss, fitness and error")
    if error is not None:
        return [[{"error": str(error)}]] * len(trial.seeds)
    name, values = ("loss", loss) if fitness is None else ("fitness", fitness)
    if getattr(values, "ndim", 0) == 1:
        # An array or a tensor.
        values = values.tolist()
    elif isinstance(values, Mapping | str) or not isinstance(values, Sequence):
        values = [values]
    if len(values) != len(trial.seeds):
        raise InputError(
            f"the trial {trial.id} has {len(trial.seeds)} seeds, and {len(values)} "
            f"{'was' if len(values) == 1 else 'were'} told; give a number for each of trial.seeds"
        )
    return [_outcome(name, value) for value in values]


def _outcome(name: str, value: Any) -> list[dict[str, Any]]:
    """The answers that came of a seed, of a number or of what `Trial.run` returns."""
    if not isinstance(value, Mapping):
        return [{name: _number(name, value)}]
    progress = value.get("progress") or []
    if "error" in value or value.get("stopped"):
        last: dict[str, Any] = {"error": str(value.get("error", "stopped"))}
    else:
        known = [key for key in ("fitness", "loss", "accuracy") if value.get(key) is not None]
        last = {key: _number(key, value[key]) for key in known}
        if "fitness" not in last and "loss" not in last:
            raise InputError(f"{value!r} has neither loss nor fitness nor error")
        if value.get("curve"):
            last["curve"] = value["curve"]
    try:
        answers = [*(dict(point) for point in progress), last]
        json.dumps(answers)
    except (TypeError, ValueError) as wrong:
        raise InputError(f"{value!r:.200} is no outcome of a run: {wrong}") from None
    if not all("step" in point for point in answers[:-1]):
        raise InputError(f"the progress {progress!r:.200} has a point without its step")
    return answers


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{value!r} is no {name}, which is a number") from None
    if name == "loss" and number < 0 and math.isfinite(number):
        raise InputError(
            f"the loss is {number}, and should be 0 or more; give fitness= what is better when higher"
        )
    if name == "fitness" and math.isfinite(number) and abs(number) > 500:
        raise InputError(f"the fitness is {number}, and should be from -500 to 500; scale it")
    return number
