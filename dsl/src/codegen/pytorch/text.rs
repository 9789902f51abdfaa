//! What the files of all programs have in common.

/// Under the program's own doc string.
pub const TITLE: &str = "PyTorch: an optimizer whose steps are single operations in the program's order, and a\nTriton kernel that does the same in one pass where tensors are on CUDA.";

/// Hyperparameters as numbers.
pub const NUMBER: &str = r#"

def _number(value):
    """A hyperparameter as a float. In a compiled step a tensor stays one, so that nothing
    is compiled anew as its value changes."""
    if not isinstance(value, torch.Tensor):
        return float(value)
    return value.double() if torch.compiler.is_compiling() else value.item()
"#;

/// Sums over all arrays of all groups.
pub const REDUCE: &str = r#"

def _reduce(batches):
    """Takes the sums. They go over the tensors of all groups, as one vector."""
    for numbers, sums, names in _SUMS:
        rows = []
        for group, lists, totals in batches:
            scalars, own = numbers(group, totals)
            dtype = _arithmetic(lists)
            for arrays in zip(*lists, *own, strict=True):
                tensors = [x.to(dtype) for x in arrays[: len(lists)]]
                values = sums(*tensors, *scalars, *arrays[len(lists) :])
                rows.append([torch.as_tensor(x, dtype=torch.float64) for x in values])
        if not rows:
            return
        device = rows[0][0].device
        table = torch.stack([torch.stack([x.to(device) for x in row]) for row in rows])
        compiling = torch.compiler.is_compiling()
        sums_of_all = table.sum(0)
        if not compiling:
            table, sums_of_all = table.tolist(), sums_of_all.tolist()
        start = 0
        for _, lists, totals in batches:
            end = start + len(lists[0])
            for column, (name, per_array) in enumerate(names):
                if per_array:
                    totals[name] = [row[column] for row in table[start:end]]
                else:
                    totals[name] = sums_of_all[column]
            start = end
"#;

/// On CPU: tensors in blocks.
pub const BLOCKS: &str = r#"

# Elements of a block, on CPU: what a step holds of it stays in the cache. 0: no blocks.
BLOCK = 1 << 15
_KEPT = threading.local()


def _update_blocks(lists, scalars):
    """A step on CPU. Small tensors are gathered to blocks and large ones are cut."""
    dtype = _arithmetic(lists)
@TENSORS@    small, size = [], 0
    for index, param in enumerate(lists[0]):
        count = param.numel()
        if 2 * count < BLOCK:
            if size + count > BLOCK:
                _update_gathered(lists, small, scalars)
                small, size = [], 0
            small.append(index)
            size += count
            continue
        arrays = [values[index] for values in lists]
        if count <= BLOCK:
            _update_single(arrays, scalars, _scratch(dtype, param.shape))
        elif all(x.is_contiguous() for x in arrays):
            for part in zip(*(x.view(-1).split(BLOCK) for x in arrays)):
                _update_single(part, scalars, _scratch(dtype, part[0].shape))
        else:
            _update_single(arrays, scalars)
    if small:
        _update_gathered(lists, small, scalars)


def _update_gathered(lists, indices, scalars):
    """A step of small tensors as one."""
    lists = [[values[index] for index in indices] for values in lists]
    shapes = [param.shape for param in lists[0]]
    blocks, parts, flat = _gathering(_arithmetic(lists), shapes, len(lists))
    if flat:
        for tensors, block in zip(lists, blocks):  # Behind these blocks is the scratch.
            torch.cat(tensors, out=block)
    else:
        for tensors, places in zip(lists, parts, strict=True):
            torch._foreach_copy_(places, tensors)
    _update(*blocks, *scalars)
    for index, (tensors, places) in enumerate(zip(lists, parts, strict=True)):
        if index != 1:  # The gradients stay as they are.
            torch._foreach_copy_(tensors, places)


def _kept(key, make):
    """What this thread keeps for later steps, by a key."""
    known = _KEPT.__dict__.setdefault("by_key", {})
    if key not in known:
        if len(known) > 1000:
            known.clear()
        known[key] = make()
    return known[key]


def _memory(dtype, number):
    """A block in which this thread works, in every step the same one."""
    return _kept((dtype, BLOCK, number), lambda: torch.empty(BLOCK, dtype=dtype))


