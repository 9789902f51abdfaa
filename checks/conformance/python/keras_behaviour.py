"""What a user of Keras expects of an optimizer, checked on exported files, on the backend that KERAS_BACKEND names.

    python keras_behaviour.py FILE...

Each file is what `symopt export P --to keras` wrote. It ends with status 1 if a check fails.
"""

import inspect
import pathlib
import sys
import tempfile

import keras
import numpy as np
from keras import ops

from behaviour import failures, refused
from targets import load, optimizer_class


def variables_of(*shapes, dtype="float32"):
    draw = np.random.default_rng(0).standard_normal
    return [
        keras.Variable(draw(shape), dtype=dtype, name=f"w{i}") for i, shape in enumerate(shapes)
    ]


def step(optimizer, variables, *gradients):
    gradients = [
        g if g is None else ops.full(v.shape, g, dtype=v.dtype)
        for g, v in zip(gradients, variables, strict=True)
    ]
    optimizer.apply(gradients, variables)
    return [ops.convert_to_numpy(ops.cast(v, "float32")) for v in variables]


def defaults(cls):
    return {
        name: p.default
        for name, p in inspect.signature(cls).parameters.items()
        if isinstance(p.default, float)
    }


def sums_over_all(cls):
    """Whether the step of a variable depends on the others."""
    return "_backend_update_step" in vars(cls)


def a_variable_counts_its_own_steps(cls):
    if sums_over_all(cls):
        return
    late, early = (variables_of((3,), (3,)) for _ in range(2))
    for variables in (late, early):
        variables[1].assign(variables[0])
    optimizer, other = cls(), cls()
    for built, variables in ((optimizer, late), (other, early)):
        built.build(variables)
    for _ in range(3):
        step(optimizer, late, 0.5, None)
    kept = step(optimizer, late, 0.5, 0.25)[1]
    np.testing.assert_allclose(kept, step(other, early, None, 0.25)[1], rtol=1e-6)
    assert int(optimizer.iterations) == 4


def state_goes_on_after_it_is_loaded(cls):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer=cls(), loss="mse")
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 2), "float32")
    model.fit(x, y, epochs=3, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        other = keras.models.load_model(path)
    for a, b in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
    for one in (model, other):
        one.fit(x, y, epochs=2, verbose=0)
    for a, b in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))


def states_without_counts_go_on(cls):
    """Older files have one count for all variables."""
    variables, others = variables_of((3,), (2, 2)), variables_of((3,), (2, 2))
    optimizer, other = cls(), cls()
    for built, its in ((optimizer, variables), (other, others)):
        built.build(its)
    for _ in range(3):
        step(optimizer, variables, 0.5, 0.25)
    saved = {}
    optimizer.save_own_variables(saved)
    counts = len(others) if "load_own_variables" in vars(cls) else 0
    older = {name: saved[name] for name in list(saved)[: len(saved) - counts]}
    other.load_own_variables(older)
    for a, b in zip(optimizer.variables, other.variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))


def a_variable_that_is_there_twice_steps_twice(cls):
    if sums_over_all(cls):
        return
    (one,), (other,) = variables_of((3,)), variables_of((3,))
    optimizer, its = cls(), cls()
    for built, variable in ((optimizer, one), (its, other)):
        built.build([variable])
    optimizer.apply([ops.ones(3), ops.ones(3)], [one, one])
    for _ in range(2):
        its.apply([ops.ones(3)], [other])
    np.testing.assert_allclose(ops.convert_to_numpy(one), ops.convert_to_numpy(other), rtol=1e-5)


def the_configuration_makes_it_again(cls):
    optimizer = cls(clipnorm=1.0, use_ema=True)
    config = optimizer.get_config()
    again = cls.from_config(config)
    assert again.get_config() == config
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert restored.get_config() == config
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    again = cls.from_config(cls(learning_rate=schedule).get_config())
    variables = variables_of((2,))
    again.build(variables)
    step(again, variables, 0.5)


