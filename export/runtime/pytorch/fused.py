"""The launch of the kernel."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


# For each list of sizes: which tensor each block is of, and where each tensor begins.
_LAYOUTS: dict[Any, Any] = {}


def _can_fuse(group: dict[str, Any], lists: list[list[Tensor]]) -> bool:
    """Whether the kernel can take these tensors, which are plain ones."""
    if triton is None or torch.compiler.is_compiling():
        return False
    interpreted = group["fused"] and os.environ.get("TRITON_INTERPRET") == "1"
    device = lists[0][0].get_device()
    if not (device >= 0 and lists[0][0].is_cuda or interpreted):
        return False
    for values in lists:
        dtype = values[0].dtype
        if dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return False
        for x in values:
            alike = x.dtype == dtype and x.get_device() == device
            if not (alike and x.is_contiguous()) or x.data_ptr() % 16:
                return False
    return True


def _update_fused(lists: list[list[Tensor]], scalars: Sequence[Any]) -> None:
    """A step of all tensors of a list by one launch."""
    device, block = lists[0][0].device, 512
    sizes = tuple(param.numel() for param in lists[0])
    if (device, sizes) not in _LAYOUTS:
        each = [(size + block - 1) // block for size in sizes]
        counts = torch.tensor(each, device="cpu")
        owners = torch.repeat_interleave(torch.arange(len(sizes), device="cpu"), counts)
        firsts = torch.cumsum(counts, 0) - counts
        tables = [x.to(device, torch.int32) for x in (owners, firsts)]
        _LAYOUTS[device, sizes] = (*tables, {})
    owners, firsts, known = _LAYOUTS[device, sizes]
    if not len(owners):
        return
    addresses = ([x.data_ptr() for x in values] for values in lists)
    rows = tuple(zip(sizes, *addresses, strict=True))
    # Gradients come and go, but mostly at the same addresses.
    if rows not in known:
        if len(known) > 15:
            known.clear()
        known[rows] = torch.tensor(rows, dtype=torch.int64, device="cpu").to(device)
    names = {
        torch.float32: tl.float32,
        torch.bfloat16: tl.bfloat16,
        torch.float16: tl.float16,
    }
    types = [names[values[0].dtype] for values in (*lists, *lists[:1])][:3]
    with torch.cuda.device(device if device.type == "cuda" else -1):
        _kernel[(len(owners),)](
            known[rows],
            owners,
            firsts,
            *map(float, scalars),
            *types,
            block,
            enable_fp_fusion=False,
            num_warps=8,
        )
