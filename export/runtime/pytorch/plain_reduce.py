"""The sums of a plain file."""

from typing import Any

import torch
from helpers import _f64


def _reduce(work: list[Any]) -> None:
    """Takes the sums. They go over the tensors of all groups, as one vector."""
    for sums, names in _SUMS if work else ():
        rows = []
        for group, _, own, totals in work:
            dtype = torch.promote_types(own[0].dtype, torch.float32)
            arrays = [x.to(dtype) for x in own]
            values = [_f64(x).cpu() for x in sums(*arrays, group, totals)]
            rows.append(torch.stack(values))
        table = torch.stack(rows)
        of_all = table.sum(0).tolist()
        for row, (_, _, _, totals) in zip(table.tolist(), work, strict=True):
            for x, y, (name, per_array) in zip(row, of_all, names, strict=True):
                totals[name] = x if per_array else y
