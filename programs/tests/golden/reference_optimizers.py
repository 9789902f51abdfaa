"""Final weights of the zoo's newer programs, by implementations that are not ours: `PYTHON reference_optimizers.py > optimizers.json`.

Made with Python 3.11.7, torch 2.15.0, optax 0.2.8 on jax 0.10.2 and numpy 2.4.6, all in float64 on the CPU. Where neither torch.optim nor optax has the
optimizer, it is written here in plain NumPy from the published formula or the authors' code, which the entry's `reference` names.

Weight i of all arrays, one behind the other, starts at unit(1, i). At step t (from 1) its gradient is 0 where lowbias32(1000 t + i) is divisible
by 8, and unit(2, 1000 t + i) * 2^(2 - i mod 5) elsewhere. unit(seed, k) is the 24 high bits of lowbias32(seed * 0x9e3779b9 + k), scaled to [-1, 1).
"""

import json
import os
import sys

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
import optax
import torch

SHAPES = [(4, 3), (5,), (1,)]
SIZES = [int(np.prod(shape)) for shape in SHAPES]
STEPS = 30


def lowbias32(x):
    x &= 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> 16)


def unit(seed, k):
    return (lowbias32(seed * 0x9E3779B9 + k) >> 8) / (1 << 23) - 1.0


def arrays(number):
    """Arrays of all shapes, from a function of the place."""
    flat = [number(i) for i in range(sum(SIZES))]
    ends = np.cumsum([0] + SIZES)
    return [
        np.array(flat[a:b], dtype=np.float64).reshape(shape)
        for a, b, shape in zip(ends, ends[1:], SHAPES)
    ]


def weights():
    return arrays(lambda i: unit(1, i))


def gradients(t):
    def gradient(i):
        place = 1000 * t + i
        return 0.0 if lowbias32(place) % 8 == 0 else unit(2, place) * 2.0 ** (2 - i % 5)

    return arrays(gradient)


def with_torch(make):
    parameters = [torch.nn.Parameter(torch.tensor(w)) for w in weights()]
    optimizer = make(parameters)
    for t in range(1, STEPS + 1):
        for parameter, g in zip(parameters, gradients(t)):
            parameter.grad = torch.tensor(g)
        optimizer.step()
    return [parameter.detach().numpy() for parameter in parameters]


def with_optax(transformation):
    parameters = [jnp.asarray(w) for w in weights()]
    state = transformation.init(parameters)
    for t in range(1, STEPS + 1):
        updates, state = transformation.update(
            [jnp.asarray(g) for g in gradients(t)], state, parameters
        )
        parameters = optax.apply_updates(parameters, updates)
    return [np.asarray(parameter) for parameter in parameters]


def with_numpy(step, **settings):
    """`step(w, g, state, t, **settings)` changes the dictionary of an array's state, where what is missing is 0, and gives the new weights."""
    result = []
    for index, w in enumerate(weights()):
        state = {}
        for t in range(1, STEPS + 1):
            w = step(w, gradients(t)[index], state, t, **settings)
        result.append(w)
    return result


def average(state, name, x, beta):
    state[name] = beta * state.get(name, np.zeros_like(x)) + (1 - beta) * x
    return state[name]


def adam(g, state, t, beta1, beta2, epsilon):
    m = average(state, "m", g, beta1)
    v = average(state, "v", g**2, beta2)
    return (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)


def cautious_mask(u, g):
    mask = (u * g > 0).astype(np.float64)
    return mask / max(mask.mean(), 1e-3)


def lion_sign(g, state, beta1, beta2):
    u = np.sign(beta1 * state.get("m", np.zeros_like(g)) + (1 - beta1) * g)
    average(state, "m", g, beta2)
    return u


def cautious_lion(w, g, state, t, lr, beta1, beta2, weight_decay):
    u = lion_sign(g, state, beta1, beta2)
    return w * (1 - lr * weight_decay) - lr * u * cautious_mask(u, g)


def cautious_adamw(w, g, state, t, lr, beta1, beta2, epsilon, weight_decay):
    u = adam(g, state, t, beta1, beta2, epsilon)
    return w * (1 - lr * weight_decay) - lr * u * cautious_mask(state["m"], g)


