//! What the files of all programs have in common.

/// Under the program's own doc string.
pub const TITLE: &str = "PyTorch: an optimizer whose steps are single operations in the program's order, and a\nTriton kernel that does the same in one pass where tensors are on CUDA.";

/// The same, where steps are not element by element.
pub const TITLE_WITHOUT_KERNEL: &str =
    "PyTorch: an optimizer whose steps are single operations in the program's order.";

/// The licence of what is written, as symopt's own.
pub const LICENSE: &str = "SPDX-License-Identifier: MIT OR Apache-2.0";

/// Types and helpers that all files need.
pub const BASICS: &str = r#"
Tensors = list[Tensor] | tuple[Tensor, ...]

# What lists of tensors, kept memory and the kernel take. All others, such as distributed
# tensors, step one by one, by operations that their own types define.
_PLAIN: set[type] = {Tensor, torch.nn.Parameter}


class _Batch(NamedTuple):
    """Tensors that take a step together."""

    group: dict[str, Any]
    lists: list[list[Tensor]]  # The parameters, the gradients, and each slot.
    steps: list[Tensor]  # How many steps each has made, which is counted up after it.
    totals: dict[str, Any]  # The step count and the sums.


def _number(value: Any) -> Any:
    """A hyperparameter as a float. In a compiled step a tensor stays one, so that nothing
    is compiled anew as its value changes."""
    if not isinstance(value, Tensor):
        return float(value)
    return value.double() if torch.compiler.is_compiling() else value.item()
"#;

/// Hyperparameters under the names that `torch.optim` has for them.
pub const SETTLE: &str = r#"

def _settle(group: dict[str, Any]) -> None:
    """Puts what a group has under a name of the program where `torch.optim` has it."""
    for name, (key, place) in _ELSEWHERE.items():
        if name in group:
            value = group.pop(name)
            if place is not None:
                values = group.get(key, ())
                value = (*values[:place], value, *values[place + 1 :])
            group[key] = value


def _refuse_both(own: dict[str, Any], key: str) -> None:
    """Refuses a number that has the name of `torch.optim`, and the program's own too."""
    for name, (its, _) in _ELSEWHERE.items():
        if its == key and name in own:
            raise TypeError(f"give `{key}` or `{name}`, not both")
"#;

/// Sums over all arrays of all groups.
pub const REDUCE: &str = r#"

def _reduce(batches: list[_Batch]) -> None:
    """Takes the sums. They go over the tensors of all groups, as one vector."""
    for numbers, sums, names in _SUMS:
        rows: list[list[Tensor]] = []
        for group, lists, _, totals in batches:
            scalars, own = numbers(group, totals)
            dtype = _arithmetic(lists)
            for arrays in zip(*lists, *own, strict=True):
                tensors = [x.to(dtype) for x in arrays[: len(lists)]]
                values = sums(*tensors, *scalars, *arrays[len(lists) :])
                rows.append([_f64(x) for x in values])
        if not rows:
            return
        device = rows[0][0].device
        table = torch.stack([torch.stack([x.to(device) for x in row]) for row in rows])
        all_rows: Any = table
        of_all: Any = table.sum(0)
        if not torch.compiler.is_compiling():
            all_rows, of_all = all_rows.tolist(), of_all.tolist()
        start = 0
        for _, lists, _, totals in batches:
            end = start + len(lists[0])
            for column, (name, per_array) in enumerate(names):
                if per_array:
                    totals[name] = [row[column] for row in all_rows[start:end]]
                else:
                    totals[name] = of_all[column]
            start = end
"#;

/// On CPU: tensors in blocks.
pub const BLOCKS: &str = r#"

# Elements of a block, on CPU: what a step holds of it stays in the cache. 0: no blocks.
BLOCK = 1 << 15
_KEPT = threading.local()


def _update_blocks(lists: list[list[Tensor]], scalars: Sequence[Any]) -> None:
    """A step on CPU. Small tensors are gathered to blocks and large ones are cut."""
    dtype = _arithmetic(lists)
