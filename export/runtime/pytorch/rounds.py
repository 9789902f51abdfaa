"""Parameters that are in a group more than once."""

from typing import Any

import torch
from torch import Tensor


def _rounds(
    params: list[Tensor], grads: list[Any]
) -> list[tuple[list[Tensor], list[Any]]]:
    """Lists in which no parameter is twice."""
    if torch.compiler.is_compiling() or len(set(map(id, params))) == len(params):
        return [(params, grads)] if params else []
    rounds: list[tuple[list[Tensor], list[Any]]] = []
    for param, grad in zip(params, grads, strict=True):
        made = sum(any(param is x for x in others) for others, _ in rounds)
        if made == len(rounds):
            rounds.append(([], []))
        rounds[made][0].append(param)
        rounds[made][1].append(grad)
    return rounds