def cautious_decay_lion(w, g, state, t, lr, beta1, beta2, weight_decay):
    u = lion_sign(g, state, beta1, beta2)
    return w - lr * (u + weight_decay * (u * w >= 0) * w)


def cautious_decay_adamw(w, g, state, t, lr, beta1, beta2, epsilon, weight_decay):
    u = adam(g, state, t, beta1, beta2, epsilon)
    return w - lr * (u + weight_decay * (u * w >= 0) * w)


def adan(w, g, state, t, lr, beta1, beta2, beta3, epsilon, weight_decay):
    difference = g - state.get("previous", g)
    state["previous"] = g
    m = average(state, "m", g, beta1)
    v = average(state, "v", difference, beta2)
    n = average(state, "n", (g + beta2 * difference) ** 2, beta3)
    denominator = np.sqrt(n) / np.sqrt(1 - beta3**t) + epsilon
    w = w - lr / (1 - beta1**t) * m / denominator
    w = w - lr * beta2 / (1 - beta2**t) * v / denominator
    return w / (1 + lr * weight_decay)


def laprop(w, g, state, t, lr, beta1, beta2, epsilon):
    v = average(state, "v", g**2, beta2)
    m = average(state, "m", g / (np.sqrt(v / (1 - beta2**t)) + epsilon), beta1)
    return w - lr * m / (1 - beta1**t)


def grams(w, g, state, t, lr, beta1, beta2, epsilon, weight_decay):
    u = adam(g, state, t, beta1, beta2, epsilon)
    return w - lr * (np.sign(g) * np.abs(u) + weight_decay * w)


def mars_lion(w, g, state, t, lr, beta1, gamma, weight_decay):
    c = g + gamma * beta1 / (1 - beta1) * (g - state.get("previous", np.zeros_like(g)))
    state["previous"] = g
    norm = np.linalg.norm(c)
    m = average(state, "m", c / norm if norm > 1 else c, beta1)
    return w - lr * (np.sign(m) + weight_decay * w)


def sophia_clip(w, g, state, t, lr, beta1, beta2, gamma, epsilon, weight_decay):
    m = average(state, "m", g, beta1)
    h = average(state, "h", g**2, beta2)
    w = w - lr * weight_decay * w
    return w - lr * np.clip(m / np.maximum(gamma * h, epsilon), -1, 1)


def smooth_lion(mode, lr, beta1, beta2, weight_decay, **more):
    scale = optax.scale_by_lion(b1=beta1, b2=beta2, mode=mode, **more)
    return optax.chain(
        scale, optax.add_decayed_weights(weight_decay), optax.scale_by_learning_rate(lr)
    )


LION = dict(lr=1e-2, beta1=0.9, beta2=0.99, weight_decay=0.3)
ADAMW = dict(lr=1e-2, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.1)
ADAM = dict(lr=1e-2, beta1=0.9, beta2=0.999, epsilon=1e-8)


