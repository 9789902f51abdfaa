"""Methods of the optimizer that are the same for all programs."""

import keras


class __CLASS__(keras.optimizers.Optimizer):
    def load_own_variables(self, store):
        """Loads a state. That of an older file has one count for all variables."""
        counts = getattr(self, "__COUNT__", [])
        others = self.variables[: len(self.variables) - len(counts)]
        if not counts or len(store.keys()) != len(others):
            super().load_own_variables(store)
            return
        for index, variable in enumerate(others):
            variable.assign(store[str(index)])
        for variable in counts:
            variable.assign(int(self.iterations))  # A value of its own.
