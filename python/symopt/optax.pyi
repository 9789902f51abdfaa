import os
from types import ModuleType
from typing import Any

import optax

from symopt._program import Program

__all__ = ["module", "transform"]

def module(program: Program | str | os.PathLike[str]) -> ModuleType: ...
def transform(
    program: Program | str | os.PathLike[str],
    learning_rate: float | optax.Schedule | None = None,
    **hyperparameters: Any,
) -> optax.GradientTransformation: ...
def lion(
    learning_rate: float | optax.Schedule = 0.0001,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
) -> optax.GradientTransformation: ...
def adamw(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    weight_decay: float = 0.01,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def adamw_paper(
    learning_rate: float | optax.Schedule = 1.0, mu_dtype: Any = None
) -> optax.GradientTransformation: ...
def lion_raw(
    learning_rate: float | optax.Schedule = 1.0, mu_dtype: Any = None
) -> optax.GradientTransformation: ...
def lion_found(
    learning_rate: float | optax.Schedule = 1.0, mu_dtype: Any = None
) -> optax.GradientTransformation: ...
def published_regularized(
    learning_rate: float | optax.Schedule = 1.0, mu_dtype: Any = None
) -> optax.GradientTransformation: ...
def published_adagrad_like(
    learning_rate: float | optax.Schedule = 1.0, mu_dtype: Any = None
) -> optax.GradientTransformation: ...
def published_adabelief_like(
    learning_rate: float | optax.Schedule = 1.0, mu_dtype: Any = None
) -> optax.GradientTransformation: ...
def sgd(learning_rate: float | optax.Schedule = 0.1) -> optax.GradientTransformation: ...
def momentum(
    learning_rate: float | optax.Schedule = 0.1,
    momentum_decay: float = 0.9,
    mu_dtype: Any = None,
    *,
    momentum: float | None = None,
) -> optax.GradientTransformation: ...
def nesterov(
    learning_rate: float | optax.Schedule = 0.1,
    momentum_decay: float = 0.9,
    mu_dtype: Any = None,
    *,
    momentum: float | None = None,
) -> optax.GradientTransformation: ...
def qhm(
    learning_rate: float | optax.Schedule = 1.0,
    beta: float = 0.999,
    nu: float = 0.7,
    mu_dtype: Any = None,
    *,
    momentum: float | None = None,
) -> optax.GradientTransformation: ...
def signsgd(
    learning_rate: float | optax.Schedule = 0.0001, weight_decay: float = 0.0, mask: Any = None
) -> optax.GradientTransformation: ...
def signum(
    learning_rate: float | optax.Schedule = 0.0001,
    beta: float = 0.9,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    momentum: float | None = None,
) -> optax.GradientTransformation: ...
def rmsprop(
    learning_rate: float | optax.Schedule = 0.01,
    alpha: float = 0.99,
    epsilon: float = 1e-08,
    mu_dtype: Any = None,
    *,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def adagrad(
    learning_rate: float | optax.Schedule = 0.01,
    epsilon: float = 1e-10,
    mu_dtype: Any = None,
    *,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def adam(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def nadam(
    learning_rate: float | optax.Schedule = 0.002,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def adabelief(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-16,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def addsign(
    learning_rate: float | optax.Schedule = 0.1,
    alpha: float = 1.0,
    beta: float = 0.9,
    mu_dtype: Any = None,
    *,
    momentum: float | None = None,
) -> optax.GradientTransformation: ...
def powersign(
    learning_rate: float | optax.Schedule = 0.1,
    alpha: float = 2.718281828459045,
    beta: float = 0.9,
    mu_dtype: Any = None,
    *,
    momentum: float | None = None,
) -> optax.GradientTransformation: ...
def tiger(
    learning_rate: float | optax.Schedule = 0.001,
    beta: float = 0.965,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    momentum: float | None = None,
) -> optax.GradientTransformation: ...
def lion_smooth(
    learning_rate: float | optax.Schedule = 0.0001,
    beta1: float = 0.9,
    beta2: float = 0.99,
    smooth_beta: float = 1.0,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
) -> optax.GradientTransformation: ...
def lion_refined(
    learning_rate: float | optax.Schedule = 0.0001,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
) -> optax.GradientTransformation: ...
def cautious_lion(
    learning_rate: float | optax.Schedule = 0.0001,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
) -> optax.GradientTransformation: ...
def cautious_adamw(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    weight_decay: float = 0.01,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def cautious_decay_lion(
    learning_rate: float | optax.Schedule = 0.0001,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.1,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
) -> optax.GradientTransformation: ...
def cautious_decay_adamw(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    weight_decay: float = 0.01,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def mars_lion(
    learning_rate: float | optax.Schedule = 0.003,
    beta1: float = 0.95,
    gamma: float = 0.025,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
) -> optax.GradientTransformation: ...
def grams(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def sophia_clip(
    learning_rate: float | optax.Schedule = 0.0001,
    beta1: float = 0.965,
    beta2: float = 0.99,
    gamma: float = 0.05,
    epsilon: float = 1e-12,
    weight_decay: float = 0.1,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def lars(
    learning_rate: float | optax.Schedule = 1.0,
    momentum_decay: float = 0.9,
    trust_coefficient: float = 0.001,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    momentum: float | None = None,
) -> optax.GradientTransformation: ...
def lamb(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-06,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def novograd(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.25,
    epsilon: float = 1e-06,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def adamax(
    learning_rate: float | optax.Schedule = 0.002,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def amsgrad(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def radam(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def adopt(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.9999,
    epsilon: float = 1e-06,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def laprop(
    learning_rate: float | optax.Schedule = 0.0004,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-15,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def yogi(
    learning_rate: float | optax.Schedule = 0.01,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 0.001,
    initial: float = 1e-06,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def adan(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.98,
    beta2: float = 0.92,
    beta3: float = 0.99,
    epsilon: float = 1e-08,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    b3: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def ademamix(
    learning_rate: float | optax.Schedule = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    beta3: float = 0.9999,
    alpha: float = 5.0,
    epsilon: float = 1e-08,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    b3: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def adadelta(
    learning_rate: float | optax.Schedule = 1.0,
    rho: float = 0.9,
    epsilon: float = 1e-06,
    mu_dtype: Any = None,
    *,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def rprop(
    learning_rate: float | optax.Schedule = 0.01,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step: float = 1e-06,
    max_step: float = 50.0,
    mu_dtype: Any = None,
) -> optax.GradientTransformation: ...
def schedule_free_sgd(
    learning_rate: float | optax.Schedule = 1.0,
    beta: float = 0.9,
    mu_dtype: Any = None,
    *,
    momentum: float | None = None,
) -> optax.GradientTransformation: ...
def schedule_free_adamw(
    learning_rate: float | optax.Schedule = 0.0025,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-08,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
    *,
    b1: float | None = None,
    b2: float | None = None,
    eps: float | None = None,
) -> optax.GradientTransformation: ...
def muon(
    learning_rate: float | optax.Schedule = 0.02,
    momentum: float = 0.95,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
) -> optax.GradientTransformation: ...
def adafactor(
    learning_rate: float | optax.Schedule = 0.01,
    beta2_decay: float = -0.8,
    clip_threshold: float = 1.0,
    epsilon1: float = 1e-30,
    epsilon2: float = 0.001,
    weight_decay: float = 0.0,
    mask: Any = None,
    mu_dtype: Any = None,
) -> optax.GradientTransformation: ...
