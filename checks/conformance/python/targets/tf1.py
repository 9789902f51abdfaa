"""Runs exported TensorFlow 1 optimizers in a graph and a session, on resource variables and on reference variables."""

import tensorflow as tf

from targets import load, optimizer_class

v1 = tf.compat.v1


def train(path, weights, gradients, learning_rates, hyperparameters, use_resource):
    with tf.Graph().as_default():
        variables = [
            v1.get_variable(f"w{i}", initializer=w, use_resource=use_resource)
            for i, w in enumerate(weights)
        ]
        inputs = [v1.placeholder(tf.float32, w.shape) for w in weights]
        rate = v1.placeholder(tf.float64, [])
        arguments = {} if learning_rates is None else {"learning_rate": rate}
        optimizer = optimizer_class(load(path))(**arguments, **hyperparameters)
        step = optimizer.apply_gradients(list(zip(inputs, variables)))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for index, arrays in enumerate(gradients):
                feed = dict(zip(inputs, arrays))
                feed[rate] = 0.0 if learning_rates is None else learning_rates[index]
                session.run(step, feed)
            slots = {
                name: [session.run(optimizer.get_slot(v, name)) for v in variables]
                for name in optimizer.get_slot_names()
            }
            return session.run(variables), slots


def run(path, weights, gradients, learning_rates, hyperparameters):
    """On resource variables, as TensorFlow 2 makes them."""
    return train(path, weights, gradients, learning_rates, hyperparameters, use_resource=True)


def run_reference(path, weights, gradients, learning_rates, hyperparameters):
    """On reference variables, as TensorFlow 1 made them."""
    return train(path, weights, gradients, learning_rates, hyperparameters, use_resource=False)


VARIANTS = {"tf1": run, "tf1 reference variables": run_reference}
