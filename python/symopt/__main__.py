"""The command `symopt`, also as `python -m symopt`."""

import signal
import sys

from symopt import _symopt


def main() -> int:
    """Runs the command line of this process, and returns its exit code."""
    # Python's handler would only note an interrupt, and never see it: no Python code runs meanwhile.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _symopt.run_command(["symopt", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
