"""Who makes the training runs of a search: threads, processes, any `concurrent.futures.Executor`."""

import concurrent.futures
import functools
import importlib
import importlib.util
import json
import os
import pickle
import shlex
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, NamedTuple

from symopt import _symopt
from symopt._errors import InputError, WorkError

Function = Callable[..., Any]
"""A training: `train(make_optimizer, seed, budget, report)`."""


def _saying(text: str) -> str:
    # A shell says it, since nobody knows which Python goes on with a store.
    return f"echo {shlex.quote(text)} >&2; exit 1"


TOLD = _saying(
    "the losses of this search are told: symopt.Study(STORE).ask() goes on with it in Python"
)
"""The command of a search whose losses the user tells."""


def command_of(function: str) -> str:
    """The command of a search on a function that only the user's process has."""
    return _saying(
        f"the training of this search, {function}, is in a program or a notebook of Python: "
        f"symopt.Study(STORE, task={function}).search() goes on with it there"
    )


LOOK = 0.01
"""Seconds until a signal, or a run that takes too long, is seen."""


class WorkerDied(Exception):
    """A worker ended without an answer, which counts as a failure of its run alone."""


class Place(NamedTuple):
    """Where another process finds a function."""

    place: str
    """A file, or a module."""
    name: str
    """The name of the function in it."""
    folder: str | None
    """Where the module is found."""

    def command(self) -> str:
        """The command that serves it."""
        folder = [] if self.folder is None else [self.folder]
        return shlex.join([sys.executable, "-m", "symopt._serve", self.place, self.name, *folder])


