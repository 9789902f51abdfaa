"""An external task for symopt: a perceptron learns digits that this script draws.

    symopt train --task-command "python THIS_FILE" --task-export jax --program lion
    symopt search --task-command "python THIS_FILE" --task-export jax

Put your own model and data in place of those of `train`. symopt's side is in `symopt_task.py`,
which lies beside this file (`symopt tasks new --external helper` prints it);
docs/external-tasks.md has all that it can do.
"""

import jax
import jax.numpy as jnp
import numpy
import optax
from symopt_task import serve

# Digits of 3 x 5 pixels, row by row.
FONT = [
    "111101101101111", "010110010010111", "111001111100111", "111001111001111", "101101111001001",
    "111100111001111", "111100111101111", "111001001001001", "111101111101111", "111101111001111",
]  # fmt: skip


def digits(count, generator):
    """Digits at random places of 8 x 8 pixels, with noise."""
    glyphs = numpy.array([[float(pixel) for pixel in glyph] for glyph in FONT]).reshape(
        10, 5, 3
    )
    labels = generator.integers(10, size=count)
    images = 0.4 * generator.normal(size=(count, 8, 8))
    for image, label, (row, column) in zip(
        images, labels, generator.integers(2, size=(count, 2))
    ):
        image[row : row + 5, column : column + 3] += glyphs[label]
    return images.reshape(count, 64).astype(numpy.float32), labels


def logits(weights, inputs):
    """A perceptron with one hidden layer."""
    return (
        jnp.tanh(inputs @ weights["hidden"] + weights["bias"]) @ weights["output"]
        + weights["output_bias"]
    )


def loss_of(weights, inputs, labels):
    """Mean cross-entropy."""
    return optax.softmax_cross_entropy_with_integer_labels(
        logits(weights, inputs), labels
    ).mean()


def train(make_optimizer, seed, budget, report):
    """Trains once, and gives the validation loss at the end."""
    # The same data, weights and batches for all programs that get this seed.
    generator = numpy.random.default_rng(seed)
    inputs, labels = digits(4096, generator)
    held_inputs, held_labels = digits(512, generator)
    weights = {
        "hidden": jnp.asarray(generator.normal(size=(64, 64)) / 8, jnp.float32),
        "bias": jnp.zeros(64),
        "output": jnp.asarray(generator.normal(size=(64, 10)) / 8, jnp.float32),
        "output_bias": jnp.zeros(10),
    }
    steps = budget.steps or 300
    # A short warmup, then down to zero along a cosine.
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, make_optimizer.peak_lr, max(1, steps // 20), max(2, steps)
    )
    optimizer = make_optimizer(learning_rate=schedule)
    state = optimizer.init(weights)

    @jax.jit
    def step_with(weights, state, inputs, labels):
        loss, gradients = jax.value_and_grad(loss_of)(weights, inputs, labels)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state, loss

    def validate():
        accuracy = (logits(weights, held_inputs).argmax(1) == held_labels).mean()
        return {
            "loss": float(loss_of(weights, held_inputs, held_labels)),
            "accuracy": float(accuracy),
        }

    for step in range(1, steps + 1):
        batch = generator.integers(4096, size=64)
        weights, state, loss = step_with(weights, state, inputs[batch], labels[batch])
        if report.due(step, steps):
            report(step, training_loss=float(loss), **validate())
    return validate()


if __name__ == "__main__":
    serve(train)
