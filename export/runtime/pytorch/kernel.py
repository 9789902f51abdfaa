"""What kernels of Triton call."""

import triton
import triton.language as tl
from triton.language.extra import libdevice


@triton.jit
def _triton_sign(x):  # type: ignore
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, 0.0))


@triton.jit
def _triton_square(x):  # type: ignore
    return x * x


@triton.jit
def _triton_cube(x):  # type: ignore
    return x * x * x


@triton.jit
def _triton_maximum(x, y):  # type: ignore
    return tl.maximum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _triton_minimum(x, y):  # type: ignore
    return tl.minimum(x, y, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _triton_guarded_log1p(x):  # type: ignore
    return tl.where(x < -1.0, libdevice.log(-(1.0 + x)), libdevice.log1p(x))
