"""Programs as optimizers of Keras 3, for any of its backends.

>>> import symopt.keras
>>> optimizer = symopt.keras.Lion(1e-3, beta_1=0.9, beta_2=0.99)

Every program of the zoo has a class here: `AdamW`, `Muon` and so on. They are those that
`symopt export PROGRAM --to keras` writes, made in memory; tracebacks and `inspect` show the source.
A model that was saved with one of them is loaded after the class was asked for.
"""

import os
from typing import Any

try:
    import keras
except ImportError as _error:
    raise ImportError("symopt.keras needs Keras 3: pip install 'symopt[keras]'") from _error

from symopt import _made
from symopt._errors import InputError
from symopt._program import Program

__all__ = ["optimizer", "optimizer_class"]


class _Carrying:
    """Keeps the program in configurations."""

    program: Program

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, and the program's text."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc]
        config["program"] = self.program.source
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Makes an optimizer; the configuration of a program that computes something else is
        refused."""
        config = dict(config)
        text = config.pop("program", None)
        if text is not None and (found := Program(text).hash) != cls.program.hash:
            raise InputError(
                f"the configuration is that of a program with the hash {found}, and not of "
                f"{cls.program.name} ({cls.program.hash}); make its class first, by "
                "symopt.keras.optimizer_class(config['program'])"
            )
        return super().from_config(config, custom_objects)  # type: ignore[misc]


def optimizer_class(
    program: "Program | str | os.PathLike[str]",
) -> "type[keras.optimizers.Optimizer]":
    """The optimizer class of a program, with the program as its attribute `program`.

    Args:
        program: a program, or what `symopt.Program` takes.
    """
    program = Program(program)
    module, name = _made.module(program, "keras"), _made.entry_point(program, "keras")
    plain: Any = getattr(module, name)
    if not issubclass(plain, _Carrying):
        members = {
            "__module__": module.__name__,
            "__qualname__": name,
            "__doc__": plain.__doc__,
            "program": program,
        }
        plain = type(name, (_Carrying, plain), members)
        setattr(module, name, plain)
    # If the classes of two programs share a name, saved models get the one that was asked for last.
    keras.saving.register_keras_serializable(package="symopt")(plain)
    carrying: type[keras.optimizers.Optimizer] = plain
    return carrying


def optimizer(
    program: "Program | str | os.PathLike[str]",
    learning_rate: Any = None,
    **hyperparameters: Any,
) -> "keras.optimizers.Optimizer":
    """An optimizer of a program.

    Args:
        program: a program, or what `symopt.Program` takes.
        learning_rate: a float, a schedule of Keras, or a function without parameters that gives a
            number. None is the program's own.
        hyperparameters: of the program, under its names or those of Keras (`beta_1`), and what all
            optimizers of Keras take, such as `global_clipnorm`.

    Raises:
        InputError: there is no such program, or its text is none.
        ValueError: a learning rate or a hyperparameter out of range.
        TypeError: there is no such hyperparameter.
    """
    if learning_rate is not None:
        hyperparameters["learning_rate"] = learning_rate
    return optimizer_class(program)(**hyperparameters)


def __getattr__(name: str) -> Any:
    if known := _made.zoo_name("keras", name):
        return optimizer_class(known)
    raise AttributeError(f"module 'symopt.keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_made.entry_points("keras")]
