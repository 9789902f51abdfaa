"""What a user of Optax expects of a transformation, checked on exported files.

    python optax_behaviour.py FILE...

Each file is what `symopt export P --to optax` wrote. It ends with status 1 if a check fails.
"""

import inspect
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

from behaviour import failures, refused
from targets import load
from targets.optax import factory


def params_of(dtype=jnp.float32, seed=0):
    draw = np.random.default_rng(seed).standard_normal
    return {
        "a": jnp.asarray(draw((3, 4)), dtype),
        "b": [jnp.asarray(draw(5), dtype), jnp.asarray(draw(()), dtype)],
    }


def gradients_of(params, seed):
    draw = np.random.default_rng(100 + seed).standard_normal
    return jax.tree.map(lambda w: jnp.asarray(draw(w.shape), w.dtype), params)


def run(transform, params, steps=4, state=None, **extra):
    state = transform.init(params) if state is None else state
    for seed in range(steps):
        updates, state = transform.update(gradients_of(params, seed), state, params, **extra)
        params = optax.apply_updates(params, updates)
    return params, state


def same(x, y, tolerance=0.0):
    for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True):
        np.testing.assert_allclose(
            np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=tolerance, atol=tolerance
        )


def hyperparameters(make):
    return {
        name: p.default
        for name, p in inspect.signature(make).parameters.items()
        if isinstance(p.default, float)
    }


def a_compiled_step_is_the_eager_one(make):
    params = params_of()
    transform = make()
    step = jax.jit(lambda p, s, g: transform.update(g, s, p))
    state = transform.init(params)
    updates, after = step(params, state, gradients_of(params, 0))
    eager, eager_after = transform.update(gradients_of(params, 0), state, params)
    same(updates, eager, 1e-4)
    same(after, eager_after, 1e-4)


def the_state_keeps_its_structure_and_types(make):
    params = params_of()
    transform = make()
    state = transform.init(params)

    def step(carry, _):
        params, state = carry
        updates, state = transform.update(jax.tree.map(jnp.ones_like, params), state, params)
        assert jax.tree.map(lambda u: (u.shape, u.dtype), updates) == jax.tree.map(
            lambda w: (w.shape, w.dtype), params
        )
        return (optax.apply_updates(params, updates), state), None

    (_, after), _ = jax.lax.scan(step, (params, state), None, length=3)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    many = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), params)
    states = jax.vmap(transform.init)(many)
    jax.vmap(lambda g, s, p: transform.update(g, s, p))(many, states, many)


def types_are_kept_and_computed_wide(make):
    for dtype in (jnp.float16, jnp.bfloat16):
        params = params_of(dtype)
        transform = make()
        state = transform.init(params)
        for factor in (0.0, 1e-3):
            gradients = jax.tree.map(lambda g, factor=factor: g * factor, gradients_of(params, 0))
            updates, state = transform.update(gradients, state, params)
            for update, param in zip(
                jax.tree.leaves(updates), jax.tree.leaves(params), strict=True
            ):
                assert update.dtype == param.dtype == dtype
    # Gradients that are narrower than the parameters take no movement away.
    if "learning_rate" in hyperparameters(make):
        params = params_of()
        transform = make(learning_rate=1e-7)
        narrow = jax.tree.map(lambda g: g.astype(jnp.float16), gradients_of(params, 0))
        updates, state = transform.update(narrow, transform.init(params), params)
        wide, _ = make(learning_rate=1e-7).update(
            jax.tree.map(lambda g: g.astype(jnp.float32), narrow), transform.init(params), params
        )
        same(updates, wide, 1e-3)


def complex_numbers_are_pairs_of_reals_or_refused(make):
    params = {"z": jnp.asarray([2 - 1j, 0.5j])}
    said = refused(TypeError, lambda: make().update(params, make().init(params), params))
    assert "split_real_and_imaginary" in said
    transform = optax.contrib.split_real_and_imaginary(make())
    updates, _ = transform.update(params, transform.init(params), params)
    assert updates["z"].dtype == jnp.complex64
    refused(
        TypeError,
        lambda: make().update(
            {"n": jnp.arange(3)}, make().init({"n": jnp.zeros(3)}), {"n": jnp.zeros(3)}
        ),
    )


