"""Steps of NumPy arrays in place: the numbers, and what is refused."""

import copy
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symopt

RANDOM = np.random.default_rng(1)


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    return [RANDOM.standard_normal(shape).astype(np.float32) for shape in shapes]


def exported(name: str) -> type:
    """The class that the export to NumPy defines."""
    program = symopt.Program(name)
    module: dict[str, object] = {}
    exec(program.export("numpy"), module)
    return module[str(program._core.entry_point("numpy"))]  # type: ignore[return-value]


def test_the_numbers_are_those_of_the_library() -> None:
    # As the documentation of the Rust library has them.
    weights = np.array([1, 2, 3], np.float32)
    optimizer = symopt.Optimizer("lion", {"weight": weights[:2], "bias": weights[2:].reshape(())})
    gradient = np.array([1, 0, -1], np.float32)
    optimizer.step({"bias": gradient[2:].reshape(()), "weight": gradient[:2]}, lr=0.25)
    assert weights.tolist() == [0.75, 2.0, 3.25]
    assert (optimizer.steps, optimizer.is_compiled, optimizer.state_bytes) == (1, True, 12)
    assert optimizer.slots["m"]["bias"] == np.float32(-0.01)


@pytest.mark.parametrize("name", ["lion", "adamw", "lamb", "muon"])
def test_neither_threads_nor_the_engine_change_a_bit(name: str) -> None:
    shapes = [(50, 30), (700,), ()]
    start, gradients = arrays(*shapes), [arrays(*shapes) for _ in range(5)]
    # The tile machine runs what the zoo has not: here a twist that does nothing.
    text = symopt.Program(name).source.replace(
        "return update", "update = update + 0.0\n  return update"
    )
    results = []
    for program in (symopt.Program(name), symopt.Program(text)):
        for threads in ("one", "all"):
            weights = copy.deepcopy(start)
            optimizer = symopt.Optimizer(program, weights, lr=0.01, threads=threads)  # type: ignore[arg-type]
            for gradient in gradients:
                optimizer.step(gradient)
            results.append([w.tobytes() for w in weights])
    assert results.count(results[0]) == len(results)


