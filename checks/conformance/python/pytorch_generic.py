"""What holds for every optimizer of PyTorch, checked on exported files: the state of parameters, groups, hooks, schedulers, types and layouts.

`pytorch_behaviour.py` runs these. The measure is `torch.optim` itself, where a program of the same meaning is there, and elsewhere that each parameter
is stepped as if it were the only one.
"""

import copy
import io
import pickle
import warnings

import numpy as np
import torch
import torch.distributed.checkpoint.state_dict as distributed

from targets.pytorch import has_paths

# Counterparts in `torch.optim` of the classes of the zoo, with the options under which both mean the
# same.
PEERS = {
    "AdamW": (torch.optim.AdamW, {}),
    "Adam": (torch.optim.Adam, {}),
    "AMSGrad": (torch.optim.Adam, {"amsgrad": True}),
    "AdaMax": (torch.optim.Adamax, {}),
    "Momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "SGD": (torch.optim.SGD, {"lr": 0.1}),
    "AdaGrad": (torch.optim.Adagrad, {}),
    "RMSProp": (torch.optim.RMSprop, {}),
    "Adadelta": (torch.optim.Adadelta, {}),
    "RAdam": (torch.optim.RAdam, {}),
    "Rprop": (torch.optim.Rprop, {}),
}


def paths(cls):
    """The options that choose a way to compute a step."""
    return [{}, {"foreach": False}, {"foreach": True}] if has_paths(cls) else [{}]


def param(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype))


def gradient(like, seed):
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.float32 if like.is_floating_point() else torch.complex64
    return torch.randn(like.shape, generator=generator, dtype=dtype).to(like.dtype)


def step(optimizer, seed, params=None):
    """A step with gradients for some parameters; the others have none."""
    own = [each for group in optimizer.param_groups for each in group["params"]]
    for index, each in enumerate(own):
        taken = params is None or any(each is one for one in params)
        each.grad = gradient(each, 100 * seed + index) if taken else None
    optimizer.step()


def close(x, y, rtol=1e-5, atol=1e-7):
    return torch.allclose(x.detach(), y.detach(), rtol=rtol, atol=atol, equal_nan=True)


def refused(action, *kinds):
    try:
        action()
    except kinds as error:
        return str(error)
    raise AssertionError(f"it was not refused by {' or '.join(kind.__name__ for kind in kinds)}")


def sums_over_all(module):
    """Whether a step of one parameter depends on the others."""
    return any(
        not per_array for *_, names in getattr(module, "_SUMS", ()) for _, per_array in names
    )


def state_belongs_to_the_parameter(cls, module):
    if sums_over_all(module):
        return
    for options in paths(cls):
        first, second, third = param(4, seed=1), param(5, 3, seed=2), param(seed=3)
        together = cls([first, second, third], **options)
        orders = [[first], [second, first], [first, second, third], [third], [first, second, third]]
        for seed, order in enumerate(orders):
            step(together, seed, order)
        for index, (each, start) in enumerate(
            ((first, param(4, seed=1)), (second, param(5, 3, seed=2)), (third, param(seed=3)))
        ):
            alone = cls([start], **options)
            for seed, order in enumerate(orders):
                if any(each is one for one in order):
                    start.grad = gradient(start, 100 * seed + index)
                    alone.step()
            assert torch.equal(each, start), f"{options}: parameter {index}"


def it_steps_as_torch_does(cls, module):
    peer, options = PEERS.get(cls.__name__, (None, {}))
    if peer is None:
        return
    for own in paths(cls):
        ours, theirs = [param(4), param(3, 2, seed=1)], [param(4), param(3, 2, seed=1)]
        rate = {"lr": options["lr"]} if "lr" in options else {}
        optimizer, other = cls(ours, **rate, **own), peer(theirs, **options)
        for seed in range(4):
            for index in range(2):
                # The second one has no gradient in the first step.
                each = gradient(ours[index], 100 * seed + index) if seed or not index else None
                ours[index].grad, theirs[index].grad = each, None if each is None else each.clone()
            optimizer.step()
            other.step()
        assert all(close(x, y, rtol=1e-4, atol=1e-6) for x, y in zip(ours, theirs, strict=True))
        # On from torch's state, and back.
        both = [(other, ours, cls, own | rate), (optimizer, theirs, peer, options)]
        for origin, target, kind, given in both if module._SLOTS else []:
            fresh = [torch.nn.Parameter(each.detach().clone()) for each in target]
            loaded = kind(fresh, **given)
            loaded.load_state_dict(copy.deepcopy(origin.state_dict()))
            alike = copy.deepcopy(origin)
            known = alike.param_groups[0]["params"]
            for each, its in zip(known, fresh, strict=True):
                its.data.copy_(each.data)
            step(alike, 9)
            step(loaded, 9)
            assert all(
                close(x, y, rtol=1e-4, atol=1e-6) for x, y in zip(known, fresh, strict=True)
            ), kind


