"""What a user of PyTorch expects of an optimizer, checked on exported files.

    python pytorch_behaviour.py FILE... [--inductor]

With --inductor, steps are also compiled by Inductor, which takes a C++ compiler and minutes. Each file is what `symopt export P --to pytorch` wrote, with
`--plain` or without. It ends with status 1 if a check fails. `pytorch_generic.py` beside it has the checks that hold for any optimizer of PyTorch.
"""

import copy
import io
import sys

import torch

import pytorch_generic
from behaviour import failures
from targets.pytorch import has_paths, load

SHAPES = [(), (1,), (7,), (5, 3), (2, 3, 4), (40000,)]


def params_of(seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in SHAPES
    ]


def set_gradients(params, seed):
    generator = torch.Generator().manual_seed(seed)
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)


def run(optimizer, params, seeds):
    for seed in seeds:
        set_gradients(params, seed)
        optimizer.step()


def same(xs, ys):
    return all(
        x.dtype == y.dtype and torch.equal(x.nan_to_num(7), y.nan_to_num(7))
        for x, y in zip(xs, ys, strict=True)
    )


def close(xs, ys):
    return all(
        torch.allclose(x, y, rtol=1e-5, atol=1e-7, equal_nan=True)
        for x, y in zip(xs, ys, strict=True)
    )


def state_goes_on_after_it_is_loaded(cls, module):
    for options in ({}, {"state_dtype": torch.bfloat16}) if has_paths(cls) else ({},):
        params = params_of(1)
        optimizer = cls(params, **options)
        run(optimizer, params, range(3))
        file = io.BytesIO()
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        others = [torch.nn.Parameter(param.detach().clone()) for param in params]
        other = cls(others)
        other.load_state_dict(torch.load(file))
        run(other, others, range(3, 6))
        before = [param.detach().clone() for param in params]
        run(optimizer, params, range(3, 6))
        assert same(params, others) and not same(params, before)
        for param, same_one in zip(params, others, strict=True):
            for name in module._SLOTS:
                assert same([optimizer.state[param][name]], [other.state[same_one][name]])
        # Another that loads from the living one does not share its state.
        third = cls([torch.nn.Parameter(param.detach().clone()) for param in params])
        third.load_state_dict(optimizer.state_dict())
        for param, its in zip(params, third.param_groups[0]["params"], strict=True):
            for name in module._SLOTS:
                assert optimizer.state[param][name].data_ptr() != third.state[its][name].data_ptr()


def a_copy_goes_on_by_itself(cls, module):
    params = params_of(1)
    optimizer = cls(params)
    run(optimizer, params, range(2))
    twin = copy.deepcopy(optimizer)
    twins = twin.param_groups[0]["params"]
    run(twin, twins, range(2, 4))
    run(optimizer, params, range(2, 4))
    assert same(params, twins)


def all_paths_agree(cls, module):
    if not has_paths(cls):
        return
    results = []
    for block, foreach in ((module_block(module), None), (0, False), (0, True)):
        params = params_of(2)
        optimizer = cls(params, foreach=foreach)
        if hasattr(module, "BLOCK"):
            module.BLOCK, kept = block, module.BLOCK
        run(optimizer, params, range(5))
        if hasattr(module, "BLOCK"):
            module.BLOCK = kept
        results.append(params)
    assert close(results[0], results[1]) and close(results[0], results[2])


def gatherings_of_one_size_are_told_apart(cls, module):
    if not has_paths(cls):
        return
    for sizes in ([11], [4, 7], [11], [7, 4]):
        results = []
        for foreach in (None, False):
            generator = torch.Generator().manual_seed(9)
            params = [torch.nn.Parameter(torch.randn(size, generator=generator)) for size in sizes]
            optimizer = cls(params, foreach=foreach)
            run(optimizer, params, range(3))
            results.append(params)
        assert close(*results), sizes


def module_block(module):
    return getattr(module, "BLOCK", 0)


def maximizing_goes_the_other_way(cls, module):
    if not has_paths(cls):
        return
    up, down = params_of(3), params_of(3)
    going_up, going_down = cls(up, maximize=True), cls(down)
    for seed in range(3):
        set_gradients(up, seed)
        set_gradients(down, seed)
        for param in down:
            param.grad.neg_()
        kept = [param.grad.clone() for param in up]
        going_up.step()
        going_down.step()
        assert same(kept, [param.grad for param in up])
    assert same(up, down)


