"""What a user of TensorFlow 2 and of NumPy expects of an optimizer, checked on exported files.

    python tf2_behaviour.py FILE...

Each file is what `symopt export P --to tf2` or `--to numpy` wrote; which of them, its text says. It ends with status 1 if a check fails.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from behaviour import failures, refused
from targets import load, optimizer_class


class OfTensorFlow:
    """Variables, and an optimizer of them."""

    def __init__(self, cls, arrays, **options):
        self.variables = [tf.Variable(array) for array in arrays]
        self.optimizer = cls(**options)

    def step(self, gradients):
        pairs = zip(
            [None if g is None else tf.constant(g) for g in gradients], self.variables, strict=True
        )
        self.optimizer.apply_gradients(pairs)
        return [v.numpy() for v in self.variables]


class OfNumpy:
    """Arrays, and an optimizer of them."""

    def __init__(self, cls, arrays, **options):
        self.variables = [array.copy() for array in arrays]
        self.optimizer = cls(self.variables, **options)

    def step(self, gradients):
        self.optimizer.step(gradients)
        return [array.copy() for array in self.variables]


def ones(count, dtype=np.float32):
    return [np.ones(3, dtype) for _ in range(count)]


def a_variable_counts_its_own_steps(make):
    late, alone = make(ones(2)), make(ones(1))
    gradient = np.full(3, 0.25, np.float32)
    for _ in range(3):
        kept = late.step([gradient, None])
    np.testing.assert_array_equal(kept[1], np.ones(3))
    np.testing.assert_array_equal(late.step([gradient, gradient])[1], alone.step([gradient])[0])


def small_types_are_computed_in_f32(make):
    one = make(ones(1, np.float16))
    for gradient in (0.0, 1e-3, 0.0):
        (found,) = one.step([np.full(3, gradient, np.float16)])
    assert found.dtype == np.float16 and np.all(np.isfinite(found)), found


def complex_arrays_are_refused(make):
    said = refused(TypeError, lambda: make(ones(1, np.complex64)).step(ones(1, np.complex64)))
    assert "complex64" in said


def numbers_out_of_range_are_refused(make):
    name = "learning_rate" if make.func is OfTensorFlow else "lr"
    for kind in (
        float,
        np.float32,
        np.array,
        tf.constant if make.func is OfTensorFlow else np.float64,
    ):
        for value in (-1.0, float("nan")):
            assert name in refused(
                ValueError, lambda value=kind(value): make(ones(1), **{name: value})
            )


def a_number_may_be_of_numpy(make):
    name = "learning_rate" if make.func is OfTensorFlow else "lr"
    gradient = [np.full(3, 0.3, np.float32)]
    for kind in (np.float64, np.array):
        (found,) = make(ones(1), **{name: kind(0.01)}).step(gradient)
        np.testing.assert_array_equal(found, make(ones(1), **{name: 0.01}).step(gradient)[0])


def a_checkpoint_has_the_steps(make):
    if make.func is not OfTensorFlow:
        return
    gradient = [np.full(3, 0.25, np.float32)]
    first, second = make(ones(1)), make(ones(1))
    for _ in range(3):
        first.step(gradient)
    second.optimizer.build(second.variables)
    with tempfile.TemporaryDirectory() as folder:
        path = tf.train.Checkpoint(optimizer=first.optimizer, w=first.variables).write(
            str(Path(folder) / "kept")
        )
        tf.train.Checkpoint(optimizer=second.optimizer, w=second.variables).read(
            path
        ).assert_consumed()
    np.testing.assert_array_equal(first.step(gradient)[0], second.step(gradient)[0])


CHECKS = [
    a_variable_counts_its_own_steps,
    small_types_are_computed_in_f32,
    complex_arrays_are_refused,
    numbers_out_of_range_are_refused,
    a_number_may_be_of_numpy,
    a_checkpoint_has_the_steps,
]


class Maker:
    """Makes what is stepped, of a class."""

    def __init__(self, func, cls):
        self.func, self.cls = func, cls

    def __call__(self, arrays, **options):
        return self.func(self.cls, arrays, **options)


def maker(path):
    cls = optimizer_class(load(path))
    return Maker(OfTensorFlow if issubclass(cls, tf.Module) else OfNumpy, cls)


if __name__ == "__main__":
    sys.exit(failures(sys.argv[1:], CHECKS, lambda path: [maker(path)]))
