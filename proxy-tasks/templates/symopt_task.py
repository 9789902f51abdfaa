"""symopt's side of an external task: the protocol of docs/external-tasks.md, with nothing but the standard library.

    from symopt_task import serve

    def train(make_optimizer, seed, budget, report):
        torch.manual_seed(seed)
        model = ...
        optimizer = make_optimizer(model.parameters())
        for step in range(1, steps + 1):
            ...
            if report.due(step):
                report(step, loss=validate(model))
        return validate(model)

    serve(train)

Keep this file beside your script; nothing in it needs a change.
"""

import hashlib
import importlib.util
import itertools
import json
import linecache
import math
import os
import queue
import sys
import threading
import traceback
import types
import weakref
from functools import partial

_made = itertools.count(1)  #: Numbers of the exports that came as text.


class Stopped(BaseException):
    """Nobody needs the rest of this run. Raised by `report`; no `except Exception` of yours swallows it."""


class Optimizer:
    """The program that is to be judged. Called, it makes the optimizer, with the learning rate and the hyperparameters that are asked for.

    `make_optimizer(model.parameters())` with `--task-export pytorch`, `make_optimizer(learning_rate=schedule)` with `jax`. What you give goes
    before what is asked for, such as a schedule that begins from `make_optimizer.peak_lr`.
    """

    def __init__(self, request):
        #: The learning rate at the peak of your schedule.
        self.peak_lr = request["peak_lr"]
        #: All others, by name.
        self.hyperparameters = request["hyperparameters"]
        #: The program's name and text, and its functional hash.
        self.name, self.program, self.hash = (
            request["name"],
            request["program"],
            request["hash"],
        )
        #: The file that was written for this run, what it was exported to, and the class or function in it.
        export = request.get("export") or {}
        self.path, self.target, self.entry = (
            export.get("path"),
            export.get("target"),
            export.get("name"),
        )
        #: The text of that file, where the run is made by symopt's Python package, and there is none.
        self.text = export.get("text")

    def load(self):
        """The class or function of the export."""
        if self.target == "program" or not str(self.path or ".py").endswith(".py"):
            raise RuntimeError(
                "the program comes as text: give symopt --task-export pytorch, or whatever you train with"
            )
        if self.text is not None:
            # Equal texts have different names: the source goes with the class made of it.
            name = f"<{self.entry} {next(_made)}>"
            module = types.ModuleType("exported_optimizer")
            # Compilers and tracebacks look there for the source.
            lines = self.text.splitlines(keepends=True)
            linecache.cache[name] = (len(self.text), None, lines, name)
            code = compile(self.text, name, "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 -- symopt wrote it.
            made = getattr(module, self.entry)
            weakref.finalize(made, linecache.cache.pop, name, None)
            return made
        spec = importlib.util.spec_from_file_location("exported_optimizer", self.path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, self.entry)

    def __call__(self, *arguments, **given):
        rate = "lr" if self.target == "pytorch" else "learning_rate"
        return self.load()(
            *arguments, **{rate: self.peak_lr, **self.hyperparameters, **given}
        )


class Budget:
    """How long to train."""

    def __init__(self, request):
        #: Training steps; `None` if that is left to you: `budget.steps or 300`.
        self.steps = request["budget"]["steps"]
        #: The run is killed after so many seconds.
        self.seconds = request["budget"]["seconds"]
        #: How many points of the curve are wanted, the last of which is the result.
        self.checkpoints = request["checkpoints"]


class Report:
    """Tells how a run goes: `report(step, loss)` after a validation. It ends the run, by `Stopped`, when nobody needs the rest."""

    def __init__(self, say, budget, is_stopped):
        self._say, self._budget, self._is_stopped = say, budget, is_stopped
        self.curve = []

    def due(self, step, steps=None):
        """Whether a validation after this step is wanted; `steps` is how many there are, where the budget does not say."""
        if self._is_stopped():
            raise Stopped
        steps = steps or self._budget.steps
        return steps is None or step * self._budget.checkpoints // steps > len(
            self.curve
        )

    def __call__(
        self, step, loss=None, *, fitness=None, training_loss=None, accuracy=None
    ):
        """`loss` is the validation loss, 0 or more; `fitness` stands in place of it, higher for better."""
        point = {"step": int(step)}
        values = {
            "loss": loss,
            "fitness": fitness,
            "training_loss": training_loss,
            "accuracy": accuracy,
        }
        point.update(
            (name, float(value)) for name, value in values.items() if value is not None
        )
        self._say(**point)
        if "loss" in point:
            point["validation_loss"] = point.pop("loss")
        self.curve.append(point)
        if self._is_stopped():
            raise Stopped


def warmup_cosine(step, steps, warmup=0.05):
    """The factor of the peak learning rate for `step` 1, 2, ... of `steps`: up over the share `warmup` of them, then down to zero along a cosine."""
    first = max(1, int(steps * warmup))
    return (
        step / first
        if step <= first
        else 0.5 + 0.5 * math.cos(math.pi * (step - first) / max(1, steps - first))
    )


def _small(seed):
    """A seed that every library takes, below 2**32; other ones for other seeds."""
    if seed < 2**32:
        return seed
    return int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:4], "big")


def _result(value, curve):
    """The answer for what `train` has returned: a loss, or a dictionary with `loss` or `fitness`, and `accuracy` if there is one."""
    answer = dict(value) if isinstance(value, dict) else {"loss": value}
    for name in ("loss", "fitness", "accuracy"):
        if answer.get(name) is not None:
            answer[name] = float(answer[name])  # Arrays and tensors of one number, too.
    if "loss" not in answer and "fitness" not in answer:
        raise ValueError(
            "train must return the validation loss, or a dictionary with `loss` or `fitness`"
        )
    if curve and "curve" not in answer:
        answer["curve"] = curve
    return answer


def answer(train, request, say, is_stopped):
    """Makes the run of a `request` by `train`, and says how it goes, by `say(**answer)`; `is_stopped()` is whether nobody needs the rest."""
    budget = Budget(request)
    report = Report(say, budget, is_stopped)
    try:
        value = train(Optimizer(request), _small(request["seed"]), budget, report)
        say(**_result(value, report.curve))
    except Stopped:
        say(stopped=True)
    except Exception as error:  # noqa: BLE001 -- The next request may do better.
        traceback.print_exc()
        say(error=f"{type(error).__name__}: {error}")


def serve(train):
    """Answers symopt's requests with `train(make_optimizer, seed, budget, report)` until there are no more."""
    if sys.stdin.isatty():
        sys.exit(
            'symopt starts this script and asks it: symopt train --task-command "python SCRIPT" --program lion'
        )
    # Answers go to what was the standard output. All else that prints goes to the standard error stream.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    requests, stopped, lock = queue.Queue(), set(), threading.Lock()

    def say(**answer):
        with lock:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

    def listen():
        for line in sys.stdin:
            message = json.loads(line)
            if "stop" in message:
                stopped.add(message["stop"])
            else:
                requests.put(message)
        requests.put(None)

    threading.Thread(target=listen, daemon=True).start()
    say(ready=True, stop=True)
    while (request := requests.get()) is not None:
        number = request["id"]
        tell, is_stopped = (
            partial(say, id=number),
            partial(stopped.__contains__, number),
        )
        answer(train, request, tell, is_stopped)