def odd_arrays_work(make):
    params = {
        "empty": jnp.zeros((0, 3)),
        "other": jnp.zeros((3, 0)),
        "none": None,
        "w": jnp.ones(2),
    }
    run_once = make()
    updates, _ = run_once.update({**params, "w": jnp.ones(2)}, run_once.init(params), params)
    assert updates["empty"].shape == (0, 3) and updates["none"] is None
    # Numbers of Python are arrays without dimensions.
    updates, state = run_once.update({"x": 0.5}, run_once.init({"x": 1.0}), {"x": 1.0})
    run_once.update({"x": 0.5}, state, {"x": 1.0})
    assert jnp.shape(updates["x"]) == ()


def wrappers_work(make):
    params = params_of()
    plain, _ = run(make(), params)
    run(make(), params, value=1.0, extra="unused")
    same(run(optax.with_extra_args_support(make()), params, value=1.0)[0], plain)
    # A step under a condition is compiled, which may fuse roundings.
    same(run(optax.apply_if_finite(make(), 2), params)[0], plain, 1e-5)
    same(run(optax.inject_hyperparams(make)(), params)[0], plain, 1e-4)
    same(run(optax.chain(optax.identity(), make()), params)[0], plain)
    run(optax.MultiSteps(make(), every_k_schedule=2), params)
    masked, _ = run(optax.masked(make(), {"a": True, "b": False}), params, steps=1)
    same(masked["a"], run(make(), {"a": params["a"], "b": None}, steps=1)[0]["a"], 1e-6)
    run(
        optax.multi_transform({"x": make(), "y": optax.set_to_zero()}, {"a": "x", "b": "y"}), params
    )
    run(optax.partition({"x": make(), "y": optax.sgd(0.1)}, {"a": "x", "b": "y"}), params)
    if "learning_rate" in hyperparameters(make):
        schedule = optax.linear_schedule(hyperparameters(make)["learning_rate"], 0.0, 10)
        run(make(learning_rate=schedule), params)
        run(optax.inject_hyperparams(make)(learning_rate=schedule), params)
        jax.jit(
            lambda rate: make(learning_rate=rate).update(
                params, make(learning_rate=rate).init(params), params
            )
        )(0.1)


def the_names_of_optax_are_taken(make):
    given = set(inspect.signature(make).parameters)
    for own, name in (("beta1", "b1"), ("beta2", "b2"), ("epsilon", "eps")):
        if own in given:
            value = hyperparameters(make)[own] / 2
            same(
                run(make(**{name: value}), params_of())[0],
                run(make(**{own: value}), params_of())[0],
            )


def numbers_out_of_range_are_refused(make):
    for name, default in hyperparameters(make).items():
        make(**{name: default})
        said = refused(ValueError, lambda name=name: make(**{name: float("nan")}))
        assert name in said and "nan" in said, said
        if name in ("learning_rate", "epsilon", "weight_decay", "beta1", "beta2"):
            refused(ValueError, lambda name=name: make(**{name: -1.0}))
        if name in ("beta1", "beta2"):
            refused(ValueError, lambda name=name: make(**{name: 1.0}))
        for kind in (np.float32, np.float64, np.array, jnp.asarray):
            make(**{name: kind(default)})
            refused(ValueError, lambda name=name, kind=kind: make(**{name: kind(float("nan"))}))


def a_number_has_one_name_at_a_time(make):
    if "b1" in inspect.signature(make).parameters:
        assert "b1" in refused(TypeError, lambda: make(beta1=0.5, b1=0.25))
        # This wrapper gives the first name too, with its default.
        params = params_of()
        transform = optax.inject_hyperparams(make)(b1=0.5)
        updates, _ = transform.update(gradients_of(params, 0), transform.init(params), params)
        expected, _ = make(b1=0.5).update(gradients_of(params, 0), make().init(params), params)
        same(updates, expected, 1e-4)


def parameters_that_are_needed_are_asked_for(make):
    params = params_of()
    try:
        make().update(gradients_of(params, 0), make().init(params))
    except ValueError as error:
        assert "params" in str(error)


CHECKS = [
    a_compiled_step_is_the_eager_one,
    the_state_keeps_its_structure_and_types,
    types_are_kept_and_computed_wide,
    complex_numbers_are_pairs_of_reals_or_refused,
    odd_arrays_work,
    wrappers_work,
    the_names_of_optax_are_taken,
    numbers_out_of_range_are_refused,
    a_number_has_one_name_at_a_time,
    parameters_that_are_needed_are_asked_for,
]


if __name__ == "__main__":
    sys.exit(failures(sys.argv[1:], CHECKS, lambda path: [factory(load(path))]))