def cases():
    """Name, reference, settings (`lr` and hyperparameters, all of them the arguments of the program), final weights."""

    def numpy_case(name, source, step, **settings):
        return name, f"numpy: {source}", settings, with_numpy(step, **settings)

    def torch_case(name, source, settings, make):
        return (
            name,
            f"torch.optim {torch.__version__.split('+')[0]}: {source}",
            settings,
            with_torch(make),
        )

    def optax_case(name, source, settings, transformation):
        return name, f"optax {optax.__version__}: {source}", settings, with_optax(transformation)

    s = dict(LION, smooth_beta=3.0)
    yield optax_case(
        "lion-smooth",
        "scale_by_lion(mode='smooth')",
        s,
        smooth_lion("smooth", LION["lr"], 0.9, 0.99, 0.3, smooth_beta=3.0),
    )
    s = dict(LION, beta1=0.5)  # Blends above 1, too.
    yield optax_case(
        "lion-refined", "scale_by_lion(mode='refined')", s, smooth_lion("refined", **s)
    )
    yield numpy_case("cautious-lion", "C-Optim's code", cautious_lion, **LION)
    yield numpy_case("cautious-adamw", "C-Optim's code", cautious_adamw, **ADAMW)
    yield numpy_case("cautious-decay-lion", "arXiv 2510.12402", cautious_decay_lion, **LION)
    yield numpy_case("cautious-decay-adamw", "arXiv 2510.12402", cautious_decay_adamw, **ADAMW)
    s = dict(lr=2.0, momentum_decay=0.9, trust_coefficient=0.01, weight_decay=0.1)
    yield optax_case(
        "lars", "lars", s, optax.lars(2.0, weight_decay=0.1, trust_coefficient=0.01, momentum=0.9)
    )
    s = dict(lr=1e-2, beta1=0.9, beta2=0.999, epsilon=1e-6, weight_decay=0.1)
    yield optax_case("lamb", "lamb", s, optax.lamb(1e-2, 0.9, 0.999, 1e-6, weight_decay=0.1))
    s = dict(lr=1e-2, beta1=0.9, beta2=0.25, epsilon=1e-6, weight_decay=0.1)
    yield optax_case(
        "novograd", "novograd", s, optax.novograd(1e-2, 0.9, 0.25, 1e-6, weight_decay=0.1)
    )
    s = dict(lr=1e-2, eta_minus=0.5, eta_plus=1.2, min_step=4e-3, max_step=3e-2)
    make = lambda p: torch.optim.Rprop(
        p, lr=1e-2, etas=(0.5, 1.2), step_sizes=(4e-3, 3e-2), foreach=False
    )
    yield torch_case("rprop", "Rprop", s, make)
    yield torch_case(
        "adamax", "Adamax", ADAM, lambda p: torch.optim.Adamax(p, lr=1e-2, foreach=False)
    )
    s = dict(lr=1.0, rho=0.9, epsilon=1e-6)
    yield torch_case("adadelta", "Adadelta", s, lambda p: torch.optim.Adadelta(p, foreach=False))
    yield torch_case(
        "amsgrad",
        "Adam(amsgrad=True)",
        ADAM,
        lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True, foreach=False),
    )
    s = dict(lr=1e-2, beta1=0.98, beta2=0.92, beta3=0.99, epsilon=1e-8, weight_decay=0.1)
    yield numpy_case("adan", "sail-sg/Adan's code", adan, **s)
    yield torch_case("radam", "RAdam", ADAM, lambda p: torch.optim.RAdam(p, lr=1e-2, foreach=False))
    s = dict(lr=1e-2, beta1=0.9, beta2=0.9999, epsilon=1e-6)
    yield optax_case("adopt", "contrib.adopt", s, optax.contrib.adopt(1e-2))
    yield numpy_case("laprop", "arXiv 2002.04839", laprop, **dict(ADAM, epsilon=1e-15))
    s = dict(lr=1e-2, beta1=0.9, beta2=0.999, epsilon=1e-3, initial=1e-6)
    yield optax_case("yogi", "yogi", s, optax.yogi(1e-2))
    yield numpy_case("grams", "arXiv 2412.17107", grams, **ADAMW)
    s = dict(ADAMW, beta3=0.9999, alpha=5.0)
    yield optax_case(
        "ademamix", "contrib.ademamix", s, optax.contrib.ademamix(1e-2, alpha=5.0, weight_decay=0.1)
    )
    yield numpy_case(
        "mars-lion",
        "MARS's code, mars-lion",
        mars_lion,
        lr=3e-3,
        beta1=0.95,
        gamma=0.025,
        weight_decay=0.1,
    )
    s = dict(lr=1e-2, beta1=0.965, beta2=0.99, gamma=0.05, epsilon=1e-12, weight_decay=0.1)
    yield numpy_case(
        "sophia-clip", "arXiv 2305.14342 with squared gradients for the Hessian", sophia_clip, **s
    )
    yield optax_case(
        "schedule-free-sgd",
        "contrib.schedule_free_sgd",
        dict(lr=0.1, beta=0.9),
        optax.contrib.schedule_free_sgd(0.1),
    )
    transformation = optax.contrib.schedule_free_adamw(1e-2, weight_decay=0.1)
    yield optax_case("schedule-free-adamw", "contrib.schedule_free_adamw", ADAMW, transformation)


def main():
    entries = {}
    for name, reference, settings, result in cases():
        final = [float(x) for array in result for x in array.ravel()]
        assert np.all(np.isfinite(final)), name
        entries[name] = {"reference": reference, "settings": settings, "weights": final}
    file = {
        "recipe": __doc__.split("\n\n")[2],
        "shapes": SHAPES,
        "steps": STEPS,
        "optimizers": entries,
    }
    json.dump(file, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
