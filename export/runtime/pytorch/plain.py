"""The optimizer of a plain file."""

from typing import Any

import torch
from plain_reduce import _reduce


class __CLASS__(torch.optim.Optimizer):
    """One step: `optimizer.step()`. All hyperparameters are per group."""

    __CONSTRUCTOR__

    # where state
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a state, which keeps its type: `torch.optim` would cast it."""

        def hide(_: Any, state: dict[str, Any]) -> dict[str, Any]:
            hidden = {key: {"": lambda x=x: x} for key, x in state["state"].items()}
            return {**state, "state": hidden}

        handle = self.register_load_state_dict_pre_hook(hide)
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for param, own in self.state.items():
            for name, value in own.pop("", dict)().items():
                device = "cpu" if name == "step" else param.device
                own[name] = value.to(device, copy=True)

    # end state
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step. The closure computes the loss and its gradients anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work: list[Any] = []
        for group in self.param_groups:
            # where no_rate
            if group["lr"] != 1.0:
                raise RuntimeError("no learning rate is read: nothing can change it")
            # end no_rate
            for param in group["params"]:
                if (grad := param.grad) is None:
                    continue
                # where state
                state = self.state[param]
                # end state
                if grad.layout != torch.strided or grad.shape != param.shape:
                    raise RuntimeError("a gradient is sparse, or of another shape")
                dtype = torch.promote_types(param.dtype, torch.float32)
                # where state
                if not state:
                    # where counts
                    state["step"] = torch.tensor(0.0, device="cpu")
                    # end counts
                    for name in _SLOTS:
                        state[name] = torch.zeros_like(param, dtype=dtype)
                # end state
                # where slots
                arrays = [param, grad, *(state[name] for name in _SLOTS)]
                # end slots
                # where not slots
                arrays = [param, grad]
                # end slots
                # where complex
                if param.is_complex():
                    arrays = [torch.view_as_real(x.resolve_conj()) for x in arrays]
                # end complex
                # where not complex
                if param.is_complex():
                    raise RuntimeError(f"{type(self).__name__}: a parameter is complex")
                # end complex
                work.append((group, param, arrays, __TOTALS__))
        # where sums
        _reduce(work)
        # end sums
        for group, param, own, totals in work:
            dtype = torch.promote_types(own[0].dtype, torch.float32)
            arrays = [x.to(dtype) for x in own]
            # where step_now
            totals["__STEP__"] = self.state[param]["step"].item() + 1
            # end step_now
            after = __UPDATE__
            for array, value in zip((own[0], *own[2:]), after, strict=True):
                array.copy_(value)
            # where counts
            self.state[param]["step"] += 1
            # end counts
        return loss
