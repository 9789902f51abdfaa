"""Runs exported Praxis optimizers.

Where Praxis can't be imported (its pinned dependencies are old), a stand-in takes its place that has the interfaces that the exports use, with the
names and the fields of Praxis 1.4: `base_layer.WeightHParams`, `optimizers.ShardedGradientTransformation` and `optimizers.BaseOptimizer`.
"""

import dataclasses
import sys
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import targets
from targets import optimizer_class


@dataclasses.dataclass
class WeightHParams:
    """What Praxis says of a weight: its shape, its type and how its dimensions are split over the devices."""

    shape: Any
    init: Any = None
    dtype: Any = None
    collections: Any = None
    mesh_shape: Any = None
    tensor_split_dims_mapping: Any = None


@dataclasses.dataclass(frozen=True)
class ShardedGradientTransformation:
    init: Callable
    update: Callable
    init_partition_spec: Callable


class BaseOptimizer:
    """The fields of a subclass are those that it annotates, as with Fiddle."""

    learning_rate: float = 0.0
    lr_schedule: Any = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(cls)

    def get_learning_rate(self, step_count):
        return (
            self.learning_rate
            if self.lr_schedule is None
            else self.lr_schedule(step_count) * self.learning_rate
        )

    def get_grad_transformation(self, var_weight_hparams=None, include_ema=True):
        return self._get_raw_grad_transformation(self.get_learning_rate)


def stand_in():
    """Puts the stand-in where Praxis would be."""
    package = types.ModuleType("praxis")
    package.base_layer = types.ModuleType("praxis.base_layer")
    package.base_layer.WeightHParams = WeightHParams
    package.optimizers = types.ModuleType("praxis.optimizers")
    package.optimizers.ShardedGradientTransformation = ShardedGradientTransformation
    package.optimizers.BaseOptimizer = dataclasses.dataclass(BaseOptimizer)
    sys.modules.update(
        {
            "praxis": package,
            "praxis.base_layer": package.base_layer,
            "praxis.optimizers": package.optimizers,
        }
    )


def load(path):
    """The module of an exported file."""
    try:
        import praxis.optimizers  # noqa: F401
    except ImportError:
        stand_in()
    return targets.load(path)


def run(path, weights, gradients, learning_rates, hyperparameters):
    """Without compilation; the learning rate of a step comes from a schedule, as in Praxis."""
    cls = optimizer_class(load(path))
    rates = learning_rates or [1.0] * len(gradients)
    # The schedule is multiplied by the base, in f32.
    optimizer = cls(
        learning_rate=1.0, lr_schedule=lambda step: jnp.array(rates)[step], **hyperparameters
    )
    transformation = optimizer.get_grad_transformation()
    params = [jnp.array(w) for w in weights]
    state = transformation.init(params)
    specs = transformation.init_partition_spec(
        [sys.modules["praxis.base_layer"].WeightHParams(shape=w.shape) for w in params]
    )
    assert jax.tree.structure(specs) == jax.tree.structure(state), (
        "the specs have the structure of the state"
    )
    assert [list(spec.shape) for spec in jax.tree.leaves(specs)] == [
        list(np.shape(x)) for x in jax.tree.leaves(state)
    ]
    for arrays in gradients:
        updates, state = transformation.update([jnp.array(g) for g in arrays], state, params)
        params = optax.apply_updates(params, updates)
    slots = {
        name: [np.asarray(x) for x in value]
        for name, value in state._asdict().items()
        if name != "count"
    }
    return [np.asarray(w) for w in params], slots


VARIANTS = {"praxis": run}
