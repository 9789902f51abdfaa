"""Steps of NumPy arrays, and of tensors that have DLPack, in place."""

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from symopt import _symopt
from symopt._errors import InputError
from symopt._program import Program

Array: TypeAlias = Any
"""A NumPy array, or a tensor in memory that has DLPack."""
Arrays: TypeAlias = Array | Iterable[Array] | Mapping[str, Array]


class Optimizer:
    """A program in use on NumPy arrays or PyTorch tensors, which its steps change in place.

    The numbers are those of the Rust library, bit for bit. Nothing is copied: arrays are float32, or
    bfloat16 (of `ml_dtypes`, or tensors), contiguous, writable, in the memory of the CPU, and share
    no memory. The optimizer keeps the arrays that it was made with, and with them their memory; state
    is made at once, as zeros. Copies and pickles have copies of the arrays. Of other libraries it takes what has DLPack and may be written to, which
    arrays of JAX and TensorFlow may not.

    Args:
        program: a program, or what `Program` takes.
        arrays: the weights: an array, a sequence of arrays, or arrays by name.
        lr: the learning rate; by default the program's own.
        state_dtype: how slots are kept, `float32` or `bfloat16`. Arithmetic is in float32.
        rounding_seed: round to bfloat16 at random, with this seed, so that the mean is kept; None
            rounds to the nearest.
        threads: `auto` spreads large steps over the threads of the machine, `one` none, `all` all.
            The numbers are the same.
        hyperparameters: values of the program's hyperparameters, by name.

    Attributes:
        program: the program.
        lr: the learning rate of steps that are given none.

    Raises:
        InputError: arrays of another type, that are not contiguous, that are read-only or that
            overlap; hyperparameters that the program does not have or that are not finite.

    >>> import numpy as np
    >>> weights = np.ones(3, np.float32)
    >>> optimizer = Optimizer("lion", weights, lr=0.25)
    >>> optimizer.step(np.array([1, 0, -1], np.float32))
    >>> weights
    array([0.75, 1.  , 1.25], dtype=float32)
    """

    def __init__(
        self,
        program: "Program | str | os.PathLike[str]",
        arrays: Arrays,
        lr: float | None = None,
        *,
        state_dtype: Literal["float32", "bfloat16"] = "float32",
        rounding_seed: int | None = None,
        threads: Literal["auto", "one", "all"] = "auto",
        **hyperparameters: float,
    ) -> None:
        self.program = Program(program)
        self._options = (state_dtype, rounding_seed, threads)
        self._names, self._arrays = _named(arrays)
        named = list(zip(self._names, self._arrays, strict=True))
        if rounding_seed is not None and not 0 <= rounding_seed < 2**64:
            raise InputError(f"rounding_seed is {rounding_seed}, and should be from 0 to 2**64 - 1")
        self._core = _symopt.Optimizer(
            self.program._core, named, state_dtype, rounding_seed, threads
        )
        self.lr = _finite("lr", self.program.learning_rate if lr is None else lr)
        for name, value in hyperparameters.items():
            self.set(name, value)

    def step(self, gradients: Arrays, lr: float | None = None) -> None:
        """One step: the weights become the weights less the update.

        Args:
            gradients: one for each array of weights, in the same structure and of the same shapes.
            lr: the learning rate of this step, or the value of the schedule for a program that
                holds its own.

        Raises:
            InputError: gradients of other names, types or shapes, that are not contiguous or that
                share memory with the weights; a learning rate that is not finite. Nothing is changed.
            WorkError: another thread is using the optimizer, or the process was forked.
        """
        rate = self.lr if lr is None else lr
        self._core.step(self._arrays, self._in_order(gradients), _finite("lr", rate))

    def set(self, name: str, value: float, *, arrays: str | None = None) -> int:
        """Sets a hyperparameter, and returns for how many arrays.

        Args:
            name: the hyperparameter.
            value: its value.
            arrays: a pattern of the names of arrays that it is set for, such as `*.bias`; None is
                all that have no value of their own.

        Raises:
            InputError: the program has no such hyperparameter, or the value is not finite.
        """
        return self._core.set(name, _finite(name, value), arrays)

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The hyperparameters with their values."""
        return dict(self._core.hyperparameters)

    @property
    def steps(self) -> int:
        """How many steps have been done."""
        return self._core.steps

    @property
    def state_bytes(self) -> int:
        """Bytes of memory that the state takes."""
        return self._core.state_bytes

    @property
    def is_compiled(self) -> bool:
        """Whether compiled code runs the program, and not the tile machine. The numbers are the
        same."""
        return self._core.is_compiled

    @property
    def slots(self) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
        """Copies of the live slots in float32: of each slot, its arrays by name, in the shapes of the
        weights."""
        found = {}
        for slot, data in self._core.slots():
            numbers, at, arrays = np.frombuffer(data, np.float32), 0, {}
            for name, array in zip(self._names, self._arrays, strict=True):
                shape = tuple(array.shape)
                end = at + math.prod(shape)
                arrays[name] = numbers[at:end].reshape(shape).copy()
                at = end
            found[slot] = arrays
        return found

    def reset(self) -> None:
        """Goes back to zero state and step 0."""
        self._core.reset()

    def state_dict(self) -> dict[str, Any]:
        """The state, the hyperparameters and the program's text: what `load_state_dict` takes."""
        return {
            "program": self.program.source,
            "hash": self.program.hash,
            "lr": self.lr,
            "steps": self.steps,
            "state": self._core.save(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where an optimizer of the same program and arrays was.

        Args:
            state: what `state_dict` returned.

        Raises:
            InputError: the state is another program's, or of other arrays; nothing is changed.
        """
        missing = {"lr", "state"} - state.keys()
        if missing:
            raise InputError(
                f"the state has no {' and no '.join(sorted(missing))}: it should be what state_dict() returned"
            )
        lr, data = _finite("lr", state["lr"]), state["state"]
        if not isinstance(data, bytes):
            raise InputError(f"the state should be bytes, not {type(data).__name__}")
        self._core.load(data)
        self.lr = lr

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, or what is read from a pickle, has arrays of its own.
        named = dict(zip(self._names, self._arrays, strict=True))
        return _restored, (self.program, named, *self._options, self.state_dict())

    def _in_order(self, gradients: Arrays) -> list[Array]:
        """Gradients in the order of the arrays."""
        if _is_array(gradients):
            return [gradients]
        if isinstance(gradients, Mapping):
            if set(gradients) != set(self._names):
                wrong = sorted(set(gradients) ^ set(self._names))
                raise InputError(
                    f"the gradients are not those of the arrays; the difference: {', '.join(map(str, wrong))}"
                )
            return [gradients[name] for name in self._names]
        return list(gradients)

    def __repr__(self) -> str:
        values = [f"lr={self.lr:g}", *(f"{k}={v:g}" for k, v in self.hyperparameters.items())]
        return f"<symopt.Optimizer {self.program.name} {' '.join(values)}, {self.steps} steps>"


def _restored(
    program: Program,
    arrays: dict[str, Array],
    state_dtype: Literal["float32", "bfloat16"],
    rounding_seed: int | None,
    threads: Literal["auto", "one", "all"],
    state: dict[str, Any],
) -> Optimizer:
    optimizer = Optimizer(
        program, arrays, state_dtype=state_dtype, rounding_seed=rounding_seed, threads=threads
    )
    optimizer.load_state_dict(state)
    return optimizer


def _named(arrays: Arrays) -> tuple[list[str], list[Array]]:
    """The names and the arrays in order."""
    named: dict[str, Array]
    if _is_array(arrays):
        named = {"0": arrays}
    elif isinstance(arrays, Mapping):
        named = dict(arrays)
    else:
        named = {str(index): array for index, array in enumerate(arrays)}
    for name, array in named.items():
        if not isinstance(name, str):
            raise InputError(f"names of arrays are strings, not {name!r}")
        if not _is_array(array):
            raise InputError(
                f"the array {name} is a {type(array).__name__}, and should be a numpy.ndarray, or a "
                "tensor that has DLPack"
            )
        # The same memory, without the tape that PyTorch keeps of what happens to it.
        if getattr(array, "requires_grad", False):
            named[name] = array.detach()
    return list(named), list(named.values())


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "__dlpack__")


def _finite(name: str, value: float) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{name} is {number}, and should be a finite number")
    return number
