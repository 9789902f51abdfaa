"""What schedulers make of exported optimizers of programs that read no learning rate: a clear refusal, not an error of their own.

python pytorch_without_rate.py FILE...
"""

import sys

import torch

from targets.pytorch import load

RATES = torch.optim.lr_scheduler


def check(path):
    """One file: its groups have a learning rate, which a step refuses once it has been moved."""
    _, cls = load(path)
    param = torch.nn.Parameter(torch.ones(3))
    param.grad = torch.ones(3)
    optimizer = cls([param])
    assert [group["lr"] for group in optimizer.param_groups] == [1.0], path
    constant = RATES.LambdaLR(optimizer, lambda _: 1.0)
    optimizer.step()
    constant.step()
    assert constant.get_last_lr() == [1.0], path
    before = param.detach().clone()
    assert not torch.equal(before, torch.ones(3)), path
    for make in (
        lambda: RATES.StepLR(optimizer, 1, gamma=0.5),
        lambda: RATES.OneCycleLR(optimizer, max_lr=0.1, total_steps=10),
    ):
        make()
        optimizer.param_groups[0]["lr"] = 0.5
        try:
            optimizer.step()
        except RuntimeError as error:
            assert "learning rate" in str(error), error
        else:
            raise AssertionError(f"{path}: a step after a scheduler")
        optimizer.param_groups[0]["lr"] = 1.0
    assert torch.equal(param.detach(), before), path
    state = optimizer.state_dict()
    cls([param]).load_state_dict(state)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        check(path)
    print(f"{len(sys.argv) - 1} files, 0 failed")