def two_optimizers_have_names_of_their_own(cls):
    assert cls().name != cls().name and cls(name="mine").name == "mine"


def options_of_all_optimizers_work(cls):
    for options in (
        {"clipnorm": 1.0},
        {"clipvalue": 0.5},
        {"global_clipnorm": 1.0},
        {"use_ema": True},
        {"loss_scale_factor": 2.0},
        {"gradient_accumulation_steps": 2},
        {"weight_decay": None},
    ):
        optimizer, variables = cls(**options), variables_of((3,))
        optimizer.build(variables)
        for _ in range(3):
            (result,) = step(optimizer, variables, 0.5)
        assert np.all(np.isfinite(result)), options


def small_types_are_computed_in_f32(cls):
    for dtype in ("float16", "bfloat16"):
        optimizer, variables = cls(), variables_of((3,), dtype=dtype)
        optimizer.build(variables)
        for gradient in (0.0, 1e-3, 0.0):
            step(optimizer, variables, gradient)
        assert np.all(np.isfinite(ops.convert_to_numpy(ops.cast(variables[0], "float32")))), dtype
        assert keras.backend.standardize_dtype(variables[0].dtype) == dtype


def complex_variables_are_refused(cls):
    try:
        variable = keras.Variable(np.ones(2, "complex64"), dtype="complex64")
    except Exception:
        return  # Keras itself has no such variables on this backend.
    optimizer = cls()

    def train():
        optimizer.build([variable])
        optimizer.apply([ops.convert_to_tensor(np.ones(2, "complex64"))], [variable])

    refused((TypeError, ValueError), train)


def the_names_of_keras_are_taken(cls):
    given = set(inspect.signature(cls).parameters)
    for own, name in (("beta1", "beta_1"), ("beta2", "beta_2")):
        if own in given:
            assert getattr(cls(**{name: 0.5}), own) == 0.5
            assert name in refused(
                TypeError, lambda own=own, name=name: cls(**{own: 0.25, name: 0.5})
            )


def numbers_out_of_range_are_refused(cls):
    for name, default in defaults(cls).items():
        cls(**{name: default})
        said = refused(ValueError, lambda name=name: cls(**{name: float("nan")}))
        assert name in said, said
        if name in ("epsilon", "weight_decay", "beta1", "beta2"):
            refused(ValueError, lambda name=name: cls(**{name: -1.0}))
        if name in ("beta1", "beta2"):
            refused(ValueError, lambda name=name: cls(**{name: 1.0}))
        if name != "learning_rate":  # Of which Keras itself takes nothing but floats.
            for kind in (np.float32, np.array, ops.convert_to_tensor):
                refused(ValueError, lambda name=name, kind=kind: cls(**{name: kind(float("nan"))}))


def sparse_gradients_are_dense_ones(cls):
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    results = []
    for sparse in (True, False):
        optimizer, variables = cls(), variables_of((4, 2))
        optimizer.build(variables)
        rows = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([1, 1]), tf.constant([4, 2]))
        optimizer.apply([rows if sparse else tf.convert_to_tensor(rows)], variables)
        results.append(ops.convert_to_numpy(variables[0]))
    np.testing.assert_allclose(*results, rtol=1e-6)


CHECKS = [
    a_variable_counts_its_own_steps,
    state_goes_on_after_it_is_loaded,
    states_without_counts_go_on,
    a_variable_that_is_there_twice_steps_twice,
    the_configuration_makes_it_again,
    two_optimizers_have_names_of_their_own,
    options_of_all_optimizers_work,
    small_types_are_computed_in_f32,
    complex_variables_are_refused,
    the_names_of_keras_are_taken,
    numbers_out_of_range_are_refused,
    sparse_gradients_are_dense_ones,
]


if __name__ == "__main__":
    sys.exit(failures(sys.argv[1:], CHECKS, lambda path: [optimizer_class(load(path))]))