@TENSORS@    shapes = tuple([param.shape for param in lists[0]])
    gatherings, alone = _plan(dtype, shapes, len(lists))
    for pick, blocks, out, parts, flat in gatherings:
        gathered = [pick(values) for values in lists]
        if flat:
            for tensors, block in zip(gathered, blocks, strict=True):
                torch.cat(tensors, out=block)
        else:
            for tensors, places in zip(gathered, parts, strict=True):
                torch._foreach_copy_(places, tensors)
        _update(*(*blocks, out, *scalars))
        for index, (tensors, places) in enumerate(zip(gathered, parts, strict=True)):
            if index != 1:  # The gradients stay as they are.
                torch._foreach_copy_(tensors, places)
    for index in alone:
        arrays = [values[index] for values in lists]
        shape = shapes[index]
        if shape.numel() <= BLOCK:
            _update_single(arrays, scalars, _scratch(dtype, shape))
        elif all(x.is_contiguous() for x in arrays):
            for part in zip(*(torch.split(x.view(-1), BLOCK) for x in arrays)):
                _update_single(part, scalars, _scratch(dtype, part[0].shape))
        else:
            _update_single(arrays, scalars)


def _plan(dtype: torch.dtype, shapes: tuple[torch.Size, ...], count: int) -> Any:
    """How many lists of tensors of these shapes make a step: gatherings of small ones,
    and the indices of the others."""

    def make() -> Any:
        small: list[list[int]] = [[]]
        alone, size = [], 0
        for index, shape in enumerate(shapes):
            if 2 * shape.numel() >= BLOCK:
                alone.append(index)
                continue
            size += shape.numel()
            if size > BLOCK:
                small.append([])
                size = shape.numel()
            small[-1].append(index)
        alone += [indices[0] for indices in small if len(indices) == 1]
        together = [indices for indices in small if len(indices) > 1]
        return [gathering(indices) for indices in together], alone

    def gathering(indices: list[int]) -> Any:
        own = [shapes[index] for index in indices]
        sizes = [shape.numel() for shape in own]
        numbers = range(_SCRATCH, _SCRATCH + count)
        blocks = [_memory(dtype, number)[: sum(sizes)] for number in numbers]
        parts = [
            [part.view(shape) for part, shape in zip(block.split(sizes), own)]
            for block in blocks
        ]
        flat = all(len(shape) == 1 for shape in own)
        scratch = _scratch(dtype, blocks[0].shape)
        return operator.itemgetter(*indices), blocks, scratch, parts, flat

    return _kept((dtype, BLOCK, shapes), make)


def _kept(key: Any, make: Callable[[], Any]) -> Any:
    """What this thread keeps for later steps, by a key."""
    known = _KEPT.__dict__.setdefault("by_key", {})
    if key not in known:
        if len(known) > 1000:
            known.clear()
        with torch.inference_mode(False):
            known[key] = make()
    return known[key]


def _memory(dtype: torch.dtype, number: int) -> Any:
    """A block in which this thread works, in every step the same one."""

    def make() -> Tensor:
        return torch.empty(BLOCK, dtype=dtype, device="cpu")

    return _kept((dtype, BLOCK, number), make)


def _scratch(dtype: torch.dtype, shape: torch.Size) -> Any:
    """The scratch tensors of an update, in kept memory."""

    def make() -> list[Tensor]:
        blocks = [_memory(dtype, number) for number in range(_SCRATCH)]
        return [block[: shape.numel()].view(shape) for block in blocks]

    return _kept((dtype, BLOCK, shape), make)
"#;

/// Within `_update_blocks`.
pub const TENSORS: &str = r#"    # With a tensor of its own type PyTorch is faster than with a float.
    scalars = torch.tensor(scalars, dtype=dtype, device="cpu").unbind()
"#;

/// Within `_update_blocks`, where some numbers are of other use.
pub const SOME_TENSORS: &str = r#"    # With a tensor of its own type PyTorch is faster in arithmetic than with a float.
    floats = {@KEPT@}
    tensors = torch.tensor(scalars, dtype=dtype, device="cpu").unbind()
    scalars = [
        number if index in floats else tensor
        for index, (number, tensor) in enumerate(zip(scalars, tensors, strict=True))
    ]
"#;

/// The launch of the kernel.
pub const FUSED: &str = r#"

# Of each list of sizes: which tensor each block is of, and where each tensor begins.
_LAYOUTS: dict[Any, Any] = {}


def _can_fuse(group: dict[str, Any], lists: list[list[Tensor]]) -> bool:
    """Whether the kernel can take these tensors, which are plain ones."""
    if triton is None or torch.compiler.is_compiling():
        return False
    interpreted = group["fused"] and os.environ.get("TRITON_INTERPRET") == "1"
    device = lists[0][0].get_device()
    if not (device >= 0 and lists[0][0].is_cuda or interpreted):
        return False
    for values in lists:
        dtype = values[0].dtype
        if dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return False
        for x in values:
            alike = x.dtype == dtype and x.get_device() == device
            if not (alike and x.is_contiguous()) or x.data_ptr() % 16:
                return False
    return True


