# SPDX-License-Identifier: Apache-2.0
"""Random operators that few networks have: comparisons, floats in between, batches of blocks."""

from __future__ import annotations

from tests.random_models.net import Net
from tflsplit.ir import DType, Quantization, Value


def select(net: Net) -> Value | None:
    """A comparison and SELECT_V2 by its result."""
    x = net.pick()
    if x is None:
        return None
    other = net.rng.choice([v for v in net.live if v.shape == x.shape])
    if other.quantization != x.quantization:
        other = net.result("QUANTIZE", (other,), other.shape, x.quantization, 2)
    op = net.rng.choice(["GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "EQUAL", "NOT_EQUAL"])
    condition = net.result(op, (x, other), x.shape, None, 2, DType.BOOL)
    if net.rng.random() < 0.3:
        condition = net.result("LOGICAL_NOT", (condition,), x.shape, None, 1, DType.BOOL)
    return net.result("SELECT_V2", (condition, x, other), x.shape, x.quantization)


def floats(net: Net) -> Value | None:
    """DEQUANTIZE, something in float32, QUANTIZE."""
    x = net.pick()
    if x is None:
        return None
    real = net.result("DEQUANTIZE", (x,), x.shape, None, 2, DType.FLOAT32)
    op = net.rng.choice(["FLOOR", "CEIL", "ROUND", "SIN", "COS", "NEG", "SQUARE", "ABS", "EXP"])
    made = net.result(op, (real,), x.shape, None, 1, DType.FLOAT32)
    return net.result("QUANTIZE", (made,), x.shape, net.scale(), 1)


def cast(net: Net) -> Value | None:
    """CAST to int32 and back."""
    x = net.pick()
    if x is None:
        return None
    wide = net.result("CAST", (x,), x.shape, None, 1, DType.INT32)
    return net.result("CAST", (wide,), x.shape, x.quantization)


def argmin(net: Net) -> Value | None:
    """ARG_MIN, whose int32 result goes to the host."""
    x = net.pick()
    if x is None or len(x.shape) < 2:
        return None
    axis = len(x.shape) - 1
    return net.result(
        "ARG_MIN", (x, net.integers(axis)), x.shape[:-1], None, 1, DType.INT32, output_type=2
    )


def normalize(net: Net) -> Value | None:
    """L2_NORMALIZATION over the last dimension."""
    x = net.pick()
    if x is None:
        return None
    to = Quantization((1.0 / 128,), (0,))
    return net.result("L2_NORMALIZATION", (x,), x.shape, to, 2, fused_activation_function=0)


def ones(net: Net) -> Value | None:
    """EXPAND_DIMS, or SQUEEZE of dimensions of extent 1."""
    x = net.pick()
    if x is None:
        return None
    single = [d for d, n in enumerate(x.shape) if n == 1 and d > 0]
    if single and len(x.shape) > 2 and net.rng.random() < 0.5:
        shape = [n for d, n in enumerate(x.shape) if d != single[0]]
        return net.result("SQUEEZE", (x,), shape, x.quantization, squeeze_dims=(single[0],))
    if len(x.shape) > 3:
        return None
    axis = net.rng.randint(0, len(x.shape))
    shape = [*x.shape[:axis], 1, *x.shape[axis:]]
    return net.result("EXPAND_DIMS", (x, net.integers([axis])), shape, x.quantization)


def blocks(net: Net) -> Value | None:
    """SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, as old converters wrote dilation."""
    x = net.pick(4)
    if x is None or x.shape[1] % 2 or x.shape[2] % 2:
        return None
    b, h, w, c = x.shape
    above, left = (2 * net.rng.randint(0, 1) for _ in range(2))
    pads = net.integers([[above, 0], [left, 0]])
    shape = (4 * b, (h + above) // 2, (w + left) // 2, c)
    wide = net.result(
        "SPACE_TO_BATCH_ND", (x, net.integers([2, 2]), pads), shape, x.quantization, 2
    )
    if net.rng.random() < 0.3:
        return wide
    operands = wide, net.integers([2, 2]), pads
    return net.result("BATCH_TO_SPACE_ND", operands, x.shape, x.quantization, 2)


def whole(net: Net) -> Value | None:
    """Operators without a sharding rule."""
    x = net.pick()
    if x is None:
        return None
    axis = net.rng.randrange(len(x.shape))
    if net.rng.random() < 0.5:
        return net.result(
            "CUMSUM", (x, net.integers(axis)), x.shape, exclusive=False, reverse=False
        )
    return net.result("REVERSE_V2", (x, net.integers([axis])), x.shape, x.quantization)


RARER = (select, floats, cast, argmin, normalize, ones, blocks, whole)