def _scratch(dtype, shape):
    """The scratch tensors of an update, in kept memory."""

    def make():
        blocks = [_memory(dtype, number) for number in range(_SCRATCH)]
        return [block[: shape.numel()].view(shape) for block in blocks]

    # Not the key of a gathering of one tensor.
    return _kept((dtype, BLOCK, "scratch", shape), make)


def _gathering(dtype, shapes, count):
    """Blocks for so many lists of tensors of these shapes and for the scratch of their
    update, where in the blocks each tensor has its place, and whether all are vectors."""

    def make():
        sizes = [shape.numel() for shape in shapes]
        numbers = range(_SCRATCH, _SCRATCH + count)
        blocks = [_memory(dtype, number)[: sum(sizes)] for number in numbers]
        parts = [
            [part.view(shape) for part, shape in zip(block.split(sizes), shapes)]
            for block in blocks
        ]
        flat = all(len(shape) == 1 for shape in shapes)
        return [*blocks, *_scratch(dtype, blocks[0].shape)], parts, flat

    return _kept((dtype, BLOCK, *shapes), make)
"#;

/// Within `_update_blocks`.
pub const TENSORS: &str = r#"    # With a tensor of its own type PyTorch is faster than with a float.
    scalars = torch.tensor(scalars, dtype=dtype).unbind()
"#;

/// Within `_update_blocks`, where some numbers are of other use.
pub const SOME_TENSORS: &str = r#"    # With a tensor of its own type PyTorch is faster in arithmetic than with a float.
    floats, tensors = {@KEPT@}, torch.tensor(scalars, dtype=dtype).unbind()
    scalars = [
        number if index in floats else tensor
        for index, (number, tensor) in enumerate(zip(scalars, tensors, strict=True))
    ]
"#;

/// The launch of the kernel.
pub const FUSED: &str = r#"

# Of each list of sizes: which tensor each block is of, and where each tensor begins.
_LAYOUTS = {}


def _can_fuse(group, lists):
    """Whether the kernel can take these tensors."""
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