@pytest.mark.parametrize("name", symopt.zoo)
def test_every_program_of_the_zoo_steps_as_its_export_does(name: str) -> None:
    shapes = [(5, 3), (7,)]
    weights = arrays(*shapes)
    other = copy.deepcopy(weights)
    optimizer = symopt.Optimizer(name, weights, lr=0.01)
    plain = exported(name)(other, lr=0.01)
    for _ in range(5):
        gradients = arrays(*shapes)
        optimizer.step(gradients)
        plain.step(gradients)
    for ours, theirs in zip(weights, other, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_bfloat16_is_stepped_in_place() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    weights = np.array([1, 2], ml_dtypes.bfloat16)
    optimizer = symopt.Optimizer("sgd", weights, lr=0.5, state_dtype="bfloat16")
    optimizer.step(np.array([1, -1], np.float32))
    assert weights.astype(np.float32).tolist() == [0.5, 2.5]


def test_arrays_that_can_not_be_stepped_are_refused() -> None:
    good = np.ones((4, 3), np.float32)
    read_only = good.copy()
    read_only.flags.writeable = False
    for array, reason in [
        (good.astype(np.float64), "float64"),
        (good.astype(">f4"), ">f4"),
        (good.astype(np.float16), "float16"),
        (good.view(np.int32), "int32"),
        (good.T, "contiguous"),
        (good[:, ::2], "contiguous"),
        (read_only, "read-only"),
        (np.frombuffer(bytearray(33), np.float32, 8, offset=1), "aligned"),
        (np.ma.masked_array(good), "MaskedArray"),
        ([1.0], "list"),
    ]:
        with pytest.raises(symopt.InputError, match=reason):
            symopt.Optimizer("lion", {"a": array})
    optimizer = symopt.Optimizer("lion", {"a": good})
    before = good.copy()
    for gradient, reason in [
        (np.ones((3, 4), np.float32), r"\(3, 4\)"),
        (np.ones((4, 3)), "float64"),
        (np.ones((3, 4), np.float32).T, "contiguous"),
        (good, "share memory"),
    ]:
        with pytest.raises(symopt.InputError, match=reason):
            optimizer.step({"a": gradient})
    with pytest.raises(symopt.InputError, match="difference: a, b"):
        optimizer.step({"b": before})
    with pytest.raises(symopt.InputError, match="finite"):
        optimizer.step({"a": before}, lr=float("nan"))
    good.flags.writeable = False
    with pytest.raises(symopt.InputError, match="read-only"):
        optimizer.step({"a": np.ones((4, 3), np.float32)})
    assert (good == before).all() and optimizer.steps == 0


def test_arrays_that_overlap_are_refused() -> None:
    whole = np.ones(10, np.float32)
    with pytest.raises(symopt.InputError, match="share memory"):
        symopt.Optimizer("lion", [whole[:6], whole[5:]])
    optimizer = symopt.Optimizer("lion", [whole[:4], whole[4:6]])
    gradient = np.ones(4, np.float32)
    with pytest.raises(symopt.InputError, match="share memory"):
        optimizer.step([gradient, whole[3:5]])
    # Gradients are only read.
    optimizer.step([gradient, gradient[2:]])
    symopt.Optimizer("lion", [np.ones(0, np.float32)] * 2).step([np.ones(0, np.float32)] * 2)


def test_hyperparameters_are_set_and_checked() -> None:
    weights = {"layer.weight": np.ones(2, np.float32), "layer.bias": np.ones(1, np.float32)}
    optimizer = symopt.Optimizer("lion", weights, lr=1.0, weight_decay=0.1)
    assert optimizer.set("weight_decay", 0.0, arrays="*.bias") == 1
    optimizer.step({name: np.zeros_like(array) for name, array in weights.items()})
    assert weights["layer.weight"][0] == np.float32(0.9) and weights["layer.bias"][0] == 1
    with pytest.raises(symopt.InputError, match="beta1, beta2, weight_decay"):
        symopt.Optimizer("lion", weights, beta3=0.9)
    with pytest.raises(symopt.InputError, match="finite"):
        symopt.Optimizer("lion", weights, beta1=float("inf"))


def test_a_state_goes_on_where_it_was() -> None:
    start, gradients = arrays((6, 2)), [arrays((6, 2)) for _ in range(6)]
    straight = symopt.Optimizer("adamw", copy.deepcopy(start), lr=0.1, weight_decay=0.01)
    first = symopt.Optimizer("adamw", copy.deepcopy(start), lr=0.1, weight_decay=0.01)
    for gradient in gradients[:3]:
        straight.step(gradient)
        first.step(gradient)
    state = pickle.loads(pickle.dumps(first.state_dict()))
    assert symopt.Program(state["program"]).hash == state["hash"]
    second = symopt.Optimizer("adamw", copy.deepcopy(first._arrays))
    second.load_state_dict(state)
    for gradient in gradients[3:]:
        straight.step(gradient)
        second.step(gradient)
    assert second._arrays[0].tobytes() == straight._arrays[0].tobytes()
    assert second.steps == 6 and second.hyperparameters["weight_decay"] == 0.01
    other = symopt.Optimizer("lion", arrays((6, 2)))
    with pytest.raises(symopt.InputError, match="adamw"):
        other.load_state_dict(state)
    for broken in ({}, {**state, "state": b"x"}, {**state, "state": "x"}):
        with pytest.raises(symopt.InputError):
            second.load_state_dict(broken)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_and_pickles_have_arrays_of_their_own_and_go_on(copied: Any) -> None:
    start, gradients = {"a": arrays((3, 2))[0], "b": arrays((4,))[0]}, arrays((3, 2), (4,))
    optimizer = symopt.Optimizer("lion", start, lr=0.1, threads="one", state_dtype="bfloat16")
    optimizer.set("weight_decay", 0.5, arrays="b")
    optimizer.step(gradients)
    other = copied(optimizer)
    before = {name: array.copy() for name, array in start.items()}
    other.step(gradients)
    assert all((start[name] == before[name]).all() for name in start)
    optimizer.step(gradients)
    assert [a.tobytes() for a in other._arrays] == [a.tobytes() for a in optimizer._arrays]
    assert (other.steps, other.lr, other._options) == (2, 0.1, optimizer._options)
    assert other.state_dict()["hash"] == optimizer.program.hash


def test_one_thread_uses_an_optimizer_at_a_time() -> None:
    weights = np.ones(1 << 22, np.float32)
    optimizer = symopt.Optimizer("adamw", weights)
    gradient = np.ones_like(weights)
    refused, done = [], []

    def steps() -> None:
        for _ in range(30):
            try:
                optimizer.step(gradient)
                done.append(1)
            except symopt.WorkError:
                refused.append(1)

    threads = [threading.Thread(target=steps) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == optimizer.steps and len(done) + len(refused) == 90


FORKED = """
import os, sys, numpy as np, symopt
study = symopt.Study(sys.argv[1], "smoke")
weights = np.ones(4, np.float32)
optimizer = symopt.Optimizer("lion", weights)
optimizer.step(np.ones(4, np.float32))
child = os.fork()
if child == 0:
    refused = 0
    calls = [
        lambda: optimizer.step(np.ones(4, np.float32)),
        lambda: study.search(programs=5),
        lambda: symopt.Program("lion-raw").simplify(),
    ]
    for call in calls:
        try:
            call()
        except symopt.WorkError as error:
            refused += "spawn" in str(error)
    os._exit(refused)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_is_refused(tmp_path: Path) -> None:
    words = [sys.executable, "-c", FORKED, str(tmp_path / "store")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "3\n"
