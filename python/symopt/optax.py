"""Programs as gradient transformations of Optax.

>>> import symopt.optax
>>> transformation = symopt.optax.lion(1e-3, b1=0.9, b2=0.99)

Every program of the zoo has a function here: `adamw`, `muon` and so on. They are those that
`symopt export PROGRAM --to optax` writes, made in memory; tracebacks and `inspect` show the source.
"""

import os
from types import ModuleType
from typing import Any

try:
    import optax
except ImportError as _error:
    raise ImportError("symopt.optax needs JAX and Optax: pip install 'symopt[jax]'") from _error

from symopt import _made
from symopt._program import Program

__all__ = ["module", "transform"]


def module(program: "Program | str | os.PathLike[str]") -> ModuleType:
    """The module that an export to Optax is: with the function of the whole program, its state's
    class, and `scale_by_...` where the program splits that way.

    Args:
        program: a program, or what `symopt.Program` takes.
    """
    return _made.module(Program(program), "optax")


def transform(
    program: "Program | str | os.PathLike[str]",
    learning_rate: Any = None,
    **hyperparameters: Any,
) -> optax.GradientTransformation:
    """The gradient transformation of a program; its updates are what is added to the weights.

    Args:
        program: a program, or what `symopt.Program` takes.
        learning_rate: a number, or a schedule: a function of the number of steps so far. None is
            the program's own.
        hyperparameters: of the program, under its names or those of Optax (`b1`, `eps`), and
            `mask`, `mu_dtype`.

    Raises:
        InputError: there is no such program, or its text is none.
        ValueError: a learning rate or a hyperparameter out of range.
        TypeError: there is no such hyperparameter.
    """
    program = Program(program)
    if learning_rate is not None:
        hyperparameters["learning_rate"] = learning_rate
    function = getattr(module(program), _made.entry_point(program, "optax"))
    made: optax.GradientTransformation = function(**hyperparameters)
    return made


def __getattr__(name: str) -> Any:
    if known := _made.zoo_name("optax", name):
        return getattr(module(known), name)
    raise AttributeError(f"module 'symopt.optax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_made.entry_points("optax")]
