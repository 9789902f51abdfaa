"""The optimizer."""

from collections.abc import Callable
from typing import Any

import torch
from apply import _apply
from basics import _PLAIN, _Batch
from helpers import _pairs, _placed
from hide import _hide, _Hidden
from reduce import _reduce
from rounds import _rounds
from settle import _refuse_both, _settle
from torch import Tensor


class __CLASS__(torch.optim.Optimizer):
    """One step: `optimizer.step()`. All hyperparameters are per group.

    Args:
        params: parameters or groups of them.
        __NAMES__
        maximize: go up.
        foreach: work on lists of tensors (None: where it is faster).
        fused: use the Triton kernel (None: where it can be used).
        state_dtype: the type of the state, such as `torch.bfloat16`, which is rounded to
            it; arithmetic stays in f32. None: f32, or f64 for parameters in f64.
    """

    __CONSTRUCTOR__

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # where settles
        _settle(self.defaults)
        # end settles
        for group in self.param_groups:
            for name, default in self.defaults.items():
                group.setdefault(name, default)
            # where settles
            _settle(group)
            # end settles
            # where not kernel
            group["fused"] = None
            # end kernel
        # where state
        for param, own in self.state.items():
            for name, value in own.items():
                if isinstance(value, _Hidden):
                    # A copy, since steps write to it; `torch.optim` counts steps on CPU.
                    device = "cpu" if name == "step" else param.device
                    own[name] = value.tensor.to(device, copy=True)
            # where renamed
            for given in own.keys() & _RENAMED.keys():  # Of an older file.
                own[_RENAMED[given]] = own.pop(given)
            # end renamed
        for group in self.param_groups:
            # where counts
            count = group.pop("step", 0.0)  # Of an older file.
            # end counts
            for param in group["params"]:
                if self.state.get(param):
                    # where counts
                    self._begin(param, group, float(count))
                    # end counts
                    # where not counts
                    self._begin(param, group)
                    # end counts
        # end state

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters."""
        # where settles
        for key in param_group:
            _refuse_both(param_group, key)
        # end settles
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            # where settles
            _settle(group)
            # end settles
            self._check(group)
        except BaseException:
            self.param_groups.pop()
            raise

    def _check(self, group: dict[str, Any]) -> None:
        """Refuses numbers outside of their ranges, and parameters that can't make a step."""
        __RANGES__
        for param in group["params"]:
            if not param.is_floating_point() and not param.is_complex():
                raise TypeError(f"a parameter of {param.dtype}: only floats take steps")
        is_complex = any(param.is_complex() for param in group["params"])
        # where complex
        if is_complex and group["state_dtype"]:
            name = type(self).__name__
            raise RuntimeError(f"{name}: a complex parameter has no `state_dtype`")
        # end complex
        # where not complex
        if is_complex:
            name = type(self).__name__
            raise RuntimeError(f"{name} does not support complex parameters")
        # end complex

    # where state
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` gave, or the state of an optimizer of `torch.optim` whose
        slots mean the same. It keeps the type that it was saved in."""
        # After all other hooks, so that it sees what they make of the state.
        handle = self.register_load_state_dict_pre_hook(_hide)
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()

    # end state
    def _ready(self, group: dict[str, Any]) -> tuple[list[Tensor], list[Any]]:
        """The parameters of a group that have gradients, and these."""
        # where no_rate
        if group["lr"] != 1.0:
            name = type(self).__name__
            raise RuntimeError(f"{name} reads no learning rate: nothing can change it")
        # end no_rate
        params: list[Tensor] = group["params"]
        grads: list[Any] = [param.grad for param in params]
        if any(grad is None for grad in grads):
            params = [param for param in params if param.grad is not None]
            grads = [param.grad for param in params]
        if {grad.layout for grad in grads} - {torch.strided}:
            name = type(self).__name__
            raise RuntimeError(f"{name} does not support sparse gradients")
        if [grad.shape for grad in grads] != [param.shape for param in params]:
            raise RuntimeError("a gradient has another shape than its parameter")
        if group["maximize"]:
            grads = [-grad for grad in grads]
        if not set(map(type, params)) <= _PLAIN:
            grads = [_placed(x, like) for x, like in zip(grads, params, strict=True)]
        return params, grads

    # where state
    def _begin(self, param: Tensor, group: dict[str, Any], count: float = 0.0) -> None:
        """Makes what a parameter's state lacks."""
        state = self.state[param]
        # where counts
        step = state.get("step", count)
        if not isinstance(step, Tensor):
            state["step"] = torch.tensor(step, dtype=torch.float32, device="cpu")
        # end counts
        # where slots
        dtype = group["state_dtype"]
        dtype = dtype or torch.promote_types(param.dtype, torch.float32)
        for name in _SLOTS:
            if state.get(name) is None:
                state[name] = torch.zeros_like(param, dtype=dtype)
        # end slots

    # end state
    def _batches(self) -> list[_Batch]:
        """The work of a step. What can be wrong is found before anything changes."""
        # where settles
        for group in self.param_groups:
            _settle(group)
        # end settles
        ready = [(group, self._ready(group)) for group in self.param_groups]
        batches: list[_Batch] = []
        for group, (params, grads) in ready:
            # A parameter that is there twice makes one step after the other.
            for made, (own, its) in enumerate(_rounds(params, grads)):
                batches += self._alike(group, own, its, made)
        return batches

    def _alike(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Any], made: int
    ) -> list[_Batch]:
        """Batches of parameters on one device, of one type__AND_COUNT__."""
        # where state
        states = [self.state[param] for param in params]
        if not all(states):
            for param, state in zip(params, states, strict=True):
                if not state:
                    self._begin(param, group)
        # end state
        lists: list[list[Any]] = [params, grads]
        # where slots
        lists += [[state[name] for state in states] for name in _SLOTS]
        # end slots
        # where counts
        steps = [state["step"] for state in states]
        # end counts
        # where step
        # A compiled step does not know the counts, so there each parameter is by itself.
        compiling = torch.compiler.is_compiling()
        counts = steps if compiling else [step.item() for step in steps]
        counts = [count + (made + 1) for count in counts]
        keys: list[Any] = [
            (param.device, param.dtype, index if compiling else counts[index])
            for index, param in enumerate(params)
        ]
        # end step
        # where not step
        keys: list[Any] = [(param.device, param.dtype) for param in params]
        # end step
        found: dict[Any, list[int]] = {}
        if keys.count(keys[0]) == len(keys):
            found[keys[0]] = list(range(len(keys)))
        else:
            for index, key in enumerate(keys):
                found.setdefault(key, []).append(index)
        batches: list[_Batch] = []
        for indices in found.values():
            part = lists
            if len(indices) < len(params):
                part = [[values[index] for index in indices] for values in lists]
            # where complex
            if part[0][0].is_complex():
                part = [[_pairs(x) for x in values] for values in part]
            # end complex
            # where counts
            taken = [steps[index] for index in indices]
            batches.append(_Batch(group, part, taken, __TOTALS__))
            # end counts
            # where not counts
            batches.append(_Batch(group, part, [], __TOTALS__))
            # end counts
        return batches

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """One step.

        Args:
            closure: computes the loss and its gradients anew, and returns the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        batches = self._batches()
        # where sums
        _reduce(batches)
        # end sums
        for batch in batches:
            _apply(batch)
        return loss
