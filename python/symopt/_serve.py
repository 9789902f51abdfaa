"""Serves a function of the user's as a task: `python -m symopt._serve PLACE FUNCTION [FOLDER]`.

PLACE is a file, or a module that is found from FOLDER.
"""

import importlib
import importlib.util
import os
import sys
from typing import Any


def main(place: str, function: str, folder: str | None = None) -> None:
    """Answers requests on the standard input."""
    # Until they are served, what imports print must not be taken for answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    if folder is None:
        sys.path.insert(0, os.path.dirname(place))
        spec = importlib.util.spec_from_file_location("__symopt_task__", place)
        assert spec and spec.loader, "the file is a script of Python"
        train: Any = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = train
        spec.loader.exec_module(train)
    else:
        sys.path.insert(0, folder)
        train = importlib.import_module(place)
    for name in function.split("."):
        train = getattr(train, name)
    sys.stdout.flush()
    os.dup2(answers, 1)
    os.close(answers)
    from symopt.task import serve

    serve(train)


if __name__ == "__main__":
    main(*sys.argv[1:])
