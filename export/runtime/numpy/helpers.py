"""What the files for NumPy call."""

import numpy as np
from floats import _divide


def _dot(x, y):
    """The sum of the products of all elements, in f64."""
    return float(np.sum(np.multiply(x, y, dtype=np.float64)))


def _norm(x):
    """The Euclidean norm of all elements, in f64."""
    return float(np.sqrt(_dot(x, x)))


def _clip_factor(norm, limit):
    """The factor that makes a norm at most a limit."""
    return 1.0 if norm <= limit else _divide(limit, norm)


def _cube(x):
    return x * x * x


def _guarded_log1p(x):
    """The logarithm of |1 + x|, accurate near 0."""
    return np.where(x < -1, np.log(-(1 + x)), np.log1p(x))


def _where(condition, x, y):
    """x where the condition is not 0, y where it is."""
    dtype = np.result_type(condition, x, y)
    return np.where(np.asarray(condition, dtype) != 0, x, y).astype(dtype)


def _less(x, y):
    return np.less(x, y).astype(np.result_type(x, y))


def _less_equal(x, y):
    return np.less_equal(x, y).astype(np.result_type(x, y))


def _greater(x, y):
    return np.greater(x, y).astype(np.result_type(x, y))


def _greater_equal(x, y):
    return np.greater_equal(x, y).astype(np.result_type(x, y))


def _equal(x, y):
    return np.equal(x, y).astype(np.result_type(x, y))


def _mean(x):
    """The mean of all elements, in f64."""
    return _divide(np.sum(x, dtype=np.float64), np.size(x))


def _size(x):
    return float(np.size(x))


def _matrix(x):
    """An array as a matrix: its first dimension by the rest; a vector is a column."""
    return x.reshape(x.shape[0] if x.ndim else 1, int(np.prod(x.shape[1:])))


def _rows(x):
    return float(_matrix(x).shape[0])


def _columns(x):
    return float(_matrix(x).shape[1])


def _transpose(x):
    return _matrix(x).T


def _matmul(x, y):
    """The product of two matrices, summed in f64."""
    x, y = _matrix(x), _matrix(y)
    return np.matmul(x, y, dtype=np.float64).astype(x.dtype)


def _row_mean(x):
    """The mean of each row, at every place of the row."""
    y = _matrix(x)
    mean = np.sum(y, axis=1, keepdims=True, dtype=np.float64) / y.shape[1]
    return np.broadcast_to(mean.astype(y.dtype), y.shape).reshape(x.shape)


def _column_mean(x):
    """The mean of each column, at every place of the column."""
    y = _matrix(x)
    mean = np.sum(y, axis=0, keepdims=True, dtype=np.float64) / y.shape[0]
    return np.broadcast_to(mean.astype(y.dtype), y.shape).reshape(x.shape)


def _newton_schulz(x):
    """Five steps of Muon's iteration: the singular values come close to 1."""
    x = np.asarray(x)
    y = _matrix(x)
    tall = y.shape[0] > y.shape[1]
    y = y.T if tall else y
    y = y / float(_norm(y) + 1e-7)
    for _ in range(5):
        a = _matmul(y, y.T)
        y = 3.4445 * y + _matmul(-4.775 * a + 2.0315 * _matmul(a, a), y)
    return (y.T if tall else y).reshape(x.shape)
