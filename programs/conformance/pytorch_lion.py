"""Exported Lion against the published one for PyTorch: bits, and time beside lion-pytorch.

    python pytorch_lion.py LION.PY LION_OFFICIAL.JSON [--time]

LION.PY is what `symopt export lion --to pytorch` wrote, LION_OFFICIAL.JSON is programs/tests/golden/lion_official.json, which says in `formula`
how its weights and gradients are made. Checked are the weights of the case without decay, bit for bit, on all paths, and beside the recorded
trajectory also a run of the published formula in this PyTorch. With --time, steps on 200 arrays are timed in turn with lion_pytorch's foreach
version, on one thread; each figure is the shortest of the runs, in milliseconds.
"""

import json
import sys
import time

import numpy as np
import torch

from targets.pytorch import load

MASK = (1 << 32) - 1

# Elements of the arrays whose steps are timed.
SIZES = [64, 1024, 16384, 131072]


def lowbias32(x):
    x &= MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & MASK
    return x ^ (x >> 16)


def unit(seed, i):
    return np.float32(lowbias32(seed * 0x9E3779B9 + i) >> 8) / np.float32(1 << 23) - np.float32(1)


def gradient(seed, step, i):
    place = 257 * step + i
    if lowbias32(place + 77 * seed) % 16 == 0 or i % 64 == 0:
        return np.float32(0)
    return unit(seed + 1, place) * np.float32(2.0) ** (-2 * (i % 9))


def published_step(param, momentum, lr, beta1, beta2, decay):
    """google/automl's lion_pytorch.py."""
    param.data.mul_(1 - lr * decay)
    update = momentum * beta1 + param.grad * (1 - beta1)
    param.data.add_(update.sign_(), alpha=-lr)
    momentum.mul_(beta2).add_(param.grad, alpha=1 - beta2)


def check_bits(path, golden):
    with open(golden) as file:
        case = json.load(file)["cases"]["A_const_nowd"]
    seed, rates = case["seed"], np.array(case["lr_bits"], dtype=np.uint32).view(np.float32)
    weights = np.array([unit(seed, i) for i in range(257)], dtype=np.float32)
    gradients = [np.array([gradient(seed, step, i) for i in range(257)], dtype=np.float32) for step in range(50)]
    module, lion = load(path)
    paths = {"default": {}, "single-tensor": {"foreach": False}, "foreach": {"foreach": True}, "kernel": {"fused": True}}
    for name, options in paths.items():
        module.BLOCK = 0 if name == "foreach" else 1 << 15
        param = torch.nn.Parameter(torch.tensor(weights))
        peer = torch.nn.Parameter(torch.tensor(weights))
        momentum = torch.zeros_like(peer)
        optimizer = lion([param], beta1=case["beta1"], beta2=case["beta2"], weight_decay=0.0, **options)
        for step, array in enumerate(gradients):
            lr = float(rates[step])
            param.grad, peer.grad = torch.tensor(array), torch.tensor(array)
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step()
            published_step(peer, momentum, lr, case["beta1"], case["beta2"], 0.0)
            recorded = case["impl"]["torch"].get(f"step{step + 1}")
            if recorded:
                expected = np.array(recorded["w_bits"], dtype=np.uint32)
                found = param.detach().numpy().view(np.uint32)
                assert (found == expected).all(), (
                    f"{name}, step {step + 1}: {(found != expected).sum()} weights differ from the recorded ones"
                )
            assert torch.equal(param, peer), f"{name}, step {step + 1}: weights differ from the published formula's"
        print(f"{name}: 257 weights are those of the published Lion bit for bit after steps 1 to 50")


def measure(path):
    from lion_pytorch.foreach import Lion as Peer

    torch.set_num_threads(1)
    _, lion = load(path)
    print("milliseconds a step on 200 arrays, one thread")
    print(f"{'elements each':>14} {'decay':>6} {'lion-pytorch foreach':>21} {'exported foreach':>17} {'ratio':>6}")
    kinds = {str(size): [size] for size in SIZES} | {"all of these": SIZES}
    for name, sizes in kinds.items():
        for decay in (0.0, 0.1):
            times = {}
            steps = {}
            for who, cls, options in (("peer", Peer, {}), ("own", lion, {"foreach": True})):
                generator = torch.Generator().manual_seed(1)
                params = [torch.nn.Parameter(torch.randn(sizes[i % len(sizes)], generator=generator)) for i in range(200)]
                for param in params:
                    param.grad = torch.randn(param.shape, generator=generator)
                steps[who] = cls(params, lr=1e-4, weight_decay=decay, **options).step
                times[who] = []
            until = time.perf_counter() + 3
            while len(times["own"]) < 5 or time.perf_counter() < until:
                for who, step in steps.items():
                    start = time.perf_counter()
                    step()
                    times[who].append(time.perf_counter() - start)
            peer, own = (min(times[who]) * 1e3 for who in ("peer", "own"))
            print(f"{name:>14} {decay:>6} {peer:>21.3f} {own:>17.3f} {own / peer:>6.2f}", flush=True)


if __name__ == "__main__":
    check_bits(sys.argv[1], sys.argv[2])
    if "--time" in sys.argv:
        measure(sys.argv[1])
