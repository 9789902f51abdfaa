"""Runs an exported PyTorch optimizer: each way that it has to compute a step.

`VARIANTS` maps the name of each way to a function

    run(path, weights, gradients, learning_rates, hyperparameters) -> (weights, slots)

path             the exported file
weights          a list of f32 NumPy arrays
gradients        for each step a list of arrays
learning_rates   a float for each step, or None for a program without lr
hyperparameters  those that differ from the defaults

What is returned are the arrays after the last step, and for each slot a list of arrays.
"""

import functools
import importlib.util
import inspect
import os
import sys

import lion_pytorch
import lion_pytorch.foreach
import numpy as np
import torch

from targets import Cannot

# Triton reads it as a file is loaded.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


def load(path):
    """The module of an exported file, and its class."""
    path = str(path)
    name = "symopt_" + "_".join(os.path.splitext(path)[0].split(os.sep)[-2:])
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    ]
    return module, classes[0]


def has_paths(cls):
    """Whether a step has more than one way to be computed: not in a file that was written with `--plain`."""
    return "foreach" in inspect.signature(cls).parameters


def slots_of(module):
    """What the state of each parameter has under which name of the program; `torch.optim`'s names are in the state."""
    renamed = {new: given for given, new in getattr(module, "_RENAMED", {}).items()}
    return {renamed.get(name, name): name for name in module._SLOTS}


def _run(
    path,
    weights,
    gradients,
    learning_rates,
    hyperparameters,
    prepare=None,
    device="cpu",
    slots=None,
    **options,
):
    module, optimizer_class = load(path)
    if prepare is not None:
        prepare(module)
    params = [torch.nn.Parameter(torch.tensor(array, device=device)) for array in weights]
    if learning_rates is not None:
        options["lr"] = learning_rates[0]
    optimizer = optimizer_class(params, **hyperparameters, **options)
    for index, arrays in enumerate(gradients):
        for param, array in zip(params, arrays, strict=True):
            param.grad = torch.tensor(array, device=device)
        if learning_rates is not None:
            for group in optimizer.param_groups:
                group["lr"] = learning_rates[index]
        optimizer.step()
    slots = {
        given: [optimizer.state[param][name].cpu().numpy() for param in params]
        for given, name in (slots or slots_of(module)).items()
    }
    return [param.detach().cpu().numpy() for param in params], slots


def run(*arguments):
    """On CPU with all defaults: tensors in blocks."""
    return _run(*arguments)


def run_single(*arguments):
    """Tensor by tensor."""
    return _run(*arguments, foreach=False)


def run_foreach(*arguments):
    """On lists of tensors, as on CUDA."""

    def without_blocks(module):
        module.BLOCK = 0

    return _run(*arguments, prepare=without_blocks, foreach=True)


class _InterpretedLibdevice:
    """The functions of libdevice in Triton's interpreter, which lacks them: those of PyTorch."""

    def __getattr__(self, name):
        from triton.language import core
        from triton.language.extra.cuda import libdevice
        from triton.runtime.interpreter import TensorHandle

        given = inspect.getsource(getattr(libdevice, name))
        # With other types a kernel would not compile.
        assert 'core.dtype("fp32")' in given, f"libdevice.{name} is not one of f32"
        others = {"exp10": lambda x: torch.pow(10.0, x), "cbrt": _cbrt}
        compute = others.get(name) or getattr(torch, name)

        def call(*operands):
            blocks = [x for x in operands if isinstance(x, core.tensor)]
            assert blocks and all(x.dtype == core.float32 for x in blocks), operands
            arrays = [
                torch.as_tensor(x.handle.data if isinstance(x, core.tensor) else x)
                for x in operands
            ]
            result = compute(*(x.to(torch.float32) for x in arrays)).numpy()
            kind = max((x.type for x in blocks), key=lambda kind: kind.is_block())
            return core.tensor(TensorHandle(result, core.float32), kind)

        return call


def _cbrt(x):
    return torch.from_numpy(np.cbrt(np.asarray(x)))


def run_kernel(*arguments):
    """The Triton kernel: on the GPU if there is one, or in Triton's interpreter."""
    path, *rest = arguments
    module = load(path)[0]
    if not hasattr(module, "_kernel"):
        raise Cannot("its steps are not element by element")

    def prepare(module):
        if hasattr(module, "libdevice") and not torch.cuda.is_available():
            module.libdevice = _InterpretedLibdevice()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return _run(path, *rest, prepare=prepare, fused=True, device=device)


def run_plain(path, weights, gradients, learning_rates, hyperparameters):
    """The file that was written with `--plain`."""
    plain = path.parent.parent / "pytorch-plain" / path.name
    taken = inspect.signature(load(plain)[1]).parameters
    if any(name not in taken for name in hyperparameters):
        raise Cannot("its hyperparameters have the names of torch.optim alone")
    return _run(
        plain, weights, gradients, learning_rates, hyperparameters, slots=slots_of(load(path)[0])
    )


def own_lion(cls, weights, gradients, learning_rates, hyperparameters):
    """A Lion of lion_pytorch."""
    params = [torch.nn.Parameter(torch.tensor(array)) for array in weights]
    betas = (hyperparameters.get("beta1", 0.9), hyperparameters.get("beta2", 0.99))
    optimizer = cls(
        params,
        lr=learning_rates[0],
        betas=betas,
        weight_decay=hyperparameters.get("weight_decay", 0.0),
    )
    for lr, arrays in zip(learning_rates, gradients, strict=True):
        for param, array in zip(params, arrays, strict=True):
            param.grad = torch.tensor(array)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
    return [param.detach().numpy() for param in params], {
        "m": [optimizer.state[param]["exp_avg"].numpy() for param in params]
    }


VARIANTS = {
    "pytorch": run,
    "pytorch single-tensor": run_single,
    "pytorch foreach": run_foreach,
    "pytorch kernel": run_kernel,
    "pytorch plain": run_plain,
}
LIONS = {
    "pytorch": ("lion_pytorch.Lion", functools.partial(own_lion, lion_pytorch.Lion)),
    "pytorch foreach": (
        "lion_pytorch.foreach.Lion",
        functools.partial(own_lion, lion_pytorch.foreach.Lion),
    ),
}