def older_checkpoints_go_on(cls, module):
    """What exports wrote before parameters counted their own steps: a count in each group, and the program's own names."""
    if not has_paths(cls) or not module._SLOTS:
        return
    optimizer = cls([param(4), param(3, 2, seed=1)])
    for seed in range(3):
        step(optimizer, seed)
    saved = copy.deepcopy(optimizer.state_dict())
    given = {name: own for own, name in getattr(module, "_RENAMED", {}).items()}
    counts = [own.pop("step", None) for own in saved["state"].values()]
    saved["state"] = {
        key: {given.get(name, name): value for name, value in own.items()}
        for key, own in saved["state"].items()
    }
    for group in saved["param_groups"]:
        for name, (key, place) in getattr(module, "_ELSEWHERE", {}).items():
            group[name] = group[key] if place is None else group[key][place]
        for key in {key for key, _ in getattr(module, "_ELSEWHERE", {}).values()} - getattr(
            module, "_ELSEWHERE", {}
        ).keys():
            del group[key]
        if counts[0] is not None:
            group["step"] = torch.tensor(3.0, dtype=torch.float64)
    loaded = cls(
        [torch.nn.Parameter(each.detach().clone()) for each in optimizer.param_groups[0]["params"]]
    )
    loaded.load_state_dict(saved)
    (group,), (expected,) = (
        loaded.state_dict()["param_groups"],
        optimizer.state_dict()["param_groups"],
    )
    assert {**group, **expected} == group and not set(given.values()) & loaded.state[
        loaded.param_groups[0]["params"][0]
    ].keys()
    for seed in range(3, 5):
        step(optimizer, seed)
        step(loaded, seed)
    for each, its in zip(
        optimizer.param_groups[0]["params"], loaded.param_groups[0]["params"], strict=True
    ):
        assert torch.equal(each, its)


def states_without_the_slots_are_refused(cls, module):
    if not has_paths(cls) or not module._SLOTS:
        return
    own = param(3, 3)
    optimizer = cls([own])
    step(optimizer, 0)
    before = {name: value.clone() for name, value in optimizer.state[own].items()}
    saved = copy.deepcopy(optimizer.state_dict())
    saved["state"][0] = {"step": torch.tensor(5.0), "of_another": torch.ones(3, 3)}
    assert module._SLOTS[0] in refused(lambda: optimizer.load_state_dict(saved), ValueError)
    assert all(torch.equal(before[name], value) for name, value in optimizer.state[own].items())
    step(optimizer, 1)


def step_counts_are_torchs(cls, module):
    optimizer = cls([param(3), param(2, seed=1)])
    first, second = optimizer.param_groups[0]["params"]
    for seed in range(3):
        step(optimizer, seed, [first])
    assert second not in optimizer.state or not optimizer.state[second]
    count = optimizer.state[first].get("step") if first in optimizer.state else None
    if count is not None:
        assert isinstance(count, torch.Tensor) and count.device.type == "cpu" and count.item() == 3


