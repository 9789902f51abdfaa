"""The partition specs of a state: a function inside of that which makes a transformation."""

import copy

import jax
import jax.numpy as jnp
import optax
from praxis import base_layer


def init_partition_spec_fn(params):
    # where slots
    def spec(w):
        w = copy.deepcopy(w)
        w.init = None
        w.dtype = mu_dtype or w.dtype
        return w

    def slots():
        return jax.tree.map(spec, params)

    # end slots
    # where not slots
    del params
    # end slots
    # where state
    count = base_layer.WeightHParams(
        shape=[],
        init=None,
        dtype=jnp.int32,
        collections=None,
        tensor_split_dims_mapping=[],
    )
    __STATE__
    # end state
    # where not state
    return optax.EmptyState()
    # end state
