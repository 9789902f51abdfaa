"""Training runs of searches on a cluster of Ray.

>>> import symopt, symopt.ray
>>> study = symopt.Study("runs/mine", task=train)  # doctest: +SKIP
>>> with symopt.ray.Executor(num_gpus=1) as executor:  # doctest: +SKIP
...     study.search(programs=1000, executor=executor)
"""

import concurrent.futures
import functools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

try:
    import ray
except ImportError as _error:
    raise ImportError("symopt.ray needs Ray: pip install 'symopt[ray]'") from _error

from symopt._errors import InputError
from symopt._executors import WorkerDied

__all__ = ["Executor"]


class _Worker:
    """An actor: a process that makes one run after the other."""

    def ready(self) -> None:
        """Returns once the process runs."""

    def call(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return fn(*args, **kwargs)


class Executor(concurrent.futures.Executor):
    """A pool of actors, for `Study.search(executor=…)`.

    Each actor makes one run at a time. Ray repeats nothing: an actor that dies is a failure of its
    run, and another one takes its place; so is one that takes longer than the study's `task_seconds`.
    Nodes need symopt and what the training imports.

    Args:
        workers: actors; None is as many as the cluster has room for.
        num_cpus: cores of each actor.
        num_gpus: GPUs of each actor.
        options: all others of `ray.remote`, such as `runtime_env` or `resources`.

    Raises:
        InputError: the cluster has no room for one actor.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        **options: Any,
    ) -> None:
        self._owns_ray = not ray.is_initialized()
        if self._owns_ray:
            ray.init(log_to_driver=False, include_dashboard=False)
        if workers is None:
            # Not all releases of Ray give it a type.
            cluster: Any = getattr(ray, "cluster_resources")
            has = cluster()
            room = [
                has.get(name, 0) / each
                for name, each in (("CPU", num_cpus), ("GPU", num_gpus))
                if each > 0
            ]
            workers = int(min(room, default=1))
            if workers < 1:
                self._end_ray()
                raise InputError(
                    f"Ray has {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs, which is no "
                    f"room for an actor with {num_cpus:g} and {num_gpus:g}"
                )
        if workers < 1:
            self._end_ray()
            raise InputError(f"workers is {workers}, and should be 1 or more")
        self.workers = workers
        """Actors."""
        remote = ray.remote(
            num_cpus=num_cpus, num_gpus=num_gpus, max_restarts=0, max_task_retries=0, **options
        )
        self._class: Any = remote(_Worker)
        self._lock = threading.RLock()
        self._idle: list[Any] = []
        self._starting: set[Any] = set()
        self._busy: dict[Future[Any], Any] = {}
        self._queue: deque[tuple[Future[Any], Any]] = deque()
        self._is_over = False
        for _ in range(workers):
            self._start()

    def _start(self) -> None:
        """Starts an actor. How long that takes does not count as time of a run."""
        actor = self._class.remote()
        with self._lock:
            self._starting.add(actor)
        actor.ready.remote().future().add_done_callback(functools.partial(self._started, actor))

    def _started(self, actor: Any, ready: Future[Any]) -> None:
        error, lost = ready.exception(), []
        with self._lock:
            self._starting.discard(actor)
            if error is None:
                self._idle.append(actor)
            elif not self._idle and not self._busy and not self._starting:
                # Nobody is left who could make them.
                lost, self._queue = list(self._queue), deque()
        for future, _ in lost:
            if future.set_running_or_notify_cancel():
                future.set_exception(WorkerDied(f"no actor can be started: {error}"))
        self._assign()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Has an actor call a function, as soon as one is free."""
        future: Future[Any] = Future()
        with self._lock:
            if self._is_over:
                raise RuntimeError("the executor was shut down")
            self._queue.append((future, (fn, args, kwargs)))
        self._assign()
        return future

    def _assign(self) -> None:
        while True:
            with self._lock:
                if self._is_over or not self._queue or not self._idle:
                    return
                future, call = self._queue.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                actor = self._idle.pop()
                self._busy[future] = actor
            reference = actor.call.remote(*call)
            reference.future().add_done_callback(functools.partial(self._ended, future))

    def _ended(self, future: Future[Any], reference: Future[Any]) -> None:
        error = reference.exception()
        with self._lock:
            actor = self._busy.pop(future, None)
            if actor is not None and not self._is_over:
                if isinstance(error, ray.exceptions.RayActorError):
                    self._start()
                else:
                    self._idle.append(actor)
        try:
            if error is None:
                future.set_result(reference.result())
            elif isinstance(error, ray.exceptions.RayActorError):
                future.set_exception(WorkerDied(f"its actor died: {error}"))
            else:
                future.set_exception(error)
        except concurrent.futures.InvalidStateError:
            # It was abandoned.
            pass
        self._assign()

    def abandon(self, future: Future[Any]) -> None:
        """Ends an actor whose run takes too long, and puts another one in its place."""
        with self._lock:
            actor = self._busy.pop(future, None)
            if actor is not None:
                ray.kill(actor, no_restart=True)
                self._start()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the actors, and Ray, if it was started here. Runs that are under way are lost."""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            queue, self._queue = list(self._queue), deque()
            actors = [*self._idle, *self._starting, *self._busy.values()]
            self._idle, self._starting, self._busy = [], set(), {}
        for future, _ in queue:
            future.cancel()
        for actor in actors:
            ray.kill(actor, no_restart=True)
        self._end_ray()

    def _end_ray(self) -> None:
        if self._owns_ray and ray.is_initialized():
            ray.shutdown()
