"""What the functions of the files for PyTorch call."""

from collections.abc import Callable
from typing import Any

import torch
from basics import _PLAIN
from torch import Tensor


def _exp10(x: Tensor) -> Tensor:
    return torch.pow(10.0, x)


def _cube(x: Tensor) -> Tensor:
    return x * x * x


def _cbrt(x: Tensor) -> Tensor:
    """The cube root, by way of f64."""
    root = torch.pow(x.double().abs(), 1 / 3)
    return torch.copysign(root, x).to(x.dtype)


def _guarded_log1p(x: Tensor) -> Tensor:
    """The logarithm of |1 + x|, accurate near 0."""
    return torch.where(x < -1, torch.log(-(1 + x)), torch.log1p(x))


def _f64(x: Any) -> Tensor:
    """A number as a tensor in f64, of a distributed one the whole."""
    if not isinstance(x, Tensor):
        return torch.tensor(x, dtype=torch.float64, device="cpu")
    whole = getattr(x, "full_tensor", None)
    return x.double() if whole is None else _f64(whole())


def _scalar(function: Callable[..., Tensor], *numbers: Any) -> Any:
    """A function of numbers in f64, which gives NaN and infinities where Python would raise."""
    value = function(*(_f64(x) for x in numbers))
    return value if torch.compiler.is_compiling() else value.item()


def _clip_factor(norm: Any, limit: Any) -> Any:
    """The factor that makes a norm at most a limit."""
    if torch.compiler.is_compiling():
        norm = _f64(norm)
        limit = _f64(limit).to(norm.device)
        return torch.where(norm <= limit, torch.ones_like(norm), limit / norm)
    return 1.0 if norm <= limit else _scalar(torch.div, limit, norm)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """The sum of the products of all elements, in f64, a stretch at a time."""
    if type(x) not in _PLAIN or type(y) not in _PLAIN:
        return (x.double() * y).sum()
    x, y = x.reshape(-1), y.reshape(-1)
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for start in range(0, x.numel(), 1 << 22):
        part = slice(start, start + (1 << 22))
        total += (x[part].double() * y[part]).sum()
    return total


def _rounded(number: Any, like: Tensor) -> Any:
    """A number as clamps take it: beyond the type of a tensor it is infinite."""
    if isinstance(number, Tensor) or abs(number) <= torch.finfo(like.dtype).max:
        return number
    return torch.tensor(number, dtype=like.dtype, device="cpu").item()


def _pairs(x: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones."""
    return torch.view_as_real(x.resolve_conj())


def _sum(x: Tensor) -> Tensor:
    """The sum of all elements, in f64."""
    return x.sum(dtype=torch.float64)


def _where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return torch.where(condition != 0, x, y)


def _where_like(like: Tensor, condition: Any, x: Any, y: Any) -> Tensor:
    """x where the condition is not 0 and y where it is: a new tensor like another one."""
    if not isinstance(condition, Tensor):
        limits = torch.finfo(like.dtype)
        is_zero = abs(condition) <= limits.tiny * limits.eps / 2
        spread: Tensor = torch.ones_like(like) * (y if is_zero else x)
        return spread
    x, y = _rounded(x, like), _rounded(y, like)
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        x = torch.full_like(like, x)
    if condition.dtype != torch.bool:
        condition = condition.to(like.device, like.dtype) != 0
    result: Tensor = torch.where(condition, x, y).to(like.dtype)
    return result


def _less(x: Tensor, y: Any) -> Tensor:
    return torch.lt(x, y).to(x.dtype)


def _less_equal(x: Tensor, y: Any) -> Tensor:
    return torch.le(x, y).to(x.dtype)


def _greater(x: Tensor, y: Any) -> Tensor:
    return torch.gt(x, y).to(x.dtype)


def _greater_equal(x: Tensor, y: Any) -> Tensor:
    return torch.ge(x, y).to(x.dtype)


def _equal(x: Tensor, y: Any) -> Tensor:
    return torch.eq(x, y).to(x.dtype)


def _rows(x: Tensor) -> int:
    return x.shape[0] if x.dim() else 1


def _columns(x: Tensor) -> int:
    return x.shape[1:].numel()


def _matrix(x: Tensor) -> Tensor:
    """An array as a matrix: its first dimension by the rest; a vector is a column."""
    return x.reshape(x.shape[0] if x.dim() else 1, x.shape[1:].numel())


def _transpose(x: Tensor) -> Tensor:
    turned = _matrix(x).t().clone(memory_format=torch.contiguous_format)
    return _replicated(turned)


def _placed(x: Tensor, like: Any) -> Tensor:
    """An array of the shape of another one, where that one is if they are distributed:
    what works in place needs it there."""
    array: Any = x
    placements = getattr(like, "placements", None)
    if placements is not None and array.placements != placements:
        array = array.redistribute(like.device_mesh, placements)
    return array  # type: ignore[no-any-return]


def _replicated(x: Tensor) -> Tensor:
    """An array of another shape than its operands, if it is distributed: each has it all."""
    array: Any = x
    if hasattr(x, "placements"):
        from torch.distributed.tensor import Replicate

        array = array.redistribute(placements=[Replicate()] * array.device_mesh.ndim)
    return array  # type: ignore[no-any-return]


# The type in which products of matrices are summed; f32 is faster on most devices.
PRODUCTS = torch.float64


def _matmul(x: Tensor, y: Tensor) -> Tensor:
    """The product of two matrices."""
    x, y = _matrix(x), _matrix(y)
    dtype = torch.promote_types(x.dtype, PRODUCTS)
    return _replicated(torch.matmul(x.to(dtype), y.to(dtype)).to(x.dtype))


def _row_mean(x: Tensor) -> Tensor:
    """The mean of each row, at every place of the row."""
    y = _matrix(x)
    mean = y.mean(1, keepdim=True, dtype=torch.float64).to(y.dtype)
    return _placed(mean.expand_as(y).reshape(x.shape).contiguous(), x)


def _column_mean(x: Tensor) -> Tensor:
    """The mean of each column, at every place of the column."""
    y = _matrix(x)
    mean = y.mean(0, keepdim=True, dtype=torch.float64).to(y.dtype)
    return _placed(mean.expand_as(y).reshape(x.shape).contiguous(), x)


def _newton_schulz(x: Tensor) -> Tensor:
    """Five steps of Muon's iteration: the singular values come close to 1."""
    y = _matrix(x)
    tall = y.shape[0] > y.shape[1]
    y = y.t() if tall else y
    y = y / (y.double().square().sum().sqrt() + 1e-7).to(y.dtype)
    for _ in range(5):
        a = _matmul(y, y.t())
        y = 3.4445 * y + _matmul(-4.775 * a + 2.0315 * _matmul(a, a), y)
    return _placed((y.t() if tall else y).reshape(x.shape), x)
