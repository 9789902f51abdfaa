"""The step of one batch."""

from collections.abc import Sequence
from typing import Any

import torch
from basics import _PLAIN, _Batch
from blocks import _KEPT, BLOCK, _update_blocks
from fused import _can_fuse, _update_fused
from torch import Tensor


def _arithmetic(lists: list[list[Tensor]]) -> torch.dtype:
    """The type that a step computes in: f64 for f64, and f32 for all others."""
    return torch.promote_types(lists[0][0].dtype, torch.float32)


def _update_single(
    arrays: Sequence[Any],
    scalars: Sequence[Any],
    out: Sequence[Tensor | None] = (None,) * _SCRATCH,
) -> None:
    """A step of one tensor, which is computed in another type if it must."""
    dtype = torch.promote_types(arrays[0].dtype, torch.float32)
    if all(x.dtype == dtype for x in arrays):
        _update(*(*arrays, out, *scalars))
        return
    working = [x.to(dtype) for x in arrays]
    _update(*(*working, out, *scalars))
    for index, (array, value) in enumerate(zip(arrays, working, strict=True)):
        if index != 1 and array is not value:
            array.copy_(value)


def _apply(batch: _Batch) -> None:
    """A step of tensors that are on one device and of one type."""
    group, lists, steps, totals = batch
    scalars, own = _numbers(group, totals)
    compiling = torch.compiler.is_compiling()
    on_cpu = lists[0][0].device.type == "cpu"
    plain = all(set(map(type, values)) <= _PLAIN for values in lists)
    foreach = group["foreach"] if plain else False
    # where kernel
    may_fuse = plain and not foreach and group["fused"] is not False
    if may_fuse and _can_fuse(group, lists):
        _update_fused(lists, scalars)
    elif group["fused"] and not compiling:
        raise RuntimeError("`fused` needs Triton and contiguous tensors on CUDA")
    elif plain and on_cpu and foreach is not False and BLOCK and not compiling:
        try:
            _update_blocks(lists, scalars)
        except BaseException:
            _KEPT.__dict__.clear()  # An error may leave it in another shape.
            raise
    # end kernel
    elif foreach or (foreach is None and (compiling or not on_cpu)):
        dtype = _arithmetic(lists)
        working: list[Any] = [
            values
            if all(x.dtype == dtype for x in values)
            else [x.to(dtype) for x in values]
            for values in lists
        ]
        _update_foreach(*(*working, *scalars, *own))
        for index, (values, results) in enumerate(zip(lists, working, strict=True)):
            if index != 1 and values is not results:
                torch._foreach_copy_(values, results)
    else:
        for arrays in zip(*lists, *own, strict=True):
            _update_single(arrays[: len(lists)], (*scalars, *arrays[len(lists) :]))
    # where counts
    if compiling:
        torch._foreach_add_(steps, 1)
    else:  # Of tensors on CPU, as `torch.optim` does it.
        torch._foreach_add_(steps, torch.tensor(1.0, device="cpu"), alpha=1.0)
    # end counts