def hooks_are_honoured(cls, module):
    each = param(5)
    optimizer = cls([each])
    step(optimizer, 0)
    called = []
    optimizer.register_step_pre_hook(lambda *_: called.append("step"))
    optimizer.register_step_post_hook(lambda *_: called.append("stepped"))
    optimizer.register_state_dict_pre_hook(lambda _: called.append("save"))
    optimizer.register_state_dict_post_hook(lambda _, state: {**state, "mark": 1})
    step(optimizer, 1)
    saved = optimizer.state_dict()
    assert called == ["step", "stepped", "save"] and saved["mark"] == 1
    other = cls([torch.nn.Parameter(each.detach().clone())])

    def edit(_, state):
        edited = copy.deepcopy(state)
        for own in edited["state"].values():
            for name, value in own.items():
                own[name] = torch.full_like(value, 7.0)
        return edited

    other.register_load_state_dict_pre_hook(edit)
    other.register_load_state_dict_post_hook(lambda _: called.append("loaded"))
    other.load_state_dict(saved)
    assert called[-1] == "loaded"
    for own in other.state.values():
        assert all(torch.all(value == 7.0) for value in own.values()), own
    # Changes by a hook that runs after loading stay.
    third = cls([torch.nn.Parameter(each.detach().clone())])

    def change(loaded):
        for own in loaded.state.values():
            for value in own.values():
                value.fill_(3.0)

    third.register_load_state_dict_post_hook(change)
    third.load_state_dict(optimizer.state_dict())
    assert all(torch.all(value == 3.0) for own in third.state.values() for value in own.values())


def it_is_pickled_and_grows(cls, module):
    each = param(5)
    optimizer = cls([each])
    step(optimizer, 0)
    later = param(3, seed=4)
    optimizer.add_param_group({"params": [later]})
    step(optimizer, 1)
    file = io.BytesIO()
    pickle.dump(optimizer, file)
    file.seek(0)
    again = pickle.load(file)
    step(optimizer, 2)
    step(again, 2)
    for group, its in zip(optimizer.param_groups, again.param_groups, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(group["params"], its["params"], strict=True))


def checkpoints_load_in_any_type(cls, module):
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        optimizer = cls([param(6)])
        step(optimizer, 0)
        other = cls([param(6, dtype=dtype)])
        other.load_state_dict(optimizer.state_dict())
        step(other, 1)
        own = other.state[other.param_groups[0]["params"][0]]
        assert all(own[name].dtype == torch.float32 for name in module._SLOTS)


def errors_leave_nothing_behind(cls, module):
    for options in paths(cls):
        results = []
        for fails in (False, True):
            params = [param(5), param(3, 4, seed=1), param(7, seed=2)]
            optimizer = cls(params, **options)
            step(optimizer, 0)
            if fails:
                for each in params:
                    each.grad = gradient(each, 5)
                params[2].grad = torch.sparse_coo_tensor([[1]], [1.0], (7,))
                assert "sparse" in refused(optimizer.step, RuntimeError)
                for wrong in (torch.zeros(4), torch.zeros(1), torch.zeros(2, 7)):
                    params[2].grad = gradient(params[2], 5)
                    params[2].grad.data = wrong
                    refused(optimizer.step, RuntimeError)
            step(optimizer, 1)
            results.append(params)
        assert all(torch.equal(x, y) for x, y in zip(*results, strict=True)), options


def complex_parameters_are_pairs_of_real_ones(cls, module):
    start = torch.view_as_complex(torch.randn(4, 2, generator=torch.Generator().manual_seed(1)))
    try:
        step(cls([torch.nn.Parameter(start.clone())]), 0)
    except RuntimeError as error:
        assert "complex" in str(error) and cls.__name__ in str(error)
        return
    for options in paths(cls):
        whole, pairs = (
            torch.nn.Parameter(start.clone()),
            torch.nn.Parameter(torch.view_as_real(start).clone()),
        )
        optimizer, other = cls([whole, param(3)], **options), cls([pairs, param(3)], **options)
        for seed in range(3):
            for each in (optimizer, other):
                own = each.param_groups[0]["params"]
                own[0].grad = (
                    gradient(whole, seed)
                    if own[0] is whole
                    else torch.view_as_real(gradient(whole, seed)).clone()
                )
                own[1].grad = gradient(own[1], seed)
                each.step()
        assert torch.equal(torch.view_as_real(whole.detach()), pairs.detach())


