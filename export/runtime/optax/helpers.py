"""What the files for Optax and Praxis call."""

import jax
import jax.numpy as jnp
import numpy as np


def _number(function, *numbers):
    """A function of numbers: of floats in f64, of JAX's in their own type."""
    if all(isinstance(x, (int, float)) for x in numbers):
        with np.errstate(all="ignore"):
            return float(getattr(np, function)(*numbers))
    divisor = numbers[-1]
    # XLA multiplies by the reciprocal of a constant, and takes one below 2^-126 for 0.
    if function == "divide" and isinstance(divisor, float) and abs(divisor) > 2.0**126:
        numbers = jax.lax.optimization_barrier(numbers)
    return getattr(jnp, function)(*numbers)


def _choice(condition, x, y):
    """x where a condition holds, y where it does not: of floats a float."""
    if isinstance(condition, (bool, np.bool_)):
        return x if condition else y
    return jnp.where(condition, x, y)


def _number_guarded_log1p(x):
    """The logarithm of |1 + x|, accurate near 0."""
    return _choice(x < -1, _number("log", -(1 + x)), _number("log1p", x))


def _number_newton_schulz(x):
    """Five steps of Muon's iteration on a number."""
    x = x / (abs(x) + 1e-7)
    for _ in range(5):
        square = x * x
        x = 3.4445 * x + (-4.775 * square + 2.0315 * (square * square)) * x
    return x


def _dot(x, y):
    """The sum of the products of all elements, in f64 if JAX has it.

    In f32, without `jax_enable_x64`, it is infinite beyond 3.4e38, and so is a norm
    beyond 1.8e19.
    """
    dtype = jax.dtypes.canonicalize_dtype(float)
    return jnp.sum(jnp.asarray(x, dtype) * jnp.asarray(y, dtype))


def _norm(x):
    """The Euclidean norm of all elements."""
    return jnp.sqrt(_dot(x, x))


def _clip_factor(norm, limit):
    """The factor that makes a norm at most a limit."""
    return _choice(norm <= limit, 1.0, _number("divide", limit, norm))


def _cube(x):
    return x * x * x


def _guarded_log1p(x):
    """The logarithm of |1 + x|, accurate near 0."""
    return jnp.where(x < -1, jnp.log(-(1 + x)), jnp.log1p(x))


def _mean(x):
    """The mean of all elements, in f64 if JAX has it."""
    return jnp.mean(x, dtype=jax.dtypes.canonicalize_dtype(float))


def _size(x):
    return float(jnp.size(x))


def _matrix(x):
    """An array as a matrix: its first dimension by the rest; a vector is a column."""
    x = jnp.asarray(x)
    columns = 1
    for length in x.shape[1:]:
        columns *= length
    return x.reshape(x.shape[0] if x.ndim else 1, columns)


def _rows(x):
    return float(_matrix(x).shape[0])


def _columns(x):
    return float(_matrix(x).shape[1])


def _transpose(x):
    return _matrix(x).T


def _matmul(x, y):
    """The product of two matrices."""
    return jnp.matmul(_matrix(x), _matrix(y), precision="highest")


def _row_mean(x):
    """The mean of each row, at every place of the row."""
    y = _matrix(x)
    mean = jnp.mean(y, axis=1, keepdims=True)
    return jnp.broadcast_to(mean, y.shape).reshape(x.shape)


def _column_mean(x):
    """The mean of each column, at every place of the column."""
    y = _matrix(x)
    mean = jnp.mean(y, axis=0, keepdims=True)
    return jnp.broadcast_to(mean, y.shape).reshape(x.shape)


def _newton_schulz(x):
    """Five steps of Muon's iteration: the singular values come close to 1."""
    x = jnp.asarray(x)
    y = _matrix(x)
    tall = y.shape[0] > y.shape[1]
    y = y.T if tall else y
    y = y / (_norm(y) + 1e-7)
    for _ in range(5):
        a = _matmul(y, y.T)
        y = 3.4445 * y + _matmul(-4.775 * a + 2.0315 * _matmul(a, a), y)
    return (y.T if tall else y).reshape(x.shape)


def _masked(value, mask, params):
    """A tree like params: a value where the mask holds, and 0 elsewhere."""
    if callable(mask):
        mask = mask(params)

    def fill(keep, part):
        return jax.tree.map(lambda _: value if keep else 0.0, part)

    return jax.tree.map(fill, True if mask is None else mask, params)


def _wide(x):
    """An array in f32 at least."""
    dtype = jnp.result_type(x)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"an array of {dtype}: wrap what is complex in "
            "optax.contrib.split_real_and_imaginary, what is no parameter in optax.masked"
        )
    return jnp.asarray(x, jnp.promote_types(dtype, "float32"))


def _leaves(updates, *trees):
    """For each array that has a gradient: the gradient, and the arrays of other trees."""
    leaves, tree = jax.tree.flatten(updates, is_leaf=lambda leaf: leaf is None)
    rows = zip(leaves, *(tree.flatten_up_to(other) for other in trees), strict=True)
    return [[_wide(x) for x in row] for row in rows if row[0] is not None]


def _step(function, updates, slots, *trees, numbers=()):
    """The trees that a function gives for each gradient, its arrays and numbers, and its slots.

    Slots keep their types; an update has the widest of its arrays. Where there is no
    gradient (None), nothing changes.
    """
    leaves, tree = jax.tree.flatten(updates, is_leaf=lambda leaf: leaf is None)
    columns = [tree.flatten_up_to(other) for other in (*trees, *numbers, *slots)]
    arrays, start = len(trees), len(trees) + len(numbers)
    rows = []
    for g, *others in zip(leaves, *columns, strict=True):
        old = [g, *others[start:]]
        if g is not None:
            wide = [_wide(x) for x in (g, *others[:arrays])]
            new = function(*wide, *others[arrays:start], *map(_wide, others[start:]))
            dtypes = [jnp.result_type(g, *others[:arrays], *others[start:])]
            dtypes.extend(jnp.result_type(x) for x in others[start:])
            old = [jnp.asarray(x, y) for x, y in zip(new, dtypes, strict=True)]
        rows.append(old)
    if not rows:
        return updates, slots
    updates, *slots = [tree.unflatten(column) for column in zip(*rows, strict=True)]
    return updates, slots
