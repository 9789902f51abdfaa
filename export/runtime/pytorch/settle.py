"""Hyperparameters under the names that `torch.optim` has for them."""

from typing import Any


def _settle(group: dict[str, Any]) -> None:
    """Puts what a group has under a name of the program where `torch.optim` has it."""
    for name, (key, place) in _ELSEWHERE.items():
        if name in group:
            value = group.pop(name)
            if place is not None:
                values = group.get(key, ())
                value = (*values[:place], value, *values[place + 1 :])
            group[key] = value


def _refuse_both(own: dict[str, Any], key: str) -> None:
    """Refuses a number that has the name of `torch.optim`, and the program's own too."""
    for name, (its, _) in _ELSEWHERE.items():
        if its == key and name in own:
            raise TypeError(f"give `{key}` or `{name}`, not both")