def arrays_without_elements_and_numbers_step(cls, module):
    results = []
    for options in paths(cls):
        params = [param(0), param(0, 3), param(3, 0, 2), param(), param(4, seed=1)]
        optimizer = cls(params, **options)
        for seed in range(2):
            step(optimizer, seed)
        assert all(torch.isfinite(each).all() for each in params)
        results.append(params)
    assert all(close(x, y) for each in results for x, y in zip(each, results[0], strict=True))


def a_parameter_that_is_there_twice_steps_twice(cls, module):
    results = []
    for options in paths(cls):
        first, second = param(4), param(3, seed=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer = cls([first, second, first], **options)
        for seed in range(2):
            for index, each in enumerate((first, second)):
                each.grad = gradient(each, 10 * seed + index)
            optimizer.step()
        results.append([first, second])
    assert all(close(x, y) for each in results for x, y in zip(each, results[0], strict=True))
    peer, given = PEERS.get(cls.__name__, (None, {}))
    if peer is not None:
        first, second = param(4), param(3, seed=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = peer([first, second, first], foreach=False, **given)
        for seed in range(2):
            for index, each in enumerate((first, second)):
                each.grad = gradient(each, 10 * seed + index)
            other.step()
        if "lr" not in given:
            assert all(
                close(x, y, rtol=1e-4, atol=1e-6)
                for x, y in zip((first, second), results[0], strict=True)
            )


def layouts_and_types_mix(cls, module):
    if sums_over_all(module):
        return
    for options in paths(cls):
        plain = [
            param(4, 6, seed=1),
            param(4, 6, seed=2, dtype=torch.bfloat16),
            param(5, seed=3, dtype=torch.float64),
            param(2, 3, 4, 5, seed=4),
        ]
        turned = [torch.nn.Parameter(each.detach().clone()) for each in plain]
        turned[0] = torch.nn.Parameter(plain[0].detach().t().contiguous().t())
        turned[3] = torch.nn.Parameter(plain[3].detach().to(memory_format=torch.channels_last))
        frozen = torch.nn.Parameter(torch.ones(3), requires_grad=False)
        optimizer, other = cls([*plain, frozen], **options), cls([*turned, frozen], **options)
        for seed in range(2):
            for index, (each, its) in enumerate(zip(plain, turned, strict=True)):
                each.grad = gradient(each, 10 * seed + index)
                its.grad = torch.empty_like(its).copy_(each.grad)
            # Every second element of a longer array.
            longer = torch.zeros(10, dtype=torch.float64)
            longer[::2] = plain[2].grad
            turned[2].grad = longer[::2]
            optimizer.step()
            other.step()
        assert all(close(x, y) for x, y in zip(plain, turned, strict=True)), options
        assert torch.equal(frozen, torch.ones(3)) and not optimizer.state.get(frozen)


def parameters_without_gradients_have_no_state(cls, module):
    own = param(3)
    optimizer = cls([own])
    optimizer.step()
    assert not optimizer.state
    step(optimizer, 0)
    optimizer.state.clear()
    step(optimizer, 1)


def it_works_with_what_trains_beside_it(cls, module):
    """A step within a backward pass, averages of weights, distributed checkpoints, profiles, other types of the whole model."""
    each = param(3)
    optimizer = cls([each])

    def hook(_):
        optimizer.step()
        optimizer.zero_grad()

    each.register_post_accumulate_grad_hook(hook)
    each.sum().backward()
    assert each.grad is None and not torch.equal(each, param(3))

    def train(model, optimizer):
        optimizer.zero_grad()
        model(torch.ones(2, dtype=model.weight.dtype)).sum().backward()
        optimizer.step()

    model, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    optimizer, its = cls(model.named_parameters()), cls(other.parameters())
    average = torch.optim.swa_utils.AveragedModel(model)
    with torch.profiler.profile() as profile:
        train(model, optimizer)
    assert any("Optimizer.step#" in event.key for event in profile.key_averages())
    average.update_parameters(model)
    if has_paths(cls):
        state = distributed.get_optimizer_state_dict(model, optimizer)
        distributed.set_optimizer_state_dict(other, its, state)
    train(other, its)
    model.to(torch.float64)
    train(model, optimizer)
    assert all(torch.isfinite(each).all() for each in model.parameters())


def groups_go_their_own_ways(cls, module):
    if sums_over_all(module) or "lr" not in cls([param(1)]).defaults:
        return
    first, second = param(3, seed=1), param(3, seed=1)
    optimizer = cls([{"params": [first], "lr": 0.0}, {"params": [second], "lr": 0.5}])
    step(optimizer, 0, [second])
    assert torch.equal(first, param(3, seed=1))
    first.grad = second.grad = None
    before = second.detach().clone()
    optimizer.step()
    assert torch.equal(before, second)
    optimizer.zero_grad()
    second.grad = torch.ones(3)
    optimizer.zero_grad(set_to_none=False)
    assert torch.equal(second.grad, torch.zeros(3))


def the_names_of_torch_are_taken(cls, module):
    elsewhere = getattr(module, "_ELSEWHERE", {})
    keys = {key for key, _ in elsewhere.values()}
    start = cls([param(3)])
    for key in keys:
        value = start.defaults[key]
        new = tuple(0.9 * x for x in value) if isinstance(value, tuple) else 0.9 * value
        own = {
            name: new if place is None else new[place]
            for name, (its, place) in elsewhere.items()
            if its == key
        }
        results = []
        for make in (
            lambda params: cls(params, **{key: new}),
            lambda params: cls(params, **own),
            lambda params: cls([{"params": params, key: new}]),
            lambda params: cls([{"params": params, **own}]),
        ):
            params = [param(4)]
            optimizer = make(params)
            assert (
                optimizer.param_groups[0][key] == new
                and not own.keys() & optimizer.param_groups[0].keys()
            )
            step(optimizer, 0)
            results.append(params[0])
        late = [param(4)]
        optimizer = cls(late)
        optimizer.param_groups[0].update(own)
        step(optimizer, 0)
        assert all(torch.equal(each, results[0]) for each in (*results, late[0]))
    if "lr" in start.defaults:
        for wrong in (-1.0, float("nan"), torch.tensor(-1.0)):
            refused(lambda: cls([param(3)], lr=wrong), ValueError)
            if has_paths(cls):
                refused(lambda: cls([{"params": [param(3)], "lr": wrong}]), ValueError)
                refused(
                    lambda: start.add_param_group({"params": [param(3)], "lr": wrong}), ValueError
                )
        assert len(start.param_groups) == 1
    for index, beta in enumerate(start.defaults.get("betas", ())):
        betas = list(start.defaults["betas"])
        for wrong in (-0.1, 1.5, float("nan")):
            betas[index] = wrong
            refused(lambda: cls([param(3)], betas=tuple(betas)), ValueError)


def numbers_may_come_from_other_libraries(cls, module):
    if "lr" not in cls([param(1)]).defaults:
        return
    for make in (np.float32, np.float64, np.array, torch.tensor):
        results = []
        for number in (make(0.01), float(make(0.01))):
            each = param(4)
            optimizer = cls([each], lr=number)
            for seed in range(2):
                step(optimizer, seed)
            results.append(each)
        assert torch.equal(*results), make
        for wrong in (-1.0, float("nan"), float("inf")):
            refused(lambda: cls([param(3)], lr=make(wrong)), ValueError)


def a_number_has_one_name_at_a_time(cls, module):
    for name, (key, place) in getattr(module, "_ELSEWHERE", {}).items():
        value = cls([param(1)]).defaults[key]
        new = tuple(0.9 * x for x in value) if isinstance(value, tuple) else 0.9 * value
        both = {key: new, name: new if place is None else new[place]}
        said = refused(lambda: cls([param(1)], **both), TypeError)
        assert key in said and name in said
        refused(lambda: cls([{"params": [param(1)], **both}]), TypeError)


def arguments_and_parameters_that_are_unknown_are_refused(cls, module):
    assert "capturable" in refused(lambda: cls([param(1)], capturable=True), TypeError)
    if has_paths(cls):
        whole = torch.nn.Parameter(torch.arange(3), requires_grad=False)
        assert "int64" in refused(lambda: cls([whole]), TypeError)


def every_scheduler_works(cls, module):
    if "lr" not in cls([param(1)]).defaults:
        return
    schedulers = torch.optim.lr_scheduler
    for make in (
        lambda optimizer: schedulers.OneCycleLR(optimizer, max_lr=0.1, total_steps=10),
        lambda optimizer: schedulers.CyclicLR(optimizer, base_lr=0.01, max_lr=0.1, step_size_up=2),
        lambda optimizer: schedulers.CosineAnnealingLR(optimizer, T_max=10),
        lambda optimizer: schedulers.LambdaLR(optimizer, lambda epoch: 0.9**epoch),
        lambda optimizer: schedulers.CyclicLR(
            optimizer, base_lr=0.01, max_lr=0.1, step_size_up=2, cycle_momentum=False
        ),
        lambda optimizer: schedulers.CosineAnnealingWarmRestarts(optimizer, T_0=3),
        lambda optimizer: torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05),
        lambda optimizer: schedulers.ReduceLROnPlateau(optimizer, patience=0),
    ):
        for lr in (0.01, torch.tensor(0.01)):
            optimizer = cls([param(4)], lr=lr)
            scheduler = make(optimizer)
            rates = []
            for seed in range(4):
                step(optimizer, seed)
                scheduler.step(
                    *([1.0] if isinstance(scheduler, schedulers.ReduceLROnPlateau) else [])
                )
                rates.append(float(optimizer.param_groups[0]["lr"]))
            assert len(set(rates)) > 1, type(scheduler)
            optimizer.load_state_dict(optimizer.state_dict())
    # The momentum is cycled with it, if there is one.
    optimizer = cls([param(4)], lr=0.01)
    schedulers.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    read = "betas" in optimizer.defaults or any(
        key == "momentum" for key, _ in getattr(module, "_ELSEWHERE", {}).values()
    )
    if read:
        group = optimizer.param_groups[0]
        assert (group["betas"][0] if "betas" in group else group["momentum"]) == 0.95


class Noted(torch.Tensor):
    """A type of tensors with operations of its own, and without memory that could be reached in another way."""

    def data_ptr(self):
        raise AssertionError("the memory of a tensor of another type was asked for")


def other_types_of_tensors_step_by_operations(cls, module):
    for options in paths(cls):
        plain = [param(4), param(5, 3, seed=1)]
        noted = [torch.nn.Parameter(each.detach().clone().as_subclass(Noted)) for each in plain]
        assert all(isinstance(each, Noted) for each in noted)
        optimizer, other = cls(plain, **options), cls(noted, **options)
        for seed in range(3):
            for each, its in zip(plain, noted, strict=True):
                each.grad = gradient(each, seed)
                its.grad = each.grad.clone().as_subclass(Noted)
            optimizer.step()
            other.step()
        assert all(
            close(x, y.detach().as_subclass(torch.Tensor))
            for x, y in zip(plain, noted, strict=True)
        ), options


def another_default_device_changes_nothing(cls, module):
    results = []
    for device in ("cpu", "meta"):
        params = [param(4), param(40000, seed=1)]
        optimizer = cls(params)
        for seed in range(2):
            for each in params:
                each.grad = gradient(each, seed)
            with torch.device(device):
                optimizer.step()
        results.append(params)
    assert all(torch.equal(x, y) for x, y in zip(*results, strict=True))


CHECKS = [
    state_belongs_to_the_parameter,
    it_steps_as_torch_does,
    older_checkpoints_go_on,
    states_without_the_slots_are_refused,
    step_counts_are_torchs,
    hooks_are_honoured,
    it_is_pickled_and_grows,
    checkpoints_load_in_any_type,
    errors_leave_nothing_behind,
    complex_parameters_are_pairs_of_real_ones,
    arrays_without_elements_and_numbers_step,
    a_parameter_that_is_there_twice_steps_twice,
    layouts_and_types_mix,
    parameters_without_gradients_have_no_state,
    it_works_with_what_trains_beside_it,
    groups_go_their_own_ways,
    the_names_of_torch_are_taken,
    numbers_may_come_from_other_libraries,
    a_number_has_one_name_at_a_time,
    arguments_and_parameters_that_are_unknown_are_refused,
    every_scheduler_works,
    other_types_of_tensors_step_by_operations,
    another_default_device_changes_nothing,
]
