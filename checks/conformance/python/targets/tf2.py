"""Runs exported TensorFlow 2 modules: eagerly, and inside `tf.function`."""

import tensorflow as tf

from targets import keras, load, optimizer_class

# Files of so many bytes are traced without AutoGraph, which takes five times as long to rewrite them as they take to be traced. It has nothing to
# find in an export: no condition is a tensor.
LONG = 20_000


def train(path, weights, gradients, learning_rates, hyperparameters, compiled):
    rate = {} if learning_rates is None else {"learning_rate": learning_rates[0]}
    optimizer = optimizer_class(load(path))(**rate, **hyperparameters)
    variables = [tf.Variable(w) for w in weights]

    def step(gradients):
        optimizer.apply_gradients(zip(gradients, variables))

    if compiled:
        step = tf.function(step, autograph=path.stat().st_size < LONG)
    for index, arrays in enumerate(gradients):
        if learning_rates is not None:
            optimizer.learning_rate.assign(learning_rates[index])
        step([tf.constant(g) for g in arrays])
    # The slots are the lists of variables.
    slots = {
        name: list(value)
        for name, value in vars(optimizer).items()
        if name[:6] != "_self_"
        and not isinstance(value, (dict, str))
        and hasattr(value, "__len__")
        and len(value) == len(weights)
        and all(isinstance(v, tf.Variable) for v in value)
    }
    return [w.numpy() for w in variables], {
        name: [v.numpy() for v in value] for name, value in slots.items()
    }


def run(path, weights, gradients, learning_rates, hyperparameters):
    """Without compilation."""
    return train(path, weights, gradients, learning_rates, hyperparameters, compiled=False)


def run_compiled(path, weights, gradients, learning_rates, hyperparameters):
    """The step as a graph."""
    return train(path, weights, gradients, learning_rates, hyperparameters, compiled=True)


# TensorFlow's own Lion is Keras's.
LIONS = {"tf2": keras.LIONS["keras tensorflow"]}
VARIANTS = {"tf2": run, "tf2 function": run_compiled}
