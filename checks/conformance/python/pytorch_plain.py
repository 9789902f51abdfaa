"""Whether files that were written with `--plain` compute the bits of the single-tensor path of the full ones.

    python pytorch_plain.py FULL PLAIN

Both are directories; each file of PLAIN is compared with the one of its name in FULL. It ends with status 1 if two differ.
"""

import sys
from pathlib import Path

import torch

from targets.pytorch import load

SHAPES = [
    ((), torch.float32),
    ((7,), torch.float32),
    ((5, 3), torch.float32),
    ((2, 3, 4), torch.bfloat16),
    ((3,), torch.float64),
    ((0, 2), torch.float32),
]


def after_steps(path, **options):
    """The parameters and their state after some steps, in which each of them now and then has no gradient."""
    module, cls = load(path)
    generator = torch.Generator().manual_seed(1)
    params = [
        torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype))
        for shape, dtype in SHAPES
    ]
    optimizer = cls(params, **options)
    for step in range(4):
        for index, param in enumerate(params):
            taken = (step + index) % 3
            param.grad = (
                torch.randn(param.shape, generator=generator).to(param.dtype) if taken else None
            )
        optimizer.step()
    return [*params, *(optimizer.state[param][name] for param in params for name in module._SLOTS)]


def main(full, plain):
    failed = 0
    paths = sorted(Path(plain).glob("*.py"))
    for path in paths:
        pairs = zip(
            after_steps(Path(full) / path.name, foreach=False), after_steps(path), strict=True
        )
        if not all(
            x.dtype == y.dtype and torch.equal(x.nan_to_num(7), y.nan_to_num(7)) for x, y in pairs
        ):
            failed += 1
            print(f"{path}: it differs from the full file")
    print(f"{len(paths)} files, {failed} differ")
    return 1 if failed or not paths else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
