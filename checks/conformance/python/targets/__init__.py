"""How the exports to each target are run."""

import importlib.util
import pathlib


class Cannot(Exception):
    """A program has not got a variant; the reason."""


def load(path):
    """The module of an exported file."""
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem + "_export", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def optimizer_class(module):
    """The optimizer of an exported file: the last class that it defines."""
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    return [cls for cls in classes if cls.__module__ == module.__name__][-1]
