"""The exceptions of symopt."""

from collections.abc import Iterable
from typing import NamedTuple


class Fault(NamedTuple):
    """One fault of a program's text.

    Attributes:
        line: the line, from 1.
        column: the character of the line, from 1.
        code: a stable name of the kind of fault, such as `unknown-function`.
        message: what is wrong, in one line.
        help: a way out.
    """

    line: int
    column: int
    code: str
    message: str
    help: str | None


class SymoptError(Exception):
    """Whatever goes wrong in symopt."""


class InputError(SymoptError, ValueError):
    """The input is bad: a name, a file, a value. The command line ends with exit code 2."""


class WorkError(SymoptError, RuntimeError):
    """The work failed, or was interrupted. The command line ends with exit code 1."""


class ProgramError(InputError):
    """A text is no program. Its text is the report that the command line prints."""

    def __init__(
        self,
        report: str,
        faults: Iterable[tuple[int, int, str, str, str | None]] = (),
    ) -> None:
        self.faults = [Fault(*fault) for fault in faults]
        """What is wrong, in the order of the text."""
        super().__init__(report, self.faults)
        self.report = report
        """The faults in the text, as the command line prints them."""

    def __str__(self) -> str:
        return self.report

    @property
    def line(self) -> int | None:
        """The line of the first fault, from 1."""
        return self.faults[0].line if self.faults else None

    @property
    def column(self) -> int | None:
        """The character of the first fault in its line, from 1."""
        return self.faults[0].column if self.faults else None
