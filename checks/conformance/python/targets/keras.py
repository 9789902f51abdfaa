"""Runs exported Keras optimizers on each backend. A process has one backend, so each has a worker process of its own, which stays."""

import functools
import os
import pathlib
import pickle
import subprocess
import sys

from targets import load, optimizer_class


def own_lion(learning_rate, beta1=0.9, beta2=0.99, weight_decay=None):
    """Keras's own Lion."""
    import keras

    return keras.optimizers.Lion(
        learning_rate, beta_1=beta1, beta_2=beta2, weight_decay=weight_decay
    )


def train(path, weights, gradients, learning_rates, hyperparameters):
    """In the process with the backend; without a path, Keras's own Lion."""
    import keras

    cls = own_lion
    if path is not None:
        cls = optimizer_class(load(path))
    rate = {} if learning_rates is None else {"learning_rate": float(learning_rates[0])}
    optimizer = cls(**rate, **hyperparameters)
    variables = [keras.Variable(w, name=f"w{i}") for i, w in enumerate(weights)]
    optimizer.build(variables)
    for index, arrays in enumerate(gradients):
        if learning_rates is not None:
            optimizer.learning_rate = learning_rates[index]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in arrays], variables)
    slots = {
        name: list(value)
        for name, value in vars(optimizer).items()
        if not name.startswith("_") and isinstance(value, (list, tuple))
    }
    slots = {
        name: [v.numpy() if hasattr(v, "numpy") else v for v in value]
        for name, value in slots.items()
        if len(value) == len(weights)
    }
    to_array = keras.ops.convert_to_numpy
    slots = {name: [to_array(v) for v in value] for name, value in slots.items()}
    if path is None:
        slots = {"m": [to_array(v) for v in optimizer._momentums]}
    return [to_array(v) for v in variables], slots


def serve():
    """Answers requests from the standard input until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    # Output of libraries must not get among the answers.
    os.dup2(2, 1)
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = train(*request)
        except Exception as error:
            answer = (
                error if isinstance(error, (ValueError, TypeError)) else RuntimeError(repr(error))
            )
        pickle.dump(answer, answers)
        answers.flush()


@functools.cache
def worker(backend):
    # Not the directory of this file, where Keras would be this file itself.
    here = pathlib.Path(__file__).resolve().parent.parent
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(here)}
    return subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )


def run(backend, path, weights, gradients, learning_rates, hyperparameters):
    """On a backend of Keras, without compilation."""
    process = worker(backend)
    pickle.dump(
        (path and str(path), weights, gradients, learning_rates, hyperparameters), process.stdin
    )
    process.stdin.flush()
    answer = pickle.load(process.stdout)
    if isinstance(answer, Exception):
        raise answer
    return answer


BACKENDS = ("tensorflow", "jax", "torch")
LIONS = {
    f"keras {backend}": ("keras.optimizers.Lion", functools.partial(run, backend, None))
    for backend in BACKENDS
}
VARIANTS = {f"keras {backend}": functools.partial(run, backend) for backend in BACKENDS}
# Each variant runs in a process of its own.
PROCESSES = True

if __name__ == "__main__":
    serve()