def place_of(task: Function) -> Place | None:
    """Where a function of a module or a script is found; None of one that is nowhere else."""
    name = getattr(task, "__qualname__", "")
    module = sys.modules.get(getattr(task, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if not name or "<" in name or module is None or file is None or not os.path.exists(file):
        return None
    place, folder = os.path.abspath(file), None
    if module.__name__ != "__main__":
        depth = module.__name__.count(".") + (os.path.basename(file) == "__init__.py")
        folder = os.path.dirname(place)
        for _ in range(depth):
            folder = os.path.dirname(folder)
        place = module.__name__
    return Place(place, name, folder)


def pickled(task: Function) -> bytes:
    """A function that only this process has, as bytes for others."""
    try:
        import cloudpickle
    except ImportError:
        raise InputError(
            f"{task!r} is no function of a module or a script, so that no other process can find it; "
            "install cloudpickle, or write it at the top level of a file, in a notebook by "
            '%%writefile, and import it, or have it run in this process by executor="threads"'
        ) from None
    try:
        data: bytes = cloudpickle.dumps(task)
    except Exception as error:
        raise InputError(
            f"{task!r} can't be given to another process ({type(error).__name__}: {error}); make what "
            'it uses within it, or have it run in this process by executor="threads"'
        ) from error
    # The search path goes along, so that its imports are found as they are here.
    return pickle.dumps((sys.path, data))


@functools.lru_cache(maxsize=8)
def load(function: Place | bytes) -> Function:
    """The function, in another process."""
    if isinstance(function, bytes):
        path, data = pickle.loads(function)
        sys.path += [folder for folder in path if folder not in sys.path]
        loaded: Function = pickle.loads(data)
        return loaded
    place, name, folder = function
    found: Any
    if folder is None:
        sys.path.insert(0, os.path.dirname(place))
        spec = importlib.util.spec_from_file_location("__symopt_task__", place)
        assert spec and spec.loader, "the file is a script of Python"
        found = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = found
        spec.loader.exec_module(found)
    else:
        if folder not in sys.path:
            sys.path.insert(0, folder)
        found = importlib.import_module(place)
    for part in name.split("."):
        found = getattr(found, part)
    train: Function = found
    return train


def call(function: "Place | bytes | Function", request: dict[str, Any]) -> list[dict[str, Any]]:
    """Makes a run, and returns what there is to say of it."""
    from symopt.task import answer

    said: list[dict[str, Any]] = []
    try:
        train = load(function) if isinstance(function, Place | bytes) else function
    except Exception as error:
        traceback.print_exc()
        return [{"error": f"the function can't be loaded: {type(error).__name__}: {error}"}]
    answer(train, request, lambda **values: said.append(values), lambda: False)
    return said


class Threads(concurrent.futures.Executor):
    """Threads of this process that end with their run. One that hangs does not keep the process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._free = threading.Semaphore(workers)
        self._abandoned: set[Future[Any]] = set()
        self._threads: dict[threading.Thread, Future[Any]] = {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            self._free.acquire()
            try:
                if future.set_running_or_notify_cancel():
                    future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)
            finally:
                if future in self._abandoned:
                    self._abandoned.discard(future)
                else:
                    self._free.release()
                del self._threads[threading.current_thread()]

        thread = threading.Thread(target=run, name="symopt run", daemon=True)
        self._threads[thread] = future
        thread.start()
        return future

    def settle(self, seconds: float) -> None:
        """Waits some seconds for threads whose run ends now, or has not begun and was cancelled, so that
        none is left behind but those that hang."""
        end = time.monotonic() + seconds
        threads = list(self._threads.items())
        for _ in threads:
            # None waits behind one that hangs.
            self._free.release()
        for thread, future in threads:
            if future not in self._abandoned:
                thread.join(max(end - time.monotonic(), 0))

    def abandon(self, future: Future[Any]) -> None:
        """Makes room for another run beside one that hangs."""
        self._abandoned.add(future)
        self._free.release()


def is_of_threads(executor: concurrent.futures.Executor) -> bool:
    """Whether an executor's workers are in this process."""
    return isinstance(executor, Threads | ThreadPoolExecutor)


def workers_of(executor: concurrent.futures.Executor) -> int:
    """How many runs an executor makes at once; of one that does not say, as many as there are
    cores."""
    for name in ("workers", "_max_workers"):
        count = getattr(executor, name, None)
        if isinstance(count, int) and count > 0:
            return min(count, 1024)
    return os.cpu_count() or 1


def _like(pool: ProcessPoolExecutor) -> ProcessPoolExecutor | None:
    """A pool as this one was before it broke."""
    try:
        made: Any = pool
        return ProcessPoolExecutor(
            made._max_workers,
            mp_context=made._mp_context,
            initializer=made._initializer,
            initargs=made._initargs,
        )
    except (AttributeError, TypeError):
        return None


class _Run(NamedTuple):
    """A run that is wanted."""

    number: int
    request: dict[str, Any]


class Dispatcher:
    """Takes the runs that a search wants to an executor, and the answers back.

    Results are the search's by the number of their child: which worker made them, and when, does not
    show. A run that raises, that comes back as something else than an answer, whose worker dies, or
    that takes too long is a failure of its child, and the others go on.
    """

    def __init__(
        self,
        asking: "_symopt.Asking",
        executor: concurrent.futures.Executor,
        function: "Place | bytes | Function",
        seconds: float,
    ) -> None:
        self.asking = asking
        self.executor = executor
        self.function = function
        self.seconds = seconds
        self._running: dict[Future[Any], tuple[_Run, float | None]] = {}
        self._ended: deque[tuple[Future[Any], _Run, bool]] = deque()
        self._suspects: deque[_Run] = deque()
        """Runs whose pool broke: they are made again one by one, so that it shows which it was."""
        self._waiting: deque[_Run] = deque()
        self._hanging = 0
        self._own: ProcessPoolExecutor | None = None
        """The pool that stands in place of the user's."""
        self._lock = threading.Lock()

    def run(self) -> str:
        """Runs the search to its end, and returns what it found."""
        try:
            while True:
                wanted, over = self.asking.take(1024, LOOK)
                self._waiting += (_Run(number, json.loads(text)) for number, text in wanted)
                self._look()
                if over and (found := self.asking.result(LOOK)) is not None:
                    return found
                self._submit()
        finally:
            self.asking.cancel()
            with self._lock:
                running = dict(self._running)
            left = {future: since for future, (_, since) in running.items() if not future.cancel()}
            if self._own is not None:
                _end(self._own)
            elif left and isinstance(self.executor, ProcessPoolExecutor):
                _watch(self.executor, left, self.seconds)
            self._wait()
            if isinstance(self.executor, Threads):
                is_interrupt = isinstance(sys.exc_info()[1], KeyboardInterrupt)
                self.executor.settle(0.02 if is_interrupt else 0.5)

    def _wait(self) -> None:
        """Waits for the end of the search, which was cancelled, or has failed already."""
        while True:
            try:
                if self.asking.take(0, 0)[1]:
                    self.asking.result(LOOK)
                    return
            except (InputError, WorkError):
                return
            time.sleep(0.002)

    def _submit(self) -> None:
        while self._suspects and not self._running:
            self._begin(self._suspects.popleft())
        if not self._suspects:
            while self._waiting and len(self._running) < self._most():
                self._begin(self._waiting.popleft())

    def _most(self) -> float:
        """How many runs the executor is given at once."""
        # A pool of processes says of a run that waits for a process that it runs, and its time would
        # be over too soon.
        is_pool = isinstance(self.executor, ProcessPoolExecutor)
        return workers_of(self.executor) if is_pool else float("inf")

    def _begin(self, run: _Run) -> None:
        if not self.asking.is_open(run.number):
            return
        try:
            if is_of_threads(self.executor):
                future = self.executor.submit(self._here, run)
            else:
                future = self.executor.submit(call, self.function, run.request)
        except concurrent.futures.BrokenExecutor as error:
            self._replace(error)
            self._suspects.append(run)
            return
        except RuntimeError as error:
            raise WorkError(f"the executor takes no more runs: {error}") from error
        with self._lock:
            self._running[future] = (run, None)
        future.add_done_callback(self._done)

    def _here(self, run: _Run) -> list[dict[str, Any]]:
        """Makes a run in this process, which hears when nobody needs the rest."""
        from symopt.task import answer

        wanted = True

        def say(**values: Any) -> None:
            nonlocal wanted
            wanted = self._say(run, values)

        train: Any = self.function
        answer(train, run.request, say, lambda: not wanted or not self.asking.is_open(run.number))
        return []

    def _say(self, run: _Run, values: dict[str, Any]) -> bool:
        line = json.dumps({**values, "id": run.request["id"]})
        return self.asking.say(run.number, line)

    def _done(self, future: Future[Any]) -> None:
        """Answers, on whatever thread the executor says it; what needs more is left to `run`."""
        with self._lock:
            known = self._running.get(future)
        if known is None:
            return
        run, _ = known
        answered = False
        try:
            if not future.cancelled() and future.exception() is None:
                self._answer(run, future.result())
                answered = True
        finally:
            with self._lock:
                self._running.pop(future, None)
            self._ended.append((future, run, answered))

    def _answer(self, run: _Run, said: Any) -> None:
        if not isinstance(said, list) or not all(isinstance(values, dict) for values in said):
            self._fail(run, "garbage", f"the executor returned {said!r:.80}, and no answers")
            return
        for values in said:
            try:
                wanted = self._say(run, values)
            except (TypeError, ValueError) as error:
                self._fail(run, "garbage", f"an answer that is not JSON: {error}")
                return
            if not wanted:
                return
        # Nothing but an answer ends it.
        self._fail(run, "ended", "it ended without an answer")

    def _fail(self, run: _Run, kind: str, reason: str, details: str = "") -> None:
        self.asking.fail(run.number, kind, reason, details)

    def _look(self) -> None:
        """Sees to runs that have ended otherwise than by an answer, or should have."""
        broken: list[tuple[_Run, BaseException]] = []
        while self._ended:
            future, run, answered = self._ended.popleft()
            if answered:
                continue
            error = None if future.cancelled() else future.exception()
            if isinstance(error, concurrent.futures.BrokenExecutor):
                broken.append((run, error))
            elif isinstance(error, WorkerDied):
                self._fail(run, "ended", str(error))
            elif error is not None:
                details = "".join(traceback.format_exception(error))
                self._fail(run, "ended", f"{type(error).__name__}: {error}", details[-2000:])
            else:
                self._fail(run, "ended", "the executor cancelled the run")
        if broken:
            if len(broken) == 1 and not self._running:
                self._fail(broken[0][0], "ended", f"its worker died: {broken[0][1]}")
            else:
                self._suspects += (run for run, _ in broken)
            self._replace(broken[0][1])
        self._look_for_late()

    def _look_for_late(self) -> None:
        now, late = time.monotonic(), []
        with self._lock:
            for future, (run, since) in self._running.items():
                if since is None and future.running():
                    self._running[future] = (run, now)
                elif since is not None and now - since > self.seconds:
                    late.append((future, run))
            for future, _ in late:
                del self._running[future]
        for _, run in late:
            self._fail(run, "timeout", f"no answer within the time limit of {self.seconds:g} s")
        abandon = getattr(self.executor, "abandon", None)
        if late and isinstance(self.executor, ProcessPoolExecutor):
            # No other way ends them. The others are made again.
            with self._lock:
                others = [run for run, _ in self._running.values()]
                self._running.clear()
            old = self.executor
            self._replace(WorkError("a worker hangs"))
            _end(old)
            self._waiting.extendleft(reversed(others))
        elif abandon is not None:
            for future, _ in late:
                abandon(future)
        elif late:
            self._hanging += len(late)
            if self._hanging >= workers_of(self.executor):
                raise WorkError(
                    "all workers of the executor hang in runs beyond their time limit; start "
                    "them anew, and search() goes on"
                )

    def _replace(self, error: BaseException) -> None:
        """Puts a pool of processes in the place of one that broke."""
        pool = _like(self.executor) if isinstance(self.executor, ProcessPoolExecutor) else None
        if pool is None:
            raise WorkError(
                f"the executor broke ({error}); give search() another one, and it goes on from what "
                "was acknowledged"
            ) from error
        if self._own is not None:
            _end(self._own)
        self._own = self.executor = pool


def _end(pool: ProcessPoolExecutor) -> None:
    """Ends a pool with its processes, whatever they do: Python waits for them when it exits."""
    # A pool that is shut down no longer says which they are.
    processes: Any = getattr(pool, "_processes", None) or {}
    processes = list(processes.values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()


def _watch(
    pool: ProcessPoolExecutor, running: dict[Future[Any], float | None], seconds: float
) -> None:
    """Ends a pool of the user's if a run that nobody needs any more takes longer than it may: Python
    would wait for it without end when it exits."""
    begun = [since for since in running.values() if since is not None]
    end = max(begun, default=time.monotonic()) + seconds

    def watch() -> None:
        _, hanging = concurrent.futures.wait(running, end - time.monotonic())
        if hanging:
            _end(pool)

    # Python does not wait for it.
    threading.Thread(target=watch, name="symopt watch", daemon=True).start()
