"""What an optimizer of version 1 does before it takes sums over all variables."""

import tensorflow as tf


class __CLASS__(tf.compat.v1.train.Optimizer):
    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        """Keeps the pairs, over which the sums are taken, and does what the base does."""
        grads_and_vars = list(grads_and_vars)
        self._pairs = [pair for pair in grads_and_vars if pair[0] is not None]
        return super().apply_gradients(grads_and_vars, global_step, name)
