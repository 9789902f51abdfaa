"""How a step runs on CPU: tensors in blocks."""

import operator
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from apply import _arithmetic, _update_single
from torch import Tensor


# Elements of a block, on CPU: what a step holds of it stays in the cache. 0: no blocks.
BLOCK = 1 << 15
_KEPT = threading.local()


@torch.inference_mode()  # Faster than `no_grad` by a tenth where tensors are small.
def _update_blocks(lists: list[list[Tensor]], scalars: Sequence[Any]) -> None:
    """A step on CPU. Small tensors are gathered to blocks and large ones are cut."""
    dtype = _arithmetic(lists)
    # where tensors
    # With a tensor of its own type PyTorch is faster than with a float.
    scalars = torch.tensor(scalars, dtype=dtype, device="cpu").unbind()
    # end tensors
    # where some_tensors
    # With a tensor of its own type PyTorch is faster in arithmetic than with a float.
    floats = {__KEPT__}
    tensors = torch.tensor(scalars, dtype=dtype, device="cpu").unbind()
    scalars = [
        number if index in floats else tensor
        for index, (number, tensor) in enumerate(zip(scalars, tensors, strict=True))
    ]
    # end some_tensors
    shapes = tuple([param.shape for param in lists[0]])
    gatherings, alone = _plan(dtype, shapes, len(lists))
    for pick, blocks, out, parts, flat in gatherings:
        gathered = [pick(values) for values in lists]
        if flat:
            for tensors, block in zip(gathered, blocks, strict=True):
                torch.cat(tensors, out=block)
        else:
            for tensors, places in zip(gathered, parts, strict=True):
                torch._foreach_copy_(places, tensors)
        _update(*(*blocks, out, *scalars))
        for index, (tensors, places) in enumerate(zip(gathered, parts, strict=True)):
            if index != 1:  # The gradients stay as they are.
                torch._foreach_copy_(tensors, places)
    for index, own in alone:
        arrays = [values[index] for values in lists]
        if own is not None:
            _update_single(arrays, scalars, own)
        elif all(x.is_contiguous() for x in arrays):
            for part in zip(*(torch.split(x.view(-1), BLOCK) for x in arrays)):
                _update_single(part, scalars, _scratch(dtype, part[0].shape))
        else:
            _update_single(arrays, scalars)


def _plan(dtype: torch.dtype, shapes: tuple[torch.Size, ...], count: int) -> Any:
    """How many lists of tensors of these shapes make a step: gatherings of small ones,
    and the indices of the others, with scratch tensors for what need not be cut."""

    def make() -> Any:
        small: list[list[int]] = [[]]
        alone, size = [], 0
        for index, shape in enumerate(shapes):
            if 2 * shape.numel() >= BLOCK:
                alone.append(index)
                continue
            size += shape.numel()
            if size > BLOCK:
                small.append([])
                size = shape.numel()
            small[-1].append(index)
        alone += [indices[0] for indices in small if len(indices) == 1]
        together = [indices for indices in small if len(indices) > 1]
        return [gathering(indices) for indices in together], [
            (index, scratch(shapes[index])) for index in alone
        ]

    def scratch(shape: torch.Size) -> Any:
        return _scratch(dtype, shape) if shape.numel() <= BLOCK else None

    def gathering(indices: list[int]) -> Any:
        own = [shapes[index] for index in indices]
        sizes = [shape.numel() for shape in own]
        numbers = range(_SCRATCH, _SCRATCH + count)
        blocks = [_memory(dtype, number)[: sum(sizes)] for number in numbers]
        parts = [
            [part.view(shape) for part, shape in zip(block.split(sizes), own)]
            for block in blocks
        ]
        flat = all(len(shape) == 1 for shape in own)
        scratch = _scratch(dtype, blocks[0].shape)
        return operator.itemgetter(*indices), blocks, scratch, parts, flat

    return _kept((dtype, BLOCK, shapes), make)


def _kept(key: Any, make: Callable[[], Any]) -> Any:
    """What this thread keeps for later steps, by a key."""
    known = _KEPT.__dict__.setdefault("by_key", {})
    if key not in known:
        if len(known) > 1000:
            known.clear()
        with torch.inference_mode(False):
            known[key] = make()
    return known[key]


def _memory(dtype: torch.dtype, number: int) -> Any:
    """A block in which this thread works, in every step the same one."""

    def make() -> Tensor:
        return torch.empty(BLOCK, dtype=dtype, device="cpu")

    return _kept((dtype, BLOCK, number), make)


def _scratch(dtype: torch.dtype, shape: torch.Size) -> Any:
    """The scratch tensors of an update, in kept memory."""

    def make() -> list[Tensor]:
        blocks = [_memory(dtype, number) for number in range(_SCRATCH)]
        return [block[: shape.numel()].view(shape) for block in blocks]

    return _kept((dtype, BLOCK, shape), make)
