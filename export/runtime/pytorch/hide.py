"""The state of another optimizer, or of an older file, as it is loaded."""

from typing import Any

from torch import Tensor


class _Hidden:
    """A tensor of a state that is loaded, which `torch.optim` would cast to the type of
    its parameter."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _hide(_: Any, state_dict: dict[str, Any]) -> dict[str, Any]:
    """Hides the tensors of a state, which must have the slots."""
    for own in state_dict["state"].values():
        known = __KNOWN__
        for name in _SLOTS:
            if own and name not in known:
                raise ValueError(f"a state has no `{name}`: another optimizer wrote it")
    hidden = {
        key: {
            name: _Hidden(value) if isinstance(value, Tensor) else value
            for name, value in own.items()
        }
        for key, own in state_dict["state"].items()
    }
    return {**state_dict, "state": hidden}
