import os
from typing import Any

import keras

from symopt._program import Program

__all__ = ["optimizer", "optimizer_class"]

def optimizer_class(
    program: Program | str | os.PathLike[str],
) -> type[keras.optimizers.Optimizer]: ...
def optimizer(
    program: Program | str | os.PathLike[str],
    learning_rate: Any = None,
    **hyperparameters: Any,
) -> keras.optimizers.Optimizer: ...

class Lion(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0001,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class AdamW(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.01,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class AdamwPaper(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self, learning_rate: Any = 1.0, name: str | None = None, **kwargs: Any
    ) -> None: ...

class LionRaw(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self, learning_rate: Any = 1.0, name: str | None = None, **kwargs: Any
    ) -> None: ...

class LionFound(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self, learning_rate: Any = 1.0, name: str | None = None, **kwargs: Any
    ) -> None: ...

class PublishedRegularized(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self, learning_rate: Any = 1.0, name: str | None = None, **kwargs: Any
    ) -> None: ...

class PublishedAdagradLike(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self, learning_rate: Any = 1.0, name: str | None = None, **kwargs: Any
    ) -> None: ...

class PublishedAdabeliefLike(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self, learning_rate: Any = 1.0, name: str | None = None, **kwargs: Any
    ) -> None: ...

class Sgd(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self, learning_rate: Any = 0.1, name: str | None = None, **kwargs: Any
    ) -> None: ...

class Momentum(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum_decay: float = 0.9,
        name: str | None = None,
        *,
        momentum: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class Nesterov(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum_decay: float = 0.9,
        name: str | None = None,
        *,
        momentum: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class Qhm(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 1.0,
        beta: float = 0.999,
        nu: float = 0.7,
        name: str | None = None,
        *,
        momentum: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class SignSGD(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0001,
        weight_decay: float = 0.0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None: ...

class Signum(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0001,
        beta: float = 0.9,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        momentum: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class RMSProp(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.01,
        alpha: float = 0.99,
        epsilon: float = 1e-08,
        name: str | None = None,
        **kwargs: Any,
    ) -> None: ...

class AdaGrad(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.01,
        epsilon: float = 1e-10,
        name: str | None = None,
        **kwargs: Any,
    ) -> None: ...

class Adam(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class NAdam(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.002,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class AdaBelief(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-16,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class AddSign(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.1,
        alpha: float = 1.0,
        beta: float = 0.9,
        name: str | None = None,
        *,
        momentum: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class PowerSign(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.1,
        alpha: float = 2.718281828459045,
        beta: float = 0.9,
        name: str | None = None,
        *,
        momentum: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class Tiger(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta: float = 0.965,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        momentum: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class LionSmooth(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0001,
        beta1: float = 0.9,
        beta2: float = 0.99,
        smooth_beta: float = 1.0,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class LionRefined(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0001,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class CautiousLion(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0001,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class CautiousAdamW(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.01,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class CautiousDecayLion(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0001,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.1,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class CautiousDecayAdamw(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.01,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class MARSLion(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.003,
        beta1: float = 0.95,
        gamma: float = 0.025,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class Grams(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class SophiaClip(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0001,
        beta1: float = 0.965,
        beta2: float = 0.99,
        gamma: float = 0.05,
        epsilon: float = 1e-12,
        weight_decay: float = 0.1,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class LARS(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 1.0,
        momentum_decay: float = 0.9,
        trust_coefficient: float = 0.001,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        momentum: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class LAMB(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-06,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class NovoGrad(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.25,
        epsilon: float = 1e-06,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class AdaMax(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.002,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class AMSGrad(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class RAdam(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class ADOPT(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.9999,
        epsilon: float = 1e-06,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class LaProp(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0004,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-15,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class Yogi(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.01,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 0.001,
        initial: float = 1e-06,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class Adan(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.98,
        beta2: float = 0.92,
        beta3: float = 0.99,
        epsilon: float = 1e-08,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        beta_3: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class AdEMAMix(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        beta3: float = 0.9999,
        alpha: float = 5.0,
        epsilon: float = 1e-08,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        beta_3: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class Adadelta(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 1.0,
        rho: float = 0.9,
        epsilon: float = 1e-06,
        name: str | None = None,
        **kwargs: Any,
    ) -> None: ...

class Rprop(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.01,
        eta_minus: float = 0.5,
        eta_plus: float = 1.2,
        min_step: float = 1e-06,
        max_step: float = 50.0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None: ...

class SchedulefreeSGD(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 1.0,
        beta: float = 0.9,
        name: str | None = None,
        *,
        momentum: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class SchedulefreeAdamW(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-08,
        weight_decay: float = 0.0,
        name: str | None = None,
        *,
        beta_1: float | None = None,
        beta_2: float | None = None,
        **kwargs: Any,
    ) -> None: ...

class Muon(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None: ...

class Adafactor(keras.optimizers.Optimizer):
    program: Program
    def __init__(
        self,
        learning_rate: Any = 0.01,
        beta2_decay: float = -0.8,
        clip_threshold: float = 1.0,
        epsilon1: float = 1e-30,
        epsilon2: float = 0.001,
        weight_decay: float = 0.0,
        name: str | None = None,
        **kwargs: Any,
    ) -> None: ...
