"""The NumPy export: a class over a list of arrays."""

from targets import load, optimizer_class


def run(path, weights, gradients, learning_rates, hyperparameters):
    weights = [array.copy() for array in weights]
    optimizer = optimizer_class(load(path))(weights, **hyperparameters)
    for step, gradient in enumerate(gradients):
        if learning_rates is not None:
            optimizer.lr = learning_rates[step]
        optimizer.step(gradient)
    slots = {
        name: value
        for name, value in vars(optimizer).items()
        if isinstance(value, list) and value is not weights
    }
    return weights, slots


VARIANTS = {"numpy": run}
