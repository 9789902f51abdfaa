"""Serves a function of the user's as a task: `python -m symopt._serve PLACE FUNCTION [FOLDER]`.

PLACE is a file, or a module that is found from FOLDER. `--pickled FILE` serves what cloudpickle
wrote.
"""

import os
import sys
from pathlib import Path

from symopt._executors import Place, load


def main(place: str, function: str = "", folder: str | None = None) -> None:
    """Answers requests on the standard input."""
    # Until they are served, what imports print must not be taken for answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    if place == "--pickled":
        train = load(Path(function).read_bytes())
    else:
        train = load(Place(place, function, folder))
    sys.stdout.flush()
    os.dup2(answers, 1)
    os.close(answers)
    from symopt.task import serve

    serve(train)


if __name__ == "__main__":
    main(*sys.argv[1:])
