"""What the files for TensorFlow call, of both versions."""

import numpy as np
import tensorflow as tf


def _wide(dtype):
    """The type that arrays of a type are computed in: f32 at least."""
    if not dtype.is_floating:
        raise TypeError(f"a variable of {dtype.name}: train its real numbers as floats")
    return tf.float32 if dtype.size < 4 else dtype


def _scalar(x):
    """A number in f64."""
    if isinstance(x, (int, float)):
        return tf.constant(x, tf.float64)
    return tf.cast(x, tf.float64)


def _rounded(x, dtype):
    """A number in a type; beyond it, it is infinite."""
    # TensorFlow keeps one tensor for equal floats, such as 0.0 and -0.0; not for arrays.
    x = np.array(x) if isinstance(x, float) else x
    return tf.cast(tf.constant(x, tf.float64), dtype)


def _dot(x, y):
    """The sum of the products of all elements, in f64."""
    return tf.reduce_sum(tf.cast(x, tf.float64) * tf.cast(y, tf.float64))


def _norm(x):
    """The Euclidean norm of all elements, in f64."""
    return tf.sqrt(_dot(x, x))


def _clip_factor(norm, limit):
    """The factor that makes a norm at most a limit."""
    norm = _scalar(norm)
    return tf.where(norm <= limit, tf.ones_like(norm), limit / norm)


def _exp2(x):
    return tf.pow(tf.constant(2.0, x.dtype), x)


def _exp10(x):
    return tf.pow(tf.constant(10.0, x.dtype), x)


def _cube(x):
    return x * x * x


def _cbrt(x):
    """The cube root, through f64."""
    root = tf.pow(tf.abs(tf.cast(x, tf.float64)), 1 / 3)
    return tf.sign(x) * tf.cast(root, x.dtype)


def _log10(x):
    """The logarithm to base 10, through f64."""
    log = tf.math.log(tf.cast(x, tf.float64))
    return tf.cast(log / tf.math.log(tf.constant(10.0, tf.float64)), x.dtype)


def _log2(x):
    """The logarithm to base 2, through f64."""
    log = tf.math.log(tf.cast(x, tf.float64))
    return tf.cast(log / tf.math.log(tf.constant(2.0, tf.float64)), x.dtype)


def _guarded_log1p(x):
    """The logarithm of |1 + x|, accurate near 0."""
    return tf.where(x < -1, tf.math.log(-(1 + x)), tf.math.log1p(x))


def _mean(x):
    """The mean of all elements, in f64."""
    return tf.reduce_mean(tf.cast(x, tf.float64))


def _size(x):
    return tf.cast(tf.size(x), tf.float64)


def _matrix(x):
    """An array as a matrix: its first dimension by the rest; a vector is a column."""
    x = tf.convert_to_tensor(x)
    columns = 1
    for length in x.shape[1:]:
        columns *= length
    return tf.reshape(x, [x.shape[0] if len(x.shape) else 1, columns])


def _rows(x):
    return tf.constant(float(_matrix(x).shape[0]), tf.float64)


def _columns(x):
    return tf.constant(float(_matrix(x).shape[1]), tf.float64)


def _transpose(x):
    return tf.transpose(_matrix(x))


def _matmul(x, y):
    return tf.matmul(_matrix(x), _matrix(y))


def _row_mean(x):
    """The mean of each row, at every place of the row."""
    y = _matrix(x)
    mean = tf.reduce_mean(tf.cast(y, tf.float64), axis=1, keepdims=True)
    return tf.reshape(tf.broadcast_to(tf.cast(mean, y.dtype), y.shape), x.shape)


def _column_mean(x):
    """The mean of each column, at every place of the column."""
    y = _matrix(x)
    mean = tf.reduce_mean(tf.cast(y, tf.float64), axis=0, keepdims=True)
    return tf.reshape(tf.broadcast_to(tf.cast(mean, y.dtype), y.shape), x.shape)


def _newton_schulz(x):
    """Five steps of Muon's iteration: the singular values come close to 1."""
    y = _matrix(x)
    tall = y.shape[0] > y.shape[1]
    y = tf.transpose(y) if tall else y
    y = y / tf.cast(_norm(y) + 1e-7, y.dtype)
    for _ in range(5):
        a = tf.matmul(y, tf.transpose(y))
        y = 3.4445 * y + tf.matmul(-4.775 * a + 2.0315 * tf.matmul(a, a), y)
    return tf.reshape(tf.transpose(y) if tall else y, x.shape)
