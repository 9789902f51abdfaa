"""How an optimizer of version 2 makes its slots."""

import tensorflow as tf


class __CLASS__(tf.Module):
    def build(self, variables):
        """Makes the slots of those variables that have none."""
        # where lists
        with tf.init_scope():
            for variable in variables:
                if variable.ref() in self._positions:
                    continue
                self._positions[variable.ref()] = len(self._positions)
                # where slots
                zeros = tf.zeros(variable.shape, variable.dtype)
                # end slots
                __APPENDS__
        # end lists
        # where not lists
        del variables
        # end lists
