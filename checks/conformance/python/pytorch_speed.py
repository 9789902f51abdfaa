"""The time of a step of exported Lion beside lion-pytorch's foreach version, on 200 arrays and one thread of the CPU.

    python pytorch_speed.py LION.PY

LION.PY is what `symopt export lion --to pytorch` wrote. The two step in turn; each figure is the shortest of their steps, in milliseconds.
"""

import sys
import time

import torch
from lion_pytorch.foreach import Lion as Peer

from targets.pytorch import load

# Elements of the arrays.
SIZES = [64, 1024, 16384, 131072]


def main(path):
    torch.set_num_threads(1)
    _, lion = load(path)
    print("milliseconds a step on 200 arrays, one thread")
    print(
        f"{'elements each':>14} {'decay':>6} {'lion-pytorch foreach':>21} {'exported foreach':>17} {'ratio':>6}"
    )
    kinds = {str(size): [size] for size in SIZES} | {"all of these": SIZES}
    for name, sizes in kinds.items():
        for decay in (0.0, 0.1):
            times = {}
            steps = {}
            for who, cls, options in (("peer", Peer, {}), ("own", lion, {"foreach": True})):
                generator = torch.Generator().manual_seed(1)
                params = [
                    torch.nn.Parameter(torch.randn(sizes[i % len(sizes)], generator=generator))
                    for i in range(200)
                ]
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
            print(
                f"{name:>14} {decay:>6} {peer:>21.3f} {own:>17.3f} {own / peer:>6.2f}", flush=True
            )


if __name__ == "__main__":
    main(sys.argv[1])
