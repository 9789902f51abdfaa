"""Writes matrix.json: weights of Muon and Adafactor after 1, 2, 10 and 50 steps in float64, by implementations that are not ours.

    python reference_matrix.py > matrix.json

- muon/torch: torch.optim.Muon itself. It casts to bfloat16 before its Newton-Schulz steps, which leaves three digits to compare; here the name
  torch.bfloat16 stands for torch.float64 while it steps, so that the same code runs in float64.
- muon/authors: the formula of the authors' muon.py (github.com/KellerJordan/Muon), restated in NumPy, for a convolution's four dimensions too.
  They divide by the norm plus 1e-7, torch by the norm or 1e-7, whichever is larger.
- adafactor/torch: torch.optim.Adafactor with eps[0] = 1e-30, the paper's, for matrices and vectors.
- adafactor/optax: optax.adafactor with jax_enable_x64, every array factored that has two dimensions.

Weights and gradients are made from integers, so that a test in another language makes the same ones: see `unit`.
"""

import json
import re
import sys

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp  # noqa: E402
import optax  # noqa: E402
import torch  # noqa: E402

STEPS = [1, 2, 10, 50]
MUON = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
ADAFACTOR = {
    "lr": 0.01,
    "beta2_decay": -0.8,
    "clip_threshold": 1.0,
    "epsilon1": 1e-30,
    "epsilon2": 1e-3,
    "weight_decay": 0.1,
}
SHAPES = {"wide": [3, 5], "tall": [6, 2], "square": [4, 4], "row": [1, 4], "column": [5, 1]}
CONVOLUTION = {"convolution": [4, 2, 3, 1]}
VECTORS = {"vector": [7], "single": [1]}


def unit(seed, index):
    """A number in [-1, 1): the integer hash lowbias32 of seed * 0x9e3779b9 + index, its upper 24 bits."""
    x = (seed * 0x9E3779B9 + index) & 0xFFFFFFFF
    x ^= x >> 16
    x = (x * 0x7FEB352D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x846CA68B) & 0xFFFFFFFF
    x ^= x >> 16
    return (x >> 8) / (1 << 23) - 1.0


def array(seed, first, shape):
    return np.array([unit(seed, first + i) for i in range(int(np.prod(shape)))]).reshape(shape)


def gradient(name, seed, step, shape):
    """Zero now and then; for the arrays named `column` always zero in the first row."""
    g = array(seed + 1, 1000 * step, shape)
    g = np.where(np.abs(g) < 0.1, 0.0, g)
    if name == "column":
        g[0] = 0.0
    return g


def run(shapes, make):
    """The weights after each of STEPS; make(w) gives step(g) -> weights."""
    result = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        seed = 10 * seed + 1
        step = make(array(seed, 0, shape))
        after = {}
        for t in range(1, STEPS[-1] + 1):
            w = step(gradient(name, seed, t, shape))
            if t in STEPS:
                after[str(t)] = np.asarray(w).ravel().tolist()
        result[name] = {"shape": shape, "seed": seed, "after": after}
    return result


def torch_stepper(make):
    def start(w):
        parameter = torch.nn.Parameter(torch.from_numpy(w.copy()))
        optimizer = make([parameter])

        def step(g):
            parameter.grad = torch.from_numpy(g.copy())
            bfloat16, torch.bfloat16 = torch.bfloat16, torch.float64
            try:
                optimizer.step()
            finally:
                torch.bfloat16 = bfloat16
            assert parameter.dtype == torch.float64
            return parameter.detach().numpy().copy()

        return step

    return start


def muon_torch(parameters):
    return torch.optim.Muon(
        parameters, lr=MUON["lr"], momentum=MUON["momentum"], weight_decay=MUON["weight_decay"]
    )


def zeropower_via_newtonschulz5(g):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.T if g.shape[0] > g.shape[1] else g
    x = x / (np.linalg.norm(x) + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if g.shape[0] > g.shape[1] else x


def muon_authors(w):
    w = w.copy()
    momentum = np.zeros_like(w)
    beta = MUON["momentum"]

    def step(g):
        nonlocal w, momentum
        momentum = momentum + (1 - beta) * (g - momentum)
        update = g + beta * (momentum - g)
        flat = update.reshape(len(update), -1)
        # muon.py has the sizes of the last two dimensions here, which for a convolution are those of its kernel; its documentation and
        # torch.optim.Muon mean the matrix that is made orthogonal.
        update = zeropower_via_newtonschulz5(flat) * max(1, flat.shape[0] / flat.shape[1]) ** 0.5
        w = w * (1 - MUON["lr"] * MUON["weight_decay"]) - MUON["lr"] * update.reshape(w.shape)
        return w

    return step


def adafactor_torch(parameters):
    options = ADAFACTOR
    return torch.optim.Adafactor(
        parameters,
        lr=options["lr"],
        beta2_decay=options["beta2_decay"],
        eps=(options["epsilon1"], options["epsilon2"]),
        d=options["clip_threshold"],
        weight_decay=options["weight_decay"],
        foreach=False,
    )


def adafactor_optax(w):
    transformation = optax.adafactor(
        learning_rate=ADAFACTOR["lr"],
        min_dim_size_to_factor=1,
        decay_rate=-ADAFACTOR["beta2_decay"],
        clipping_threshold=ADAFACTOR["clip_threshold"],
        eps=ADAFACTOR["epsilon1"],
        weight_decay_rate=ADAFACTOR["lr"] * ADAFACTOR["weight_decay"],
        factored=True,
    )
    w = jnp.asarray(w)
    state = transformation.init(w)

    def step(g):
        nonlocal w, state
        updates, state = transformation.update(jnp.asarray(g), state, w)
        w = optax.apply_updates(w, updates)
        assert w.dtype == jnp.float64
        return w

    return step


result = {
    "versions": {
        "torch": torch.__version__,
        "optax": optax.__version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
    },
    "muon": {
        "hyperparameters": MUON,
        "torch": run(SHAPES, torch_stepper(muon_torch)),
        "authors": run({**SHAPES, **CONVOLUTION}, muon_authors),
    },
    "adafactor": {
        "hyperparameters": ADAFACTOR,
        "torch": run({**SHAPES, **VECTORS}, torch_stepper(adafactor_torch)),
        "optax": run({**SHAPES, **VECTORS}, adafactor_optax),
    },
}
# One line for each list of numbers.
text = re.sub(
    r"\[\s+([^\[\]]*?)\s+\]",
    lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]",
    json.dumps(result, indent=1),
)
sys.stdout.write(text + "\n")
