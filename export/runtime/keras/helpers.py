"""What the files for Keras call."""

import keras
import numpy as np
from keras import ops


# The type of scalars: JAX and PyTorch don't have f64 on all of their devices. In f32,
# sums of products beyond 3.4e38 are infinite, and norms beyond 1.8e19.
_SCALAR = "float64" if keras.backend.backend() == "tensorflow" else "float32"


def _wide(variable):
    """The type that a variable is computed in: f32 at least."""
    dtype = keras.backend.standardize_dtype(variable.dtype)
    if "float" not in dtype:
        raise TypeError(f"a variable of {dtype}: train its real numbers as floats")
    return keras.backend.result_type(dtype, "float32")


def _dense(gradient, variable, dtype):
    """A gradient as an array; with TensorFlow, that of a lookup is sparse."""
    return ops.cast(ops.reshape(gradient, variable.shape), dtype)


def _rounded(x, dtype):
    """A number in a type; beyond it, it is infinite."""
    # TensorFlow keeps one tensor for equal floats, such as 0.0 and -0.0; not for arrays.
    x = np.array(x) if isinstance(x, float) else x
    return ops.cast(ops.convert_to_tensor(x, _SCALAR), dtype)


def _dot(x, y):
    """The sum of the products of all elements."""
    return ops.sum(ops.cast(x, _SCALAR) * ops.cast(y, _SCALAR))


def _norm(x):
    """The Euclidean norm of all elements."""
    return ops.sqrt(_dot(x, x))


def _clip_factor(norm, limit):
    """The factor that makes a norm at most a limit."""
    norm = ops.convert_to_tensor(norm, _SCALAR)
    return ops.where(norm <= limit, ops.ones_like(norm), limit / norm)


def _cube(x):
    return x * x * x


def _cbrt(x):
    """The cube root."""
    return ops.sign(x) * ops.power(ops.abs(x), 1 / 3)


def _guarded_log1p(x):
    """The logarithm of |1 + x|, accurate near 0."""
    return ops.where(x < -1, ops.log(-(1 + x)), ops.log1p(x))


def _mean(x):
    """The mean of all elements."""
    return ops.mean(ops.cast(x, _SCALAR))


def _size(x):
    return ops.cast(ops.size(x), _SCALAR)


def _matrix(x):
    """An array as a matrix: its first dimension by the rest; a vector is a column."""
    x = ops.convert_to_tensor(x)
    columns = 1
    for length in x.shape[1:]:
        columns *= length
    return ops.reshape(x, [x.shape[0] if len(x.shape) else 1, columns])


def _rows(x):
    return ops.convert_to_tensor(float(_matrix(x).shape[0]), _SCALAR)


def _columns(x):
    return ops.convert_to_tensor(float(_matrix(x).shape[1]), _SCALAR)


def _transpose(x):
    return ops.transpose(_matrix(x))


def _matmul(x, y):
    return ops.matmul(_matrix(x), _matrix(y))


def _row_mean(x):
    """The mean of each row, at every place of the row."""
    y = _matrix(x)
    mean = ops.mean(ops.cast(y, _SCALAR), axis=1, keepdims=True)
    return ops.reshape(ops.broadcast_to(ops.cast(mean, y.dtype), y.shape), x.shape)


def _column_mean(x):
    """The mean of each column, at every place of the column."""
    y = _matrix(x)
    mean = ops.mean(ops.cast(y, _SCALAR), axis=0, keepdims=True)
    return ops.reshape(ops.broadcast_to(ops.cast(mean, y.dtype), y.shape), x.shape)


def _newton_schulz(x):
    """Five steps of Muon's iteration: the singular values come close to 1."""
    y = _matrix(x)
    tall = y.shape[0] > y.shape[1]
    y = ops.transpose(y) if tall else y
    y = y / ops.cast(_norm(y) + 1e-7, y.dtype)
    for _ in range(5):
        a = ops.matmul(y, ops.transpose(y))
        y = 3.4445 * y + ops.matmul(-4.775 * a + 2.0315 * ops.matmul(a, a), y)
    return ops.reshape(ops.transpose(y) if tall else y, x.shape)