def _update_fused(lists: list[list[Tensor]], scalars: Sequence[Any]) -> None:
    """A step of all tensors of a list by one launch."""
    device, block = lists[0][0].device, 512
    sizes = tuple(param.numel() for param in lists[0])
    if (device, sizes) not in _LAYOUTS:
        each = [(size + block - 1) // block for size in sizes]
        counts = torch.tensor(each, device="cpu")
        owners = torch.repeat_interleave(torch.arange(len(sizes), device="cpu"), counts)
        firsts = torch.cumsum(counts, 0) - counts
        tables = [x.to(device, torch.int32) for x in (owners, firsts)]
        _LAYOUTS[device, sizes] = (*tables, {})
    owners, firsts, known = _LAYOUTS[device, sizes]
    if not len(owners):
        return
    addresses = ([x.data_ptr() for x in values] for values in lists)
    rows = tuple(zip(sizes, *addresses, strict=True))
    # Gradients come and go, but mostly at the same addresses.
    if rows not in known:
        if len(known) > 15:
            known.clear()
        known[rows] = torch.tensor(rows, dtype=torch.int64, device="cpu").to(device)
    names = {
        torch.float32: tl.float32,
        torch.bfloat16: tl.bfloat16,
        torch.float16: tl.float16,
    }
    types = [names[values[0].dtype] for values in (*lists, *lists[:1])][:3]
    with torch.cuda.device(device if device.type == "cuda" else -1):
        _kernel[(len(owners),)](
            known[rows],
            owners,
            firsts,
            *map(float, scalars),
            *types,
            block,
            enable_fp_fusion=False,
            num_warps=8,
        )
"#;

/// One batch's step.
pub const APPLY: &str = r#"

def _arithmetic(lists: list[list[Tensor]]) -> torch.dtype:
    """The type that a step computes in: f64 for f64, and f32 for all others."""
    return torch.promote_types(lists[0][0].dtype, torch.float32)


def _update_single(
    arrays: Sequence[Any],
    scalars: Sequence[Any],
    out: Sequence[Tensor | None] = (None,) * _SCRATCH,
) -> None:
    """A step of one tensor, which is computed in another type if it must."""
    dtype = torch.promote_types(arrays[0].dtype, torch.float32)
    if all(x.dtype == dtype for x in arrays):
        _update(*(*arrays, out, *scalars))
        return
    working = [x.to(dtype) for x in arrays]
    _update(*(*working, out, *scalars))
    for index, (array, value) in enumerate(zip(arrays, working, strict=True)):
        if index != 1 and array is not value:
            array.copy_(value)


def _apply(batch: _Batch) -> None:
    """A step of tensors that are on one device and of one type."""
    group, lists, @STEPS@, totals = batch
    scalars, own = _numbers(group, totals)
    compiling = torch.compiler.is_compiling()
    on_cpu = lists[0][0].device.type == "cpu"
    plain = all(set(map(type, values)) <= _PLAIN for values in lists)
    foreach = group["foreach"] if plain else False
@FAST@    @IF@ foreach or (foreach is None and (compiling or not on_cpu)):
        dtype = _arithmetic(lists)
        working: list[Any] = [
            values
            if all(x.dtype == dtype for x in values)
            else [x.to(dtype) for x in values]
            for values in lists
        ]
        _update_foreach(*(*working, *scalars, *own))
        for index, (values, results) in enumerate(zip(lists, working, strict=True)):
            if index != 1 and values is not results:
                torch._foreach_copy_(values, results)
    else:
        for arrays in zip(*lists, *own, strict=True):
            _update_single(arrays[: len(lists)], (*scalars, *arrays[len(lists) :]))
@COUNT@"#;

/// Within `_apply`.
pub const FAST: &str = r#"    may_fuse = plain and not foreach and group["fused"] is not False
    if may_fuse and _can_fuse(group, lists):
        _update_fused(lists, scalars)
    elif group["fused"] and not compiling:
        raise RuntimeError("`fused` needs Triton and contiguous tensors on CUDA")
    elif plain and on_cpu and foreach is not False and BLOCK and not compiling:
        try:
            _update_blocks(lists, scalars)
        except BaseException:
            _KEPT.__dict__.clear()  # An error may leave it in another shape.
            raise
"#;

/// Within `_apply`, where steps are counted.
pub const COUNT: &str = r#"    if compiling:
        torch._foreach_add_(steps, 1)
    else:  # Of tensors on CPU, as `torch.optim` does it.
        torch._foreach_add_(steps, torch.tensor(1.0, device="cpu"), alpha=1.0)
"#;

/// Of the class.
pub const CLASS_DOC: &str = r#"    """One step: `optimizer.step()`. All hyperparameters are per group.

    Args:
        params: parameters or groups of them.
@NAMES@        maximize: go up.
        foreach: work on lists of tensors (None: where it is faster).
        fused: use the Triton kernel (None: where it can be used).
        state_dtype: the type of the state, such as `torch.bfloat16`, which is rounded to
            it; arithmetic stays in f32. None: f32, or f64 for parameters in f64.
    """
"#;

/// Loading, where there is state.
pub const LOAD: &str = r#"
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` gave, or the state of an optimizer of `torch.optim` whose
        slots mean the same. It keeps the type that it was saved in."""
        # After all other hooks, so that it sees what they make of the state.
        handle = self.register_load_state_dict_pre_hook(_hide)
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()
"#;

/// Beside the class, where there is state.
pub const HIDE: &str = r#"

class _Hidden:
    """A tensor of a state that is loaded, which `torch.optim` would cast to the type of
    its parameter."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def _hide(_: Any, state_dict: dict[str, Any]) -> dict[str, Any]:
    """Hides the tensors of a state, which must have the slots."""
    for own in state_dict["state"].values():
        known = @KNOWN@
        for name in _SLOTS:
            if own and name not in known:
                raise ValueError(f"a state has no `{name}`: another optimizer wrote it")
    hidden = {
        key: {
            name: _Hidden(value) if isinstance(value, Tensor) else value
            for name, value in own.items()
        }
        for key, own in state_dict["state"].items()
    }
    return {**state_dict, "state": hidden}
"#;

/// The end of `__setstate__`.
pub const SHOW: &str = r#"        for param, own in self.state.items():
            for name, value in own.items():
                if isinstance(value, _Hidden):
                    # A copy, since steps write to it; `torch.optim` counts steps on CPU.
                    device = "cpu" if name == "step" else param.device
                    own[name] = value.tensor.to(device, copy=True)
"#;

/// A group.
pub const ADD: &str = r#"
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters."""
@BOTH@        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
@SETTLE@            self._check(group)
        except BaseException:
            self.param_groups.pop()
            raise

    def _check(self, group: dict[str, Any]) -> None:
        """Refuses numbers outside of their ranges, and parameters that can't make a step."""
"#;

/// The parameters that have gradients.
pub const READY: &str = r#"
    def _ready(self, group: dict[str, Any]) -> tuple[list[Tensor], list[Any]]:
        """The parameters of a group that have gradients, and these."""
        params: list[Tensor] = group["params"]
        grads: list[Any] = [param.grad for param in params]
        if any(grad is None for grad in grads):
            params = [param for param in params if param.grad is not None]
            grads = [param.grad for param in params]
        if {grad.layout for grad in grads} - {torch.strided}:
            name = type(self).__name__
            raise RuntimeError(f"{name} does not support sparse gradients")
        if [grad.shape for grad in grads] != [param.shape for param in params]:
            raise RuntimeError("a gradient has another shape than its parameter")
        if group["maximize"]:
            grads = [-grad for grad in grads]
        if not set(map(type, params)) <= _PLAIN:
            grads = [_placed(x, like) for x, like in zip(grads, params, strict=True)]
        return params, grads
"#;

/// The work of a step.
pub const BATCHES: &str = r#"
    def _batches(self) -> list[_Batch]:
        """The work of a step. What can be wrong is found before anything changes."""
@SETTLE@        ready = [(group, self._ready(group)) for group in self.param_groups]
        batches: list[_Batch] = []
        for group, (params, grads) in ready:
            # A parameter that is there twice makes one step after the other.
            for made, (own, its) in enumerate(_rounds(params, grads)):
                batches += self._alike(group, own, its, made)
        return batches

    def _alike(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Any], made: int
    ) -> list[_Batch]:
        """Batches of parameters on one device, of one type@COUNTS@."""