def _update_fused(lists, scalars):
    """A step of all tensors of a list by one launch."""
    device, block = lists[0][0].device, 512
    sizes = tuple(param.numel() for param in lists[0])
    if (device, sizes) not in _LAYOUTS:
        counts = torch.tensor([(size + block - 1) // block for size in sizes])
        owners = torch.repeat_interleave(torch.arange(len(sizes)), counts)
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
        known[rows] = torch.tensor(rows, dtype=torch.int64).to(device)
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

/// One group's step.
pub const APPLY: &str = r#"

def _arithmetic(lists):
    """The type that a step computes in: f64 for f64, and f32 for all others."""
    return torch.promote_types(lists[0][0].dtype, torch.float32)


def _update_single(arrays, scalars, scratch=None):
    """A step of one tensor, which is computed in another type if it must."""
    dtype = torch.promote_types(arrays[0].dtype, torch.float32)
    if scratch is None:
        scratch = [torch.empty_like(arrays[0], dtype=dtype) for _ in range(_SCRATCH)]
    if all(x.dtype == dtype for x in arrays):
        return _update(*arrays, *scratch, *scalars)
    working = [x.to(dtype) for x in arrays]
    _update(*working, *scratch, *scalars)
    for index, (array, value) in enumerate(zip(arrays, working, strict=True)):
        if index != 1 and array is not value:
            array.copy_(value)


def _apply(group, lists, totals):
    """A step of tensors that are on one device and of one type."""
    scalars, own = _numbers(group, totals)
    foreach, compiling = group["foreach"], torch.compiler.is_compiling()
    on_cpu = lists[0][0].device.type == "cpu"
@FUSED@@BLOCKS@    if foreach is None:
        foreach = compiling or not on_cpu
    if foreach:
        dtype = _arithmetic(lists)
        working = [[x.to(dtype) for x in values] for values in lists]
        _update_foreach(*working, *scalars, *own)
        for index, (values, results) in enumerate(zip(lists, working, strict=True)):
            if index != 1 and any(x.dtype != dtype for x in values):
                torch._foreach_copy_(values, results)
    else:
        for arrays in zip(*lists, *own, strict=True):
            _update_single(arrays[: len(lists)], (*scalars, *arrays[len(lists) :]))
"#;

/// Within `_apply`.
pub const TRY_FUSED: &str = r#"    if group["fused"] is not False and not foreach and _can_fuse(group, lists):
        return _update_fused(lists, scalars)
    if group["fused"] and not compiling:
        raise RuntimeError("`fused` needs Triton and contiguous tensors on CUDA")
"#;

/// Within `_apply`.
pub const TRY_BLOCKS: &str = r#"    if on_cpu and foreach is not False and BLOCK and not compiling:
        return _update_blocks(lists, scalars)
"#;

/// Of the class.
pub const CLASS_DOC: &str = r#"    """One step: `optimizer.step()`. All hyperparameters are per group.

    Args:
        params: parameters or groups of them.
        maximize: go up.
        foreach: work on lists of tensors (None: where it is faster).
        fused: use the Triton kernel (None: where it can be used).
        state_dtype: the type of the state, such as `torch.bfloat16`, which is rounded to
            it; arithmetic stays in f32. None: f32, or f64 for parameters in f64.
    """
"#;

/// The state of the parameters, and of new ones what they begin with.
pub const STATE: &str = r#"        states = [self.state[param] for param in params]
        for param, state in zip(params, states, strict=True):
            if not state:
                dtype = group["state_dtype"]
                dtype = dtype or torch.promote_types(param.dtype, torch.float32)
                for name in _SLOTS:
                    state[name] = torch.zeros_like(param, dtype=dtype)
        slots = ([state[name] for state in states] for name in _SLOTS)
"#;

/// After a state has been loaded.
pub const LOAD: &str = r#"
    def load_state_dict(self, state_dict):
        """Loads what `state_dict` gave. State keeps the type that it was saved in."""
        super().load_state_dict(state_dict)
        saved = [x for group in state_dict["param_groups"] for x in group["params"]]
        params = [x for group in self.param_groups for x in group["params"]]
        for key, param in zip(saved, params, strict=True):
            for name, value in state_dict["state"].get(key, {}).items():
                # A copy, since steps write to it.
                if isinstance(value, torch.Tensor):
                    value = value.to(param.device, copy=True)
                self.state[param][name] = value
"#;

/// A group that counts its steps.
pub const INIT_STEP: &str = r#"        group = self.param_groups[-1]
        if not isinstance(group.get("step"), torch.Tensor):
            group["step"] = torch.zeros((), dtype=torch.float64)
"#;

/// One more step.
pub const COUNT: &str = "            group[\"step\"] += 1\n";

/// The methods.
pub const METHODS: &str = r#"
    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("maximize", False)
            for name in ("foreach", "fused", "state_dtype"):
                group.setdefault(name, None)

    def add_param_group(self, param_group):
        """Adds a group of parameters."""
        super().add_param_group(param_group)
        for param in self.param_groups[-1]["params"]:
            if param.is_complex():
                name = type(self).__name__
                raise RuntimeError(f"{name} does not support complex parameters")
@INIT_STEP@@LOAD@
    def _batches(self):
        """Of each group, device and type: the group, the lists of parameters, gradients
        and slots, and a place for sums."""
        batches = []
        for group in self.param_groups:
            lists = self._lists(group)
            if not lists[0]:
                continue
@COUNT@            if group["maximize"]:
                lists[1] = torch._foreach_neg(lists[1])
            # By the parameters alone: state may be of another type.
            alike = self._group_tensors_by_device_and_dtype(
                lists[:1], with_indices=True
            )
            if len(alike) == 1:
                batches.append((group, lists, {}))
                continue
            for _, indices in alike.values():
                part = [[values[index] for index in indices] for values in lists]
                batches.append((group, part, {}))
        return batches

    def _lists(self, group):
        """The parameters of a group that have gradients, these, and the slots."""
        params = group["params"]
        grads = [param.grad for param in params]
        if any(grad is None for grad in grads):
            params = [param for param in params if param.grad is not None]
            grads = [param.grad for param in params]
        if any(grad.layout != torch.strided for grad in grads):
            name = type(self).__name__
            raise RuntimeError(f"{name} does not support sparse gradients")
@STATE@        return @LISTS@

    @torch.no_grad()
    def step(self, closure=None):
        """One step.

        Args:
            closure: computes the loss and its gradients anew, and returns the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        batches = self._batches()
@REDUCE@        for group, lists, totals in batches:
            _apply(group, lists, totals)
        return loss
"#;
