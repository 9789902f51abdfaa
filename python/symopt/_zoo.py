"""The zoo: optimizer programs of the literature."""

import html
from collections.abc import Iterator, Mapping

from symopt import _symopt
from symopt._program import Program


class Zoo(Mapping[str, Program]):
    """The programs of the literature by name: `zoo["lion"]` or `zoo.lion`."""

    def __init__(self) -> None:
        self._summaries = dict(_symopt.zoo())

    def __getitem__(self, name: str) -> Program:
        key = name.replace("_", "-")
        if key not in self._summaries:
            raise KeyError(name)
        return Program(key)

    def __getattr__(self, name: str) -> Program:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"the zoo has no program {name!r}; it has {', '.join(self)}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._summaries)

    def __len__(self) -> int:
        return len(self._summaries)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name.replace("-", "_") for name in self)]

    def summary(self, name: str) -> str:
        """Says in one line what a program is.

        Args:
            name: its name, with `-` or `_`.

        Raises:
            KeyError: the zoo has no such program.
        """
        return self._summaries[name.replace("_", "-")]

    def __repr__(self) -> str:
        return f"<symopt.zoo: {', '.join(self)}>"

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(summary)}</td></tr>"
            for name, summary in self._summaries.items()
        )
        return f"<table>{''.join(rows)}</table>"


zoo = Zoo()
"""The programs of the literature by name."""
