"""Functions of Python floats, also for files whose other helpers take tensors."""

import numpy as np


def _divide(x, y):
    """A quotient of numbers: by zero it is infinite or NaN."""
    return float(np.divide(x, y))


def _float_cube(x):
    return x * x * x


def _float_guarded_log1p(x):
    """The logarithm of |1 + x|, accurate near 0."""
    return float(np.log(-(1 + x)) if x < -1 else np.log1p(x))


def _float_newton_schulz(x):
    """Five steps of Muon's iteration on a number."""
    x = x / (abs(x) + 1e-7)
    for _ in range(5):
        square = x * x
        x = 3.4445 * x + (-4.775 * square + 2.0315 * (square * square)) * x
    return x
