"""Programs as optimizers of PyTorch.

>>> import torch, symopt.torch
>>> model = torch.nn.Linear(4, 1)
>>> optimizer = symopt.torch.Lion(model.parameters(), lr=1e-3, betas=(0.9, 0.99))

Every program of the zoo has a class here: `AdamW`, `Muon` and so on. They are those that
`symopt export PROGRAM --to pytorch` writes, made in memory; tracebacks and `inspect` show the source.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

try:
    import torch
except ImportError as _error:
    raise ImportError("symopt.torch needs PyTorch: pip install 'symopt[torch]'") from _error

from symopt import _made
from symopt._errors import InputError
from symopt._program import Program

__all__ = ["optimizer", "optimizer_class"]


class _Carrying(torch.optim.Optimizer):
    """Keeps the program in pickles and in state dicts."""

    program: ClassVar[Program]

    def state_dict(self) -> dict[str, Any]:
        """The state, with the program's text and hash under `symopt`."""
        state = super().state_dict()
        state["symopt"] = {"program": self.program.source, "hash": self.program.hash}
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:  # type: ignore[override]
        """Loads what `state_dict` gave; the state of a program that computes something else is
        refused."""
        _check(self.program, state_dict.get("symopt"))
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "symopt"})

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _remade, (self.program,), self.__getstate__()


def _check(program: Program, kept: Any) -> None:
    found = kept.get("hash") if isinstance(kept, Mapping) else None
    if found is not None and found != program.hash:
        raise InputError(
            f"the state is that of the program with the hash {found}, and not of {program.name} "
            f"({program.hash}); its text is state_dict['symopt']['program']"
        )


def _remade(program: Program) -> torch.optim.Optimizer:
    cls = optimizer_class(program)
    return cls.__new__(cls)


def optimizer_class(program: "Program | str | os.PathLike[str]") -> type[torch.optim.Optimizer]:
    """The optimizer class of a program, with the program as its attribute `program`.

    Args:
        program: a program, or what `symopt.Program` takes.
    """
    program = Program(program)
    module, name = _made.module(program, "pytorch"), _made.entry_point(program, "pytorch")
    plain = getattr(module, name)
    if issubclass(plain, _Carrying):
        return plain
    members = {
        "__module__": module.__name__,
        "__qualname__": name,
        "__doc__": plain.__doc__,
        "program": program,
    }
    carrying = type(name, (_Carrying, plain), members)
    # By this name pickle finds the class. If two threads get here, both have a class that works.
    setattr(module, name, carrying)
    return carrying


def optimizer(
    program: "Program | str | os.PathLike[str]",
    params: Iterable[Any],
    lr: "float | torch.Tensor | None" = None,
    **hyperparameters: Any,
) -> torch.optim.Optimizer:
    """An optimizer of a program.

    Args:
        program: a program, or what `symopt.Program` takes.
        params: parameters, or groups of them.
        lr: the learning rate; None is the program's own.
        hyperparameters: of the program, under its names or those of `torch.optim` (`betas`, `eps`),
            and `maximize`, `foreach`, `fused`, `state_dtype`.

    Raises:
        InputError: there is no such program, or its text is none.
        ValueError: a learning rate or a hyperparameter out of range, as `torch.optim` refuses it.
        TypeError: there is no such hyperparameter.
    """
    if lr is not None:
        hyperparameters["lr"] = lr
    return optimizer_class(program)(params, **hyperparameters)


def __getattr__(name: str) -> Any:
    if known := _made.zoo_name("pytorch", name):
        return optimizer_class(known)
    raise AttributeError(f"module 'symopt.torch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_made.entry_points("pytorch")]
