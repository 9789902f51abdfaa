"""Sums over all arrays of all groups."""

from typing import Any

import torch
from apply import _arithmetic
from basics import _Batch
from helpers import _f64
from torch import Tensor


def _reduce(batches: list[_Batch]) -> None:
    """Takes the sums. They go over the tensors of all groups, as one vector."""
    for numbers, sums, names in _SUMS:
        rows: list[list[Tensor]] = []
        for group, lists, _, totals in batches:
            scalars, own = numbers(group, totals)
            dtype = _arithmetic(lists)
            for arrays in zip(*lists, *own, strict=True):
                tensors = [x.to(dtype) for x in arrays[: len(lists)]]
                values = sums(*tensors, *scalars, *arrays[len(lists) :])
                rows.append([_f64(x) for x in values])
        if not rows:
            return
        device = rows[0][0].device
        table = torch.stack([torch.stack([x.to(device) for x in row]) for row in rows])
        all_rows: Any = table
        of_all: Any = table.sum(0)
        if not torch.compiler.is_compiling():
            all_rows, of_all = all_rows.tolist(), of_all.tolist()
        start = 0
        for _, lists, _, totals in batches:
            end = start + len(lists[0])
            for column, (name, per_array) in enumerate(names):
                if per_array:
                    totals[name] = [row[column] for row in all_rows[start:end]]
                else:
                    totals[name] = of_all[column]
            start = end
