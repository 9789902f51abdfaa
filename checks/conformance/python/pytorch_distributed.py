"""Steps of exported files on parameters that are distributed over processes, beside the same steps on whole ones.

    python pytorch_distributed.py PROCESSES FILE...

FSDP2 and tensor parallel on CPU, by gloo, and parameters whose gradients are not summed yet. It ends with status 1 if a result differs.
"""

import os
import sys
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import pytorch_generic
from targets.pytorch import load


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(8, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3), torch.nn.LayerNorm(3)
    )


def sharded(mesh):
    parts = model()
    fully_shard(parts[0], mesh=mesh)
    return fully_shard(parts, mesh=mesh)


def parallel(mesh):
    return parallelize_module(model(), mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def trained(cls, options, make):
    parts = make()
    optimizer = cls(parts.parameters(), **options)
    for seed in range(3):
        torch.manual_seed(seed)
        optimizer.zero_grad()
        parts(torch.randn(6, 8)).square().mean().backward()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    return [whole(param).detach() for param in parts.parameters()]


def unsummed(cls, options, mesh):
    """A replicated parameter whose gradient is the sum of what the processes have."""
    results = []
    for spread in (False, True):
        param = pytorch_generic.param(4, 3)
        if spread:
            param = torch.nn.Parameter(DTensor.from_local(param.detach(), mesh, [Replicate()]))
        optimizer = cls([param], **options)
        for seed in range(2):
            grad = pytorch_generic.gradient(torch.empty(4, 3), seed)
            param.grad = (
                DTensor.from_local(grad / mesh.size(), mesh, [Partial()]) if spread else grad
            )
            optimizer.step()
        results.append([whole(param).detach()])
    return results


def work(rank, count, file, paths):
    os.environ.update(LOCAL_RANK=str(rank))
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=count)
    mesh = init_device_mesh("cpu", (count,))
    failed = 0
    for path in paths:
        _, cls = load(path)
        for options in pytorch_generic.paths(cls):
            expected = trained(cls, options, model)
            pairs = {
                "FSDP2": (expected, trained(cls, options, lambda: sharded(mesh))),
                "tensor parallel": (expected, trained(cls, options, lambda: parallel(mesh))),
                "unsummed gradients": unsummed(cls, options, mesh),
            }
            for name, (xs, ys) in pairs.items():
                # Sums of gradients come in another order, which steps by signs and orthogonal matrices make much of.
                if not all(
                    torch.allclose(x, y, rtol=1e-2, atol=1e-3) for x, y in zip(xs, ys, strict=True)
                ):
                    failed += 1
                    if rank == 0:
                        print(
                            f"{path}: {name}, {options}: {max((x - y).abs().max() for x, y in zip(xs, ys, strict=True))} off"
                        )
    if rank == 0:
        print(f"{count} processes, {len(paths)} files, {failed} failed")
    dist.barrier()
    dist.destroy_process_group()
    sys.exit(1 if failed else 0)


def main(count, *paths):
    with tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "store")
        mp.spawn(work, (int(count), file, paths), nprocs=int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
