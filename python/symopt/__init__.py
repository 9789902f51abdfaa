"""Programs, searches and optimizers of symopt.

>>> import symopt
>>> lion = symopt.Program("lion")
>>> print(lion.formula())
update = lr·(sign(β₁·m + (1 − β₁)·g) + λ·w)
    m′ = β₂·m + (1 − β₂)·g
...

| name | what it is |
|---|---|
| `Program` | a program: its text, hash, cost, formula; simplified, compared, named, exported |
| `zoo` | the programs of the literature, by name |
| `Optimizer` | a program in use on NumPy arrays, in place |
| `Study` | a search and its store |
| `Trial` | a program that a study asks you to train |
| `symopt.torch`, `symopt.optax`, `symopt.keras` | programs as optimizers of the frameworks |
| `symopt.task` | a training script of yours as a task of searches |
| `symopt.ray` | searches on a cluster of Ray |
"""

import importlib
from typing import TYPE_CHECKING, Any

from symopt import _symopt
from symopt._asking import Trial
from symopt._errors import Fault, InputError, ProgramError, SymoptError, WorkError
from symopt._program import (
    Comparison,
    Cost,
    Derivation,
    Diagnostic,
    Identification,
    Match,
    Program,
    Slot,
)
from symopt._study import FoundProgram, Progress, SearchResult, Study, default_settings
from symopt._zoo import Zoo, zoo

if TYPE_CHECKING:
    from symopt._optimizer import Optimizer

__all__ = [
    "Comparison",
    "Cost",
    "Derivation",
    "Diagnostic",
    "Fault",
    "FoundProgram",
    "Identification",
    "InputError",
    "Match",
    "Optimizer",
    "Program",
    "ProgramError",
    "Progress",
    "SearchResult",
    "Slot",
    "Study",
    "SymoptError",
    "Trial",
    "WorkError",
    "Zoo",
    "default_settings",
    "zoo",
]

__version__: str = _symopt.__version__


def __getattr__(name: str) -> Any:
    # Modules that need NumPy are imported when they are asked for: the command does without.
    if name == "Optimizer":
        from symopt._optimizer import Optimizer

        globals()[name] = Optimizer
        return Optimizer
    if name in ("keras", "optax", "ray", "task", "torch"):
        return importlib.import_module(f"symopt.{name}")
    raise AttributeError(f"module 'symopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
