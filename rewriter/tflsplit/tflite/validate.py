# SPDX-License-Identifier: Apache-2.0
"""What must hold of a file's tensors before anything is built from them.

Every check raises ``ModelError`` that names the tensor and the way out.  The reader adds the
file's name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tflsplit.errors import ModelError
from tflsplit.ir import DType, Quantization

MAX_RANK = 8
MAX_TENSOR_BYTES = 2**31 - 1

DAMAGED = "the file is damaged: download or convert it again"
_FIX_SHAPE = "fix the input shape (batch size 1) when converting the model"

_STORED_RANGES = {
    DType.INT8: (-(2**7), 2**7 - 1),
    DType.UINT8: (0, 2**8 - 1),
    DType.INT16: (-(2**15), 2**15 - 1),
    DType.INT4: (-8, 7),
}


def check_shape(what: str, shape: Sequence[int], signature: Sequence[int]) -> None:
    """The shape is static and small enough to exist.

    signature: ``shape_signature``, in which -1 marks what was dynamic before conversion.  It may
    do so where the shape itself is static, as in most real models.
    """
    if any(size == -1 for size in shape) or (signature and len(signature) != len(shape)):
        raise ModelError(f"{what} has the dynamic shape {list(signature or shape)}; {_FIX_SHAPE}")
    if len(shape) > MAX_RANK:
        raise ModelError(f"{what} has {len(shape)} dimensions, more than {MAX_RANK}; {DAMAGED}")
    if any(size < 0 for size in shape) or math.prod(shape) > MAX_TENSOR_BYTES:
        raise ModelError(f"{what} has the impossible shape {list(shape)}; {DAMAGED}")


def check_size(what: str, size_bytes: int) -> None:
    """A computed tensor has elements, and fits into 32-bit memory."""
    if size_bytes > MAX_TENSOR_BYTES:
        raise ModelError(f"{what} would take {size_bytes} bytes; {DAMAGED}")
    if size_bytes == 0:
        raise ModelError(f"{what} has no elements: a dimension is 0; {_FIX_SHAPE}")


def check_contents(what: str, stored_bytes: int, needed_bytes: int) -> None:
    """A constant's buffer holds exactly what its shape and type need."""
    if stored_bytes != needed_bytes:
        raise ModelError(
            f"{what} needs {needed_bytes} bytes, but its buffer holds {stored_bytes}; {DAMAGED}"
        )


def check_quantization(
    what: str, quantization: Quantization, shape: Sequence[int], dtype: DType
) -> None:
    """Scales are positive finite numbers, as many as ``axis`` is long; zero points fit the type."""
    scales, zero_points = quantization.scales, quantization.zero_points
    bad = [scale for scale in scales if not (math.isfinite(scale) and scale > 0)]
    if bad:
        raise ModelError(
            f"{what} has the quantization scale {bad[0]}, which is no positive finite number; "
            "convert the model again with a representative dataset that exercises this tensor"
        )
    if len(scales) > 1:
        _check_axis(what, quantization, shape)
    if scales and len(zero_points) not in (0, len(scales)):
        raise ModelError(
            f"{what} has {len(scales)} scales but {len(zero_points)} zero points; {DAMAGED}"
        )
    low, high = _STORED_RANGES.get(dtype, (-(2**31), 2**31 - 1))
    if any(not low <= zero_point <= high for zero_point in zero_points):
        raise ModelError(f"{what} has a zero point that {dtype.value} cannot hold; {DAMAGED}")


def _check_axis(what: str, quantization: Quantization, shape: Sequence[int]) -> None:
    axis, channels = quantization.axis, len(quantization.scales)
    if not 0 <= axis < len(shape):
        raise ModelError(
            f"{what} has its scales along dimension {axis} of {len(shape)} "
            f"(quantized_dimension); {DAMAGED}"
        )
    if shape[axis] != channels:
        raise ModelError(
            f"{what} has {channels} scales along dimension {axis}, "
            f"which has {shape[axis]} elements; {DAMAGED}"
        )


def harmless_axis(axis: int, scales: int, shape: Sequence[int]) -> int:
    """The axis, or 0 where the file's number is out of range and cannot mean anything else.

    That is so with at most one scale (the axis means nothing), and for the one dimension of a
    1-D tensor: old converters gave biases the axis of their weights, which TFLM never looks at.
    """
    if 0 <= axis < len(shape) or not (scales <= 1 or len(shape) == 1):
        return axis
    return 0
