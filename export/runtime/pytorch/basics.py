"""Types and helpers that all files for PyTorch have."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

Tensors = list[Tensor] | tuple[Tensor, ...]

# Types that lists of tensors, kept memory and the kernel take. All others, such as distributed
# tensors, step one by one, by operations that their own types define.
_PLAIN: set[type] = {Tensor, torch.nn.Parameter}


class _Batch(NamedTuple):
    """Tensors that take a step together."""

    group: dict[str, Any]
    lists: list[list[Tensor]]  # The parameters, the gradients, and each slot.
    steps: list[Tensor]  # How many steps each has made, which is counted up after it.
    totals: dict[str, Any]  # The step count and the sums.


def _number(value: Any) -> Any:
    """A hyperparameter as a float. In a compiled step a tensor stays one, so that nothing
    is compiled anew as its value changes."""
    if not isinstance(value, Tensor):
        return float(value)
    return value.double() if torch.compiler.is_compiling() else value.item()