@STATE@@KEYS@        found: dict[Any, list[int]] = {}
        if keys.count(keys[0]) == len(keys):
            found[keys[0]] = list(range(len(keys)))
        else:
            for index, key in enumerate(keys):
                found.setdefault(key, []).append(index)
        batches: list[_Batch] = []
        for indices in found.values():
            part = lists
            if len(indices) < len(params):
                part = [[values[index] for index in indices] for values in lists]
@PAIRS@@TAKEN@            batches.append(_Batch(group, part, @STEPS@, @TOTALS@))
        return batches
"#;

/// Within `_alike`.
pub const PAIRS: &str = r#"            if part[0][0].is_complex():
                part = [[_pairs(x) for x in values] for values in part]
"#;

/// The step.
pub const STEP: &str = r#"
    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """One step.

        Args:
            closure: computes the loss and its gradients anew, and returns the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        batches = self._batches()
@REDUCE@        for batch in batches:
            _apply(batch)
        return loss
"#;

/// Parameters that are in a group more than once.
pub const ROUNDS: &str = r#"

def _rounds(
    params: list[Tensor], grads: list[Any]
) -> list[tuple[list[Tensor], list[Any]]]:
    """Lists in which no parameter is twice."""
    if torch.compiler.is_compiling() or len(set(map(id, params))) == len(params):
        return [(params, grads)] if params else []
    rounds: list[tuple[list[Tensor], list[Any]]] = []
    for param, grad in zip(params, grads, strict=True):
        made = sum(any(param is x for x in others) for others, _ in rounds)
        if made == len(rounds):
            rounds.append(([], []))
        rounds[made][0].append(param)
        rounds[made][1].append(grad)
    return rounds
"#;

/// Under the doc string of a plain file.
pub const TITLE_OF_PLAIN: &str = "PyTorch: an optimizer that steps tensor by tensor.";

/// The sums of a plain file.
pub const PLAIN_REDUCE: &str = r#"

def _reduce(work: list[Any]) -> None:
    """Takes the sums. They go over the tensors of all groups, as one vector."""
    for sums, names in _SUMS if work else ():
        rows = []
        for group, _, own, totals in work:
            dtype = torch.promote_types(own[0].dtype, torch.float32)
            arrays = [x.to(dtype) for x in own]
            values = [_f64(x).cpu() for x in sums(*arrays, group, totals)]
            rows.append(torch.stack(values))
        table = torch.stack(rows)
        of_all = table.sum(0).tolist()
        for row, (_, _, _, totals) in zip(table.tolist(), work, strict=True):
            for x, y, (name, per_array) in zip(row, of_all, names, strict=True):
                totals[name] = x if per_array else y
"#;

/// Loading of a plain file.
pub const PLAIN_LOAD: &str = r#"
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a state, which keeps its type: `torch.optim` would cast it."""

        def hide(_: Any, state: dict[str, Any]) -> dict[str, Any]:
            hidden = {key: {"": lambda x=x: x} for key, x in state["state"].items()}
            return {**state, "state": hidden}

        handle = self.register_load_state_dict_pre_hook(hide)
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for param, own in self.state.items():
            for name, value in own.pop("", dict)().items():
                device = "cpu" if name == "step" else param.device
                own[name] = value.to(device, copy=True)
