"""An external task for symopt: a perceptron learns digits that this script draws.

    symopt train --task-command "python THIS_FILE" --task-export jax --program lion
    symopt search --task-command "python THIS_FILE" --task-export jax --held-out 0

symopt writes requests to the standard input and reads answers from the standard output, one JSON
object a line. To train something of your own, change `digits` and `train`.
"""

import importlib.util
import json
import os
import queue
import sys
import threading

import jax
import jax.numpy as jnp
import numpy
import optax

# Answers go to what was the standard output. All else that prints goes to the standard error stream.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

# Digits of 3 x 5 pixels, row by row.
FONT = [
    "111101101101111", "010110010010111", "111001111100111", "111001111001111", "101101111001001",
    "111100111001111", "111100111101111", "111001001001001", "111101111101111", "111101111001111",
]
TRAINING, VALIDATION, BATCH, HIDDEN, NOISE = 4096, 512, 64, 64, 0.4


def say(**answer):
    """Writes an answer."""
    ANSWERS.write(json.dumps(answer) + "\n")
    ANSWERS.flush()


def load(export):
    """The optimizer of a request, from the file that was written for it."""
    spec = importlib.util.spec_from_file_location("exported", export["path"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, export["name"])


def digits(count, generator):
    """Digits at random places of 8 x 8 pixels, with noise."""
    glyphs = numpy.array([[float(pixel) for pixel in glyph] for glyph in FONT]).reshape(10, 5, 3)
    labels = generator.integers(10, size=count)
    images = NOISE * generator.normal(size=(count, 8, 8))
    places = generator.integers(2, size=(count, 2))
    for image, label, (row, column) in zip(images, labels, places):
        image[row : row + 5, column : column + 3] += glyphs[label]
    return images.reshape(count, 64).astype(numpy.float32), labels


def logits(weights, inputs):
    """A perceptron with one hidden layer."""
    return jnp.tanh(inputs @ weights["hidden"] + weights["bias"]) @ weights["output"] + weights["output_bias"]


def loss_of(weights, inputs, labels):
    """Mean cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(logits(weights, inputs), labels).mean()


def train(request, is_stopped):
    """Trains with the program of a request, and gives the result."""
    steps = request["budget"]["steps"] or 300
    # The same data, weights and batches for all programs that get this seed.
    generator = numpy.random.default_rng(request["seed"])
    inputs, labels = digits(TRAINING, generator)
    held_inputs, held_labels = digits(VALIDATION, generator)
    weights = {
        "hidden": jnp.asarray(generator.normal(size=(64, HIDDEN)) / 8, jnp.float32),
        "bias": jnp.zeros(HIDDEN),
        "output": jnp.asarray(generator.normal(size=(HIDDEN, 10)) / HIDDEN**0.5, jnp.float32),
        "output_bias": jnp.zeros(10),
    }
    # A short warmup, then down to zero along a cosine.
    schedule = optax.warmup_cosine_decay_schedule(0.0, request["peak_lr"], max(1, steps // 20), max(2, steps))
    optimizer = load(request["export"])(learning_rate=schedule, **request["hyperparameters"])
    state = optimizer.init(weights)

    @jax.jit
    def step_with(weights, state, inputs, labels):
        loss, gradients = jax.value_and_grad(loss_of)(weights, inputs, labels)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state, loss

    curve, losses = [], []
    for step in range(1, steps + 1):
        batch = generator.integers(TRAINING, size=BATCH)
        weights, state, loss = step_with(weights, state, inputs[batch], labels[batch])
        losses.append(float(loss))
        if step * request["checkpoints"] // steps > len(curve):
            validation = float(loss_of(weights, held_inputs, held_labels))
            accuracy = float((logits(weights, held_inputs).argmax(1) == held_labels).mean())
            training = sum(losses) / len(losses)
            losses = []
            curve.append(
                {"step": step, "training_loss": training, "validation_loss": validation, "accuracy": accuracy}
            )
            if step < steps:
                say(id=request["id"], step=step, loss=validation, training_loss=training, accuracy=accuracy)
        if is_stopped():
            return {"stopped": True}
    return {"loss": curve[-1]["validation_loss"], "accuracy": curve[-1]["accuracy"], "curve": curve}


def listen(requests, stopped):
    """Sorts what comes in: requests, and the ids of runs that nobody needs any more."""
    for line in sys.stdin:
        message = json.loads(line)
        if "stop" in message:
            stopped.add(message["stop"])
        else:
            requests.put(message)
    requests.put(None)


def main():
    requests, stopped = queue.Queue(), set()
    threading.Thread(target=listen, args=(requests, stopped), daemon=True).start()
    say(ready=True, stop=True)
    while (request := requests.get()) is not None:
        number = request["id"]
        try:
            result = train(request, lambda: number in stopped)
            say(id=number, **result)
        except Exception as error:  # The next request may do better.
            say(id=number, error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
