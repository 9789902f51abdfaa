"""Programs as optimizers of PyTorch, Optax and Keras."""

import copy
import inspect
import os
import pickle
import runpy
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symopt

os.environ.setdefault("KERAS_BACKEND", "jax")

TWICE = """def twice(w, g, m, lr=0.1, *, beta1=0.5):
  m = interp(g, m, beta1)
  update = m * lr
  return update, m
"""


def written(program: str, target: str, folder: Path) -> dict[str, Any]:
    """The names of a file that the command writes."""
    path = folder / f"{program}_{target}.py"
    path.write_text(symopt.Program(program).export(target))
    return runpy.run_path(str(path))


def groups(optimizer: Any) -> str:
    """All that an optimizer keeps, but for what PyTorch adds to a group when it is copied."""
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group.pop("differentiable", None)
    return str(state)


class TestTorch:
    torch: Any
    module: Any

    @pytest.fixture(autouse=True)
    def setup(self) -> None:
        type(self).torch = pytest.importorskip("torch")
        type(self).module = pytest.importorskip("symopt.torch")

    def trained(self, make: Any, steps: int = 3) -> tuple[Any, Any]:
        self.torch.manual_seed(0)
        model = self.torch.nn.Linear(5, 2)
        optimizer = make(model.parameters())
        for step in range(steps):
            optimizer.zero_grad()
            model(self.torch.full((3, 5), 1.0 + step)).square().mean().backward()
            optimizer.step()
        return model, optimizer

    @pytest.mark.parametrize("name", ["lion", "adamw", "muon"])
    def test_steps_are_those_of_the_file(self, name: str, tmp_path: Path) -> None:
        entry = symopt.Program(name)._core.entry_point("pytorch")
        ours, _ = self.trained(lambda p: self.module.optimizer(name, p, lr=0.01))
        named, _ = self.trained(lambda p: getattr(self.module, entry)(p, lr=0.01))
        assert self.torch.equal(ours.weight, named.weight)
        file = written(name, "pytorch", tmp_path)[entry]
        theirs, _ = self.trained(lambda p: file(p, lr=0.01))
        assert self.torch.equal(ours.weight, theirs.weight)

    def test_names_of_torch_are_taken_and_ranges_checked(self) -> None:
        parameter = [self.torch.nn.Parameter(self.torch.ones(2))]
        optimizer = self.module.Lion(parameter, lr=0.1, betas=(0.8, 0.95), weight_decay=0.1)
        assert optimizer.param_groups[0]["betas"] == (0.8, 0.95)
        assert self.module.optimizer(TWICE, parameter).param_groups[0]["lr"] == 0.1
        for wrong in ({"lr": -1.0}, {"betas": (1.0, 0.9)}, {"weight_decay": -0.1}):
            with pytest.raises(ValueError, match="must be"):
                self.module.Lion(parameter, **wrong)
        assert "Lion" in dir(self.module) and not hasattr(self.module, "Lino")

    def test_a_traceback_shows_the_source(self) -> None:
        try:
            self.module.Lion([self.torch.nn.Parameter(self.torch.ones(2))], lr=-1.0)
        except ValueError as error:
            shown = "".join(traceback.format_exception(error))
        assert "<symopt pytorch lion" in shown and "raise ValueError" in shown
        assert inspect.getsource(self.module.Lion).startswith("class Lion(torch.optim.Optimizer):")
        assert "betas" in inspect.signature(self.module.Lion).parameters

    @pytest.mark.parametrize("program", ["lion", TWICE])
    def test_copies_pickles_and_states_go_on(self, program: str, tmp_path: Path) -> None:
        _, optimizer = self.trained(lambda p: self.module.optimizer(program, p))
        state = optimizer.state_dict()
        assert symopt.Program(state["symopt"]["program"]).hash == state["symopt"]["hash"]
        copied = copy.deepcopy(optimizer)
        assert type(copied) is type(optimizer) and groups(copied) == groups(optimizer)
        again = pickle.loads(pickle.dumps(optimizer))
        assert type(again) is type(optimizer) and groups(again) == groups(optimizer)
        optimizer.load_state_dict(state)
        _, other = self.trained(lambda p: self.module.optimizer("momentum", p))
        with pytest.raises(symopt.InputError, match=state["symopt"]["hash"]):
            other.load_state_dict(state)
        # The state of a file that the command wrote says nothing of a program.
        optimizer.load_state_dict({k: v for k, v in state.items() if k != "symopt"})
        # Another process needs nothing but the package.
        (tmp_path / "optimizer").write_bytes(pickle.dumps(optimizer))
        code = "import pickle, sys; o = pickle.load(open(sys.argv[1], 'rb')); o.step(); print(o.program.hash)"
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "optimizer")],
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == optimizer.program.hash, done.stderr
        if program == "lion":
            assert pickle.loads(pickle.dumps(type(optimizer))) is type(optimizer)

    def test_a_step_is_compiled(self) -> None:
        def make(parameters: Any) -> Any:
            optimizer = self.module.Lion(parameters, lr=0.1)
            optimizer.step = self.torch.compile(optimizer.step, backend="eager")
            return optimizer

        plain, _ = self.trained(lambda p: self.module.Lion(p, lr=0.1))
        compiled, _ = self.trained(make)
        self.torch.testing.assert_close(plain.weight, compiled.weight)

    def test_threads_get_one_class(self) -> None:
        text = TWICE.replace("0.5", "0.25")
        found: list[Any] = []
        threads = [
            threading.Thread(target=lambda: found.append(self.module.optimizer_class(text)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8 and all(c.program == symopt.Program(text) for c in found)
        assert len({c.__module__ for c in found}) == 1


class TestOptax:
    @pytest.fixture(autouse=True)
    def setup(self) -> None:
        pytest.importorskip("optax")
        pytest.importorskip("symopt.optax")

    @pytest.mark.parametrize("name", ["lion", "adamw"])
    def test_updates_are_those_of_the_file(self, name: str, tmp_path: Path) -> None:
        import jax

        import symopt.optax

        params = {"a": jax.numpy.ones(3), "b": jax.numpy.zeros((2, 2))}
        grads = jax.tree.map(lambda x: x + 0.5, params)
        results = []
        for made in (
            symopt.optax.transform(name, 0.1),
            getattr(symopt.optax, name)(0.1),
            written(name, "optax", tmp_path)[name](0.1),
        ):
            state = made.init(params)
            updates, state = jax.jit(made.update)(grads, state, params)
            updates, _ = jax.jit(made.update)(grads, state, params)
            results.append(np.asarray(updates["a"]).tobytes())
        assert results.count(results[0]) == 3
        # Another process finds the pickled class of a state.
        module = symopt.optax.module("lion")
        assert pickle.loads(pickle.dumps(module.ScaleByLionState)) is module.ScaleByLionState

    def test_names_of_optax_are_taken_and_ranges_checked(self) -> None:
        import symopt.optax

        symopt.optax.lion(1e-3, b1=0.8, b2=0.9)
        symopt.optax.transform(TWICE, b1=0.3)
        with pytest.raises(ValueError, match="must be"):
            symopt.optax.lion(-1.0)
        assert "adamw" in dir(symopt.optax) and not hasattr(symopt.optax, "lino")


class TestKeras:
    @pytest.fixture(autouse=True)
    def setup(self) -> None:
        pytest.importorskip("keras")
        pytest.importorskip("symopt.keras")

    def test_a_model_trains_and_is_saved_and_loaded(self, tmp_path: Path) -> None:
        import keras

        import symopt.keras

        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(symopt.keras.Lion(1e-2, beta_1=0.8), "mse")
        x, y = np.ones((8, 3), np.float32), np.ones((8, 1), np.float32)
        model.fit(x, y, epochs=1, verbose=0)
        config = model.optimizer.get_config()
        assert symopt.Program(config["program"]) == symopt.Program("lion")
        assert config["beta1"] == 0.8
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert type(loaded.optimizer) is symopt.keras.Lion
        model.fit(x, y, epochs=1, verbose=0, shuffle=False)
        loaded.fit(x, y, epochs=1, verbose=0, shuffle=False)
        np.testing.assert_array_equal(model.get_weights()[0], loaded.get_weights()[0])
        with pytest.raises(symopt.InputError, match="configuration"):
            symopt.keras.AdamW.from_config(config)
        with pytest.raises(ValueError, match="must be"):
            symopt.keras.optimizer("lion", -1.0)
        assert symopt.keras.optimizer(TWICE).get_config()["program"] == TWICE
        assert "AdamW" in dir(symopt.keras) and not hasattr(symopt.keras, "Lino")


def test_tensors_of_pytorch_are_stepped_in_place_without_a_copy() -> None:
    torch = pytest.importorskip("torch")
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(1)
        layer = torch.nn.Linear(5, 3).to(dtype)
        theirs = copy.deepcopy(layer)
        ours = symopt.Optimizer(
            "lion", dict(layer.named_parameters()), lr=0.01, state_dtype=str(dtype)[6:]
        )
        addresses = [parameter.data_ptr() for parameter in layer.parameters()]
        reference = symopt.torch.Lion(theirs.parameters(), lr=0.01, betas=(0.9, 0.99))
        reference.param_groups[0]["weight_decay"] = ours.hyperparameters["weight_decay"]
        for _ in range(5):
            gradients = {k: torch.randn_like(p) for k, p in layer.named_parameters()}
            for name, parameter in theirs.named_parameters():
                parameter.grad = gradients[name].clone()
            ours.step(gradients)
            reference.step()
        assert [parameter.data_ptr() for parameter in layer.parameters()] == addresses
        for mine, other in zip(layer.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(
                mine,
                other,
                rtol=2e-2 if dtype == torch.bfloat16 else 1e-5,
                atol=1e-2 if dtype == torch.bfloat16 else 1e-6,
            )
    # One tensor, and gradients of another library.
    weights = torch.ones(3)
    optimizer = symopt.Optimizer("lion", weights, lr=0.25)
    optimizer.step(np.array([1, 0, -1], np.float32))
    assert weights.tolist() == [0.75, 1.0, 1.25]
    # The memory is held.
    kept = symopt.Optimizer("lion", [torch.ones(1 << 16)], lr=0.5)
    kept.step([torch.ones(1 << 16)])
    assert kept.slots


def test_tensors_that_can_not_be_stepped_are_refused() -> None:
    torch = pytest.importorskip("torch")
    import jax.numpy

    good = torch.ones(4, 4)
    for wrong, reason in [
        (torch.ones(4, dtype=torch.float64), "should be float32 or bfloat16"),
        (torch.ones(4, dtype=torch.int64), "should be float32 or bfloat16"),
        (good.T[1:], "not contiguous"),
        (good[:, :2], "not contiguous"),
        (torch.ones(4, device="meta"), "DLPack|device"),
        (jax.numpy.ones(4), "jax.*symopt.optax|read-only"),
    ]:
        with pytest.raises(symopt.InputError, match=reason):
            symopt.Optimizer("lion", [wrong])
    with pytest.raises(symopt.InputError, match="share memory"):
        symopt.Optimizer("lion", [good, good[1:2]])
    optimizer = symopt.Optimizer("lion", [good])
    with pytest.raises(symopt.InputError, match="has the shape"):
        optimizer.step([torch.ones(3, 3)])
    with pytest.raises(symopt.InputError, match="share memory"):
        optimizer.step([good])
    # Gradients are only read, and may be of JAX.
    optimizer.step([jax.numpy.ones((4, 4))])
