import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from symopt._program import Program

__all__ = ["optimizer", "optimizer_class"]

def optimizer_class(program: Program | str | os.PathLike[str]) -> type[torch.optim.Optimizer]: ...
def optimizer(
    program: Program | str | os.PathLike[str],
    params: Iterable[Any],
    lr: float | Tensor | None = None,
    **hyperparameters: Any,
) -> torch.optim.Optimizer: ...

class Lion(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0001,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class AdamW(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0.01,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class AdamwPaper(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class LionRaw(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class LionFound(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class PublishedRegularized(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class PublishedAdagradLike(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class PublishedAdabeliefLike(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Sgd(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.1,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Momentum(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.1,
        momentum: float = 0.9,
        *,
        momentum_decay: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Nesterov(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.1,
        momentum: float = 0.9,
        *,
        momentum_decay: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Qhm(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        momentum: float = 0.999,
        nu: float = 0.7,
        *,
        beta: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class SignSGD(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0001,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Signum(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0001,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        *,
        beta: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class RMSProp(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-08,
        *,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class AdaGrad(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.01,
        eps: float = 1e-10,
        *,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Adam(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class NAdam(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.002,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class AdaBelief(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-16,
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class AddSign(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.1,
        alpha: float = 1.0,
        momentum: float = 0.9,
        *,
        beta: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class PowerSign(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.1,
        alpha: float = 2.718281828459045,
        momentum: float = 0.9,
        *,
        beta: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Tiger(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        momentum: float = 0.965,
        weight_decay: float = 0.0,
        *,
        beta: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class LionSmooth(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0001,
        betas: tuple[float, float] = (0.9, 0.99),
        smooth_beta: float = 1.0,
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class LionRefined(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0001,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class CautiousLion(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0001,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class CautiousAdamW(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0.01,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class CautiousDecayLion(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0001,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.1,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class CautiousDecayAdamw(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0.01,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class MARSLion(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.003,
        betas: tuple[float] = (0.95,),
        gamma: float = 0.025,
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Grams(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class SophiaClip(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0001,
        betas: tuple[float, float] = (0.965, 0.99),
        gamma: float = 0.05,
        eps: float = 1e-12,
        weight_decay: float = 0.1,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class LARS(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
        weight_decay: float = 0.0,
        *,
        momentum_decay: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class LAMB(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-06,
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class NovoGrad(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.25),
        eps: float = 1e-06,
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class AdaMax(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.002,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class AMSGrad(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class RAdam(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class ADOPT(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float] = (0.9, 0.9999),
        eps: float = 1e-06,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class LaProp(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0004,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-15,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Yogi(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 0.001,
        initial: float = 1e-06,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Adan(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
        eps: float = 1e-08,
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        beta3: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class AdEMAMix(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        betas: tuple[float, float, float] = (0.9, 0.999, 0.9999),
        alpha: float = 5.0,
        eps: float = 1e-08,
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        beta3: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Adadelta(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-06,
        *,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Rprop(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.01,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-06, 50.0),
        *,
        eta_minus: float | None = None,
        eta_plus: float | None = None,
        min_step: float | None = None,
        max_step: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class SchedulefreeSGD(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        momentum: float = 0.9,
        *,
        beta: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class SchedulefreeAdamW(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.0025,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0.0,
        *,
        beta1: float | None = None,
        beta2: float | None = None,
        epsilon: float | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Muon(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...

class Adafactor(torch.optim.Optimizer):
    program: Program
    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.01,
        beta2_decay: float = -0.8,
        clip_threshold: float = 1.0,
        epsilon1: float = 1e-30,
        epsilon2: float = 0.001,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        state_dtype: torch.dtype | None = None,
    ) -> None: ...