"#;

/// The state of a parameter in a plain file.
pub const PLAIN_BEGIN: &str = r#"                if not state:
                    for name in _SLOTS:
                        state[name] = torch.zeros_like(param, dtype=dtype)
"#;

/// The same, with a count of steps.
pub const PLAIN_BEGIN_COUNTED: &str = r#"                if not state:
                    state["step"] = torch.tensor(0.0, device="cpu")
                    for name in _SLOTS:
                        state[name] = torch.zeros_like(param, dtype=dtype)
"#;

/// Complex parameters of a plain file.
pub const PLAIN_PAIRS: &str = r#"                if param.is_complex():
                    arrays = [torch.view_as_real(x.resolve_conj()) for x in arrays]
"#;

/// The same, where they are refused.
pub const PLAIN_NO_PAIRS: &str = r#"                if param.is_complex():
                    raise RuntimeError(f"{type(self).__name__}: a parameter is complex")
"#;

/// The step of a plain file.
pub const PLAIN_STEP: &str = r#"
    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step. The closure computes the loss and its gradients anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work: list[Any] = []
        for group in self.param_groups:
            for param in group["params"]:
                if (grad := param.grad) is None:
                    continue
@STATE@                if grad.layout != torch.strided or grad.shape != param.shape:
                    raise RuntimeError("a gradient is sparse, or of another shape")
                dtype = torch.promote_types(param.dtype, torch.float32)
@BEGIN@                arrays = [param, grad@SLOTS@]
@PAIRS@                work.append((group, param, arrays, @TOTALS@))
@REDUCE@        for group, param, own, totals in work:
            dtype = torch.promote_types(own[0].dtype, torch.float32)
            arrays = [x.to(dtype) for x in own]
@NOW@            after = @UPDATE@
            for array, value in zip((own[0], *own[2:]), after, strict=True):
                array.copy_(value)
@COUNT@        return loss
"#;
