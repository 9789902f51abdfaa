"""Runs exported Optax transformations: eagerly, and compiled with `jax.jit` and donated buffers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from targets import load


def factory(module):
    """The function that makes the whole transformation: the last one that the file defines."""
    functions = [
        f
        for name, f in vars(module).items()
        if callable(f) and getattr(f, "__module__", "") == module.__name__
    ]
    return functions[-1]


def slots_of(state):
    """The slots of the one state that has some, by name."""
    parts = [state] if hasattr(state, "_fields") else list(state)
    for part in parts:
        # Optax's own states have a count at most.
        slots = {name: value for name, value in part._asdict().items() if name != "count"}
        if slots:
            return {name: [np.asarray(array) for array in value] for name, value in slots.items()}
    return {}


def train(make, weights, gradients, learning_rates, hyperparameters, compiled):
    """With the transformations that `make` gives."""
    params = [jnp.array(w) for w in weights]
    arguments = dict(hyperparameters)
    if learning_rates is not None:
        arguments["learning_rate"] = learning_rates[0]
    state = make(**arguments).init(params)

    def step(params, state, gradients, lr):
        rate = {} if learning_rates is None else {"learning_rate": lr}
        updates, state = make(**{**arguments, **rate}).update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    if compiled:
        step = jax.jit(step, donate_argnums=(0, 1))
    for index, arrays in enumerate(gradients):
        lr = None if learning_rates is None else learning_rates[index]
        params, state = step(params, state, [jnp.array(g) for g in arrays], lr)
    return [np.asarray(w) for w in params], slots_of(state)


def run(path, weights, gradients, learning_rates, hyperparameters):
    """Without compilation: each operation by itself, with Python floats as hyperparameters."""
    return train(
        factory(load(path)), weights, gradients, learning_rates, hyperparameters, compiled=False
    )


def run_compiled(path, weights, gradients, learning_rates, hyperparameters):
    """The whole step compiled; the learning rate is a JAX number."""
    return train(
        factory(load(path)), weights, gradients, learning_rates, hyperparameters, compiled=True
    )


def own_lion(compiled, weights, gradients, learning_rates, hyperparameters):
    """Optax's own Lion."""

    def make(learning_rate, beta1=0.9, beta2=0.99, weight_decay=0.0):
        return optax.lion(learning_rate, b1=beta1, b2=beta2, weight_decay=weight_decay)

    weights, slots = train(make, weights, gradients, learning_rates, hyperparameters, compiled)
    return weights, {"m": slots["mu"]}


LIONS = {
    "optax": ("optax.lion", functools.partial(own_lion, False)),
    "optax jit": ("optax.lion", functools.partial(own_lion, True)),
}
VARIANTS = {"optax": run, "optax jit": run_compiled}
