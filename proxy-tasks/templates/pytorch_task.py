"""An external task for symopt: a perceptron learns digits that this script draws.

    symopt train --task-command "python THIS_FILE" --task-export pytorch --program lion
    symopt search --task-command "python THIS_FILE" --task-export pytorch

Put your own model and data in place of those of `train`. symopt's side is in `symopt_task.py`,
which lies beside this file (`symopt tasks new --external helper` prints it);
docs/external-tasks.md has all that it can do.
"""

import torch
from symopt_task import serve, warmup_cosine
from torch import nn
from torch.nn import functional

# symopt runs as many of these scripts at once as it has threads.
torch.set_num_threads(1)

# Digits of 3 x 5 pixels, row by row.
FONT = [
    "111101101101111", "010110010010111", "111001111100111", "111001111001111", "101101111001001",
    "111100111001111", "111100111101111", "111001001001001", "111101111101111", "111101111001111",
]  # fmt: skip


def digits(count):
    """Digits at random places of 8 x 8 pixels, with noise."""
    glyphs = torch.tensor(
        [[float(pixel) for pixel in glyph] for glyph in FONT]
    ).reshape(10, 5, 3)
    labels = torch.randint(10, (count,))
    images = 0.4 * torch.randn(count, 8, 8)
    for image, label, row, column in zip(images, labels, *torch.randint(2, (2, count))):
        image[row : row + 5, column : column + 3] += glyphs[label]
    return images.reshape(count, 64), labels


def train(make_optimizer, seed, budget, report):
    """Trains once, and gives the validation loss at the end."""
    # The same data, weights and batches for all programs that get this seed.
    torch.manual_seed(seed)
    inputs, labels = digits(4096)
    held_inputs, held_labels = digits(512)
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    optimizer = make_optimizer(model.parameters())

    def validate():
        with torch.no_grad():
            outputs = model(held_inputs)
            accuracy = (outputs.argmax(1) == held_labels).float().mean().item()
            return {
                "loss": functional.cross_entropy(outputs, held_labels).item(),
                "accuracy": accuracy,
            }

    steps = budget.steps or 300
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = make_optimizer.peak_lr * warmup_cosine(step, steps)
        batch = torch.randint(4096, (64,))
        loss = functional.cross_entropy(model(inputs[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if report.due(step, steps):
            report(step, training_loss=loss.item(), **validate())
    return validate()


if __name__ == "__main__":
    serve(train)
