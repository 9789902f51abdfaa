"""Exports as modules in memory.

`symopt._made.pytorch_lion` is what `symopt export lion --to pytorch` writes. Programs of the zoo have
such a name in every process, so that what is pickled by it is found again; of other programs the name
ends with digits of their text, and a process knows those that it has made.
"""

import hashlib
import importlib
import importlib.abc
import importlib.machinery
import linecache
import sys
import threading
from collections.abc import Sequence
from types import CodeType, ModuleType

from symopt._errors import InputError
from symopt._program import Program
from symopt._zoo import zoo

_PREFIX = f"{__name__}."
_programs: dict[str, tuple[Program, str]] = {}
"""Of each name the program and the target, where it is not of the zoo."""
_zoo_sources: dict[str, str] = {}
"""The texts of the zoo, with their names."""
_lock = threading.Lock()


class _Loader(importlib.abc.InspectLoader):
    """Writes an export and runs it."""

    def __init__(self, program: Program, target: str) -> None:
        # By the text: programs that compute the same may have other lines.
        self.filename = f"<symopt {target} {program.name} {_digits(program)[:12]}>"
        self.program = program
        self.target = target
        self.text: str | None = None

    def get_source(self, fullname: str) -> str:
        if self.text is None:
            self.text = self.program.export(self.target)
        return self.text

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.get_source(fullname), self.filename, "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        return False

    def exec_module(self, module: ModuleType) -> None:
        text = self.get_source(module.__name__)
        # Tracebacks, inspect and compilers look here; what has no time is never thrown out.
        linecache.cache[self.filename] = (
            len(text),
            None,
            text.splitlines(keepends=True),
            self.filename,
        )
        module.__file__ = self.filename
        exec(self.get_code(module.__name__), module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of programs."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        known = _programs.get(fullname)
        if known is None:
            framework, _, name = fullname.removeprefix(_PREFIX).partition("_")
            if name not in zoo:
                return None
            known = (zoo[name], framework)
        return importlib.machinery.ModuleSpec(
            fullname, _Loader(*known), origin=f"symopt export {known[0].name} --to {known[1]}"
        )


sys.meta_path.append(_Finder())


def _digits(program: Program) -> str:
    return hashlib.sha256(program.source.encode()).hexdigest()[:16]


def module(program: Program, target: str) -> ModuleType:
    """The export of a program as a module: of equal texts the same one."""
    with _lock:
        if not _zoo_sources:
            _zoo_sources.update((known.source, name) for name, known in zoo.items())
    source = program.source
    if name := _zoo_sources.get(source):
        ending = name.replace("-", "_")
    else:
        ending = f"{program._core.function_name}_{_digits(program)}"
    fullname = f"{_PREFIX}{target}_{ending}"
    with _lock:
        if ending not in zoo and fullname not in _programs:
            _programs[fullname] = (program, target)
    return importlib.import_module(fullname)


def entry_point(program: Program, target: str) -> str:
    """The name of the class or the function of an export that makes the optimizer."""
    name = program._core.entry_point(target)
    if name is None:
        raise InputError(f"an export to {target} makes no optimizer")
    return name


def zoo_name(target: str, name: str) -> str | None:
    """The program of the zoo whose export has an entry point of this name."""
    with _lock:
        names = _entry_points.setdefault(target, {})
        if not names:
            names.update((entry_point(known, target), key) for key, known in zoo.items())
    return names.get(name)


_entry_points: dict[str, dict[str, str]] = {}
"""Of each target the entry points, and the programs of the zoo."""


def entry_points(target: str) -> list[str]:
    """The entry points of the zoo's exports."""
    zoo_name(target, "")
    return sorted(_entry_points[target])