def a_closure_is_called_with_gradients_on(cls, module):
    param = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = cls([param])

    def closure():
        optimizer.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 5.0
    optimizer.zero_grad()
    assert param.grad is None
    before = param.detach().clone()
    optimizer.step()
    assert torch.equal(before, param)


def groups_have_hyperparameters_of_their_own(cls, module):
    if "lr" not in cls([torch.nn.Parameter(torch.zeros(1))]).defaults or module_sums(module):
        return
    first, second = params_of(4), params_of(5)
    together = cls([{"params": first}, {"params": second, "lr": 0.5}])
    set_gradients(first, 1)
    set_gradients(second, 2)
    together.step()
    alone, other = params_of(4), params_of(5)
    for params, seed, options in ((alone, 1, {}), (other, 2, {"lr": 0.5})):
        optimizer = cls(params, **options)
        set_gradients(params, seed)
        optimizer.step()
    assert same(first, alone) and same(second, other)


def module_sums(module):
    return hasattr(module, "_SUMS")


def a_learning_rate_may_be_a_tensor_and_schedulers_work(cls, module):
    if "lr" not in cls([torch.nn.Parameter(torch.zeros(1))]).defaults:
        return
    results = []
    for lr in (0.5, torch.tensor(0.5)):
        params = params_of(6)
        optimizer = cls(params, lr=lr)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
        for seed in range(4):
            set_gradients(params, seed)
            optimizer.step()
            scheduler.step()
        assert float(optimizer.param_groups[0]["lr"]) == 0.5**5
        results.append(params)
    assert same(*results)


def gradients_may_be_scaled(cls, module):
    param, twin = (torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    optimizer, other = cls([param]), cls([twin])
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale((param**2).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    (twin**2).sum().backward()
    other.step()
    assert same([param], [twin])


def small_types_are_computed_in_f32_and_f64_stays(cls, module):
    for dtype, state in (
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float64, torch.float64),
    ):
        for options in pytorch_generic.paths(cls):
            params, exact = params_of(7, dtype), params_of(7, dtype)
            exact = [torch.nn.Parameter(param.detach().to(state)) for param in exact]
            optimizer, other = cls(params, **options), cls(exact, **options)
            set_gradients(params, 1)
            for param, its in zip(params, exact, strict=True):
                its.grad = param.grad.to(state)
            optimizer.step()
            other.step()
            assert close(
                [param.detach() for param in params], [its.detach().to(dtype) for its in exact]
            )
            assert all(
                optimizer.state[param][name].dtype == state
                for param in params
                for name in module._SLOTS
            )


def transposed_parameters_work(cls, module):
    plain = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    turned = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).t().contiguous().t())
    for param in (plain, turned):
        param.grad = torch.arange(6.0).reshape(2, 3) - 2.5
        cls([param]).step()
    assert torch.equal(plain, turned)


def a_compiled_step_is_one_graph(cls, module, backend="eager"):
    if not has_paths(cls):
        return
    torch._dynamo.reset()
    has_rate = "lr" in cls([torch.nn.Parameter(torch.zeros(1))]).defaults
    results = []
    for compiled in (False, True):
        params = params_of(8)
        options = {"lr": torch.tensor(0.01, dtype=torch.float64)} if has_rate else {}
        optimizer = cls(params, **options)
        # As PyTorch's own optimizers do it: the state is there before anything is compiled.
        set_gradients(params, 0)
        optimizer.step()
        step = (
            torch.compile(optimizer.step, fullgraph=True, backend=backend)
            if compiled
            else optimizer.step
        )
        for seed in range(1, 4):
            set_gradients(params, seed)
            step()
        results.append(params)
    assert close(*results)


def inductor_computes_the_same(cls, module):
    a_compiled_step_is_one_graph(cls, module, backend="inductor")


CHECKS = [
    state_goes_on_after_it_is_loaded,
    a_copy_goes_on_by_itself,
    all_paths_agree,
    gatherings_of_one_size_are_told_apart,
    maximizing_goes_the_other_way,
    a_closure_is_called_with_gradients_on,
    groups_have_hyperparameters_of_their_own,
    a_learning_rate_may_be_a_tensor_and_schedulers_work,
    gradients_may_be_scaled,
    small_types_are_computed_in_f32_and_f64_stays,
    transposed_parameters_work,
    a_compiled_step_is_one_graph,
    *pytorch_generic.CHECKS,
]


def main(arguments):
    paths = [argument for argument in arguments if argument != "--inductor"]
    checks = [*CHECKS, inductor_computes_the_same] if "--inductor" in arguments else CHECKS
    return failures(paths, checks, lambda path: load(path)[::-1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
