"""An external task for symopt: a perceptron learns digits that this script draws.

    symopt train --task-command "python THIS_FILE" --task-export pytorch --program lion
    symopt search --task-command "python THIS_FILE" --task-export pytorch --held-out 0

symopt writes requests to the standard input and reads answers from the standard output, one JSON
object a line. To train something of your own, change `digits` and `train`.
"""

import importlib.util
import json
import math
import os
import queue
import sys
import threading

import torch
from torch import nn
from torch.nn import functional

# symopt runs as many of these scripts at once as it has threads.
torch.set_num_threads(1)

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
    glyphs = torch.tensor([[float(pixel) for pixel in glyph] for glyph in FONT]).reshape(10, 5, 3)
    labels = torch.randint(10, (count,), generator=generator)
    images = NOISE * torch.randn(count, 8, 8, generator=generator)
    rows = torch.randint(2, (count,), generator=generator).tolist()
    columns = torch.randint(2, (count,), generator=generator).tolist()
    for image, label, row, column in zip(images, labels.tolist(), rows, columns):
        image[row : row + 5, column : column + 3] += glyphs[label]
    return images.reshape(count, 64), labels


def train(request, is_stopped):
    """Trains with the program of a request, and gives the result."""
    steps = request["budget"]["steps"] or 300
    # The same data, weights and batches for all programs that get this seed.
    generator = torch.Generator().manual_seed(request["seed"])
    torch.manual_seed(request["seed"])
    inputs, labels = digits(TRAINING, generator)
    held_inputs, held_labels = digits(VALIDATION, generator)
    model = nn.Sequential(nn.Linear(64, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 10))
    optimizer = load(request["export"])(model.parameters(), lr=request["peak_lr"], **request["hyperparameters"])

    curve, losses = [], []
    for step in range(1, steps + 1):
        # A short warmup, then down to zero along a cosine.
        warmup = max(1, steps // 20)
        part = step / warmup if step <= warmup else 0.5 + 0.5 * math.cos(math.pi * (step - warmup) / (steps - warmup))
        for group in optimizer.param_groups:
            group["lr"] = request["peak_lr"] * part
        batch = torch.randint(TRAINING, (BATCH,), generator=generator)
        loss = functional.cross_entropy(model(inputs[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step * request["checkpoints"] // steps > len(curve):
            with torch.no_grad():
                outputs = model(held_inputs)
                validation = functional.cross_entropy(outputs, held_labels).item()
                accuracy = (outputs.argmax(1) == held_labels).float().mean().item()
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
