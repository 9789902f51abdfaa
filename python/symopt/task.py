"""External tasks: a training of yours that symopt searches on.

    from symopt.task import serve

    def train(make_optimizer, seed, budget, report):
        model = ...
        optimizer = make_optimizer(model.parameters())
        ...
        return validation_loss

    serve(train)

The manual's page "Your own training script" says what `train` gets. The module is the one that
`symopt tasks new --external helper` prints.
"""

import linecache as _linecache

from symopt import _symopt

_NAME = "<symopt task>"
_text, _doc = _symopt.task_helper(), __doc__
_linecache.cache[_NAME] = (len(_text), None, _text.splitlines(keepends=True), _NAME)
exec(compile(_text, _NAME, "exec", dont_inherit=True), globals())
__doc__ = _doc
__all__ = ["Budget", "Optimizer", "Report", "Stopped", "answer", "serve", "warmup_cosine"]  # noqa: F822
