from collections.abc import Callable
from typing import Any

__all__ = ["Budget", "Optimizer", "Report", "Stopped", "answer", "serve", "warmup_cosine"]

class Stopped(BaseException):
    """Nobody needs the rest of this run. Raised by `report`."""

class Optimizer:
    """The program that is to be judged. Called, it makes the optimizer, with the learning rate and
    the hyperparameters that are asked for."""

    peak_lr: float
    hyperparameters: dict[str, float]
    name: str
    program: str
    hash: str
    path: str | None
    target: str | None
    entry: str | None
    def __init__(self, request: dict[str, Any]) -> None: ...
    def load(self) -> Any: ...
    def __call__(self, *arguments: Any, **given: Any) -> Any: ...

class Budget:
    """How long to train."""

    steps: int | None
    seconds: float
    checkpoints: int
    def __init__(self, request: dict[str, Any]) -> None: ...

class Report:
    """Tells how a run goes: `report(step, loss)` after a validation. It ends the run, by `Stopped`,
    when nobody needs the rest."""

    curve: list[dict[str, float]]
    def __init__(
        self, say: Callable[..., None], budget: Budget, is_stopped: Callable[[], bool]
    ) -> None: ...
    def due(self, step: int, steps: int | None = None) -> bool: ...
    def __call__(
        self,
        step: int,
        loss: float | None = None,
        *,
        fitness: float | None = None,
        training_loss: float | None = None,
        accuracy: float | None = None,
    ) -> None: ...

def warmup_cosine(step: int, steps: int, warmup: float = 0.05) -> float: ...
def answer(
    train: Callable[[Optimizer, int, Budget, Report], Any],
    request: dict[str, Any],
    say: Callable[..., object],
    is_stopped: Callable[[], bool],
) -> None: ...
def serve(train: Callable[[Optimizer, int, Budget, Report], Any]) -> None: ...
