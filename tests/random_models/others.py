# SPDX-License-Identifier: Apache-2.0
"""Random operators without weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.random_models.net import MOST_ELEMENTS, Attributes, Net
from tflsplit.ir import DType, Padding, Quantization, Value

UNIT = Quantization((1.0 / 256.0,), (-128,))
SIGNED = Quantization((1.0 / 128.0,), (0,))


def unary(net: Net) -> Value | None:
    """An element at a time."""
    x = net.pick()
    if x is None:
        return None
    op, to, version = net.rng.choice(
        [
            ("LOGISTIC", UNIT, 2),
            ("TANH", SIGNED, 2),
            ("HARD_SWISH", None, 1),
            ("LEAKY_RELU", None, 2),
            ("RELU", None, 2),
            ("RELU6", None, 2),
            ("ELU", None, 1),
            ("QUANTIZE", None, 2),
            ("ABS", x.quantization, 2),
        ]
    )
    attrs: Attributes = {"alpha": 0.25} if op == "LEAKY_RELU" else {}
    return net.result(op, (x,), x.shape, to, version, **attrs)


def binary(net: Net) -> Value | None:
    """Two tensors, or one and a constant, broadcast or not."""
    x = net.pick()
    if x is None:
        return None
    others = [v for v in net.live if v.shape == x.shape]
    broad = (x.shape[0], 1, 1, x.shape[-1])
    gate = [v for v in net.live if len(x.shape) == 4 and v.shape == broad != x.shape]
    draw = net.rng.random()
    if gate and draw < 0.3:
        other = net.rng.choice(gate)
    elif draw < 0.6:
        other = net.rng.choice(others)
    else:
        shape = [n if net.rng.random() < 0.5 else 1 for n in x.shape]
        other = net.constant(shape[net.rng.choice([0, 0, len(shape) - 1]) :])
    op = net.rng.choice(["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE"])
    operands = (x, other)
    if op in ("MAXIMUM", "MINIMUM"):
        if other.data is None and other.quantization != x.quantization:
            other = net.result("QUANTIZE", (other,), other.shape, x.quantization, 2)
        elif other.data is not None:
            other = Value(other.name, other.shape, other.dtype, x.quantization, other.data)
        return net.result(op, (x, other), x.shape, x.quantization, 2)
    if op == "SQUARED_DIFFERENCE":
        return net.result(op, operands, x.shape, version=2)
    if net.rng.random() < 0.2:
        operands = (other, x)
    activation = net.rng.choice([0, 0, 1, 3])
    return net.result(op, operands, x.shape, version=2, fused_activation_function=activation)


def prelu(net: Net) -> Value | None:
    """PRELU with a slope for each channel."""
    x = net.pick(4)
    if x is None:
        return None
    alpha = net.constant((1, 1, x.shape[3]))
    return net.result("PRELU", (x, alpha), x.shape)


def pool(net: Net) -> Value | None:
    """AVERAGE_POOL_2D or MAX_POOL_2D."""
    x = net.pick(4)
    if x is None:
        return None
    rng = net.rng
    size = rng.choice([(2, 2), (3, 3), (1, 2), (3, 2), (1, 1)])
    stride = rng.choice([(1, 1), (2, 2), (2, 1), size])
    padding = rng.choice([Padding.SAME, Padding.VALID])
    extents = [
        -(-n // s) if padding == Padding.SAME else (n - k) // s + 1
        for n, k, s in zip(x.shape[1:3], size, stride, strict=True)
    ]
    if min(extents) < 1 or any(k > n for k, n in zip(size, x.shape[1:3], strict=True)):
        return None
    return net.result(
        rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"]),
        (x,),
        (x.shape[0], *extents, x.shape[3]),
        x.quantization,
        2,
        padding=int(padding),
        stride_h=stride[0],
        stride_w=stride[1],
        filter_height=size[0],
        filter_width=size[1],
        fused_activation_function=rng.choice([0, 0, 1]),
    )


def reduce(net: Net) -> Value | None:
    """MEAN, SUM, REDUCE_MAX or REDUCE_MIN over some dimensions."""
    x = net.pick(4)
    if x is None:
        return None
    op = net.rng.choice(["MEAN", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"])
    axes = net.rng.choice([[1, 2], [1, 2], [2], [1], [3]])
    keep = net.rng.random() < 0.5
    shape = [1 if d in axes else n for d, n in enumerate(x.shape) if keep or d not in axes]
    to = x.quantization if op.startswith("REDUCE") else None
    return net.result(op, (x, net.integers(axes)), shape, to, 2, keep_dims=keep)


def softmax(net: Net) -> Value | None:
    """SOFTMAX over the last dimension."""
    x = net.pick()
    return None if x is None else net.result("SOFTMAX", (x,), x.shape, UNIT, 2, beta=1.0)


def concat(net: Net) -> Value | None:
    """CONCATENATION along any dimension, operands requantized where scales differ."""
    x = net.pick()
    if x is None:
        return None
    axis = net.rng.randrange(len(x.shape))

    def fits(v: Value) -> bool:
        return len(v.shape) == len(x.shape) and all(
            a == b for d, (a, b) in enumerate(zip(v.shape, x.shape, strict=True)) if d != axis
        )

    others = [v for v in net.live if fits(v)]
    parts = [x, *(net.rng.choice(others) for _ in range(net.rng.choice([1, 1, 2])))]
    size = sum(v.size for v in parts)
    if size > MOST_ELEMENTS:
        return None
    same = [
        v
        if v.quantization == x.quantization
        else net.result("QUANTIZE", (v,), v.shape, x.quantization, 2)
        for v in parts
    ]
    shape = list(x.shape)
    shape[axis] = sum(v.shape[axis] for v in same)
    axis -= len(shape) if net.rng.random() < 0.3 else 0
    return net.result(
        "CONCATENATION", same, shape, x.quantization, 2, axis=axis, fused_activation_function=0
    )


def split(net: Net) -> Value | None:
    """SPLIT or SPLIT_V along any dimension; some results may stay unread."""
    x = net.pick()
    if x is None:
        return None
    axes = [d for d, n in enumerate(x.shape) if n > 1]
    if not axes:
        return None
    axis = net.rng.choice(axes)
    extent = x.shape[axis]
    count = next((n for n in net.rng.sample([2, 3, 4], 3) if extent % n == 0), 0)
    if count and net.rng.random() < 0.7:
        sizes, op = [extent // count] * count, "SPLIT"
        operands: tuple[Value, ...] = (net.integers(axis), x)
    else:
        first = net.rng.randint(1, extent - 1)
        sizes, op = [first, extent - first], "SPLIT_V"
        operands = (x, net.integers(sizes), net.integers(axis))
    shapes = [[n if d == axis else e for d, e in enumerate(x.shape)] for n in sizes]
    made = net.results(op, operands, shapes, x.quantization, 2, num_splits=len(sizes))
    return made[0]


def cut(net: Net) -> Value | None:
    """SLICE or STRIDED_SLICE."""
    x = net.pick()
    if x is None:
        return None
    rng = net.rng
    spans = [
        (begin := rng.randint(0, n - 1) if rng.random() < 0.4 else 0, rng.randint(begin + 1, n))
        if rng.random() < 0.5
        else (0, n)
        for n in x.shape
    ]
    if rng.random() < 0.5:
        shape = [stop - start for start, stop in spans]
        operands = x, net.integers([s for s, _ in spans]), net.integers(shape)
        return net.result("SLICE", operands, shape, x.quantization, 2)
    steps = [rng.choice([1, 1, 2, 3]) for _ in x.shape]
    shape = [-(-(b - a) // s) for (a, b), s in zip(spans, steps, strict=True)]
    numbers = [a for a, _ in spans], [b for _, b in spans], steps
    return net.result(
        "STRIDED_SLICE",
        (x, *(net.integers(each) for each in numbers)),
        shape,
        x.quantization,
        2,
        begin_mask=0,
        end_mask=0,
        ellipsis_mask=0,
        new_axis_mask=0,
        shrink_axis_mask=0,
    )


def pad(net: Net) -> Value | None:
    """PAD, PADV2 or MIRROR_PAD."""
    x = net.pick()
    if x is None:
        return None
    op = net.rng.choice(["PAD", "PADV2", "MIRROR_PAD"])
    most = [min(2, n - 1) if op == "MIRROR_PAD" else 2 for n in x.shape]
    pads = [
        (net.rng.randint(0, m), net.rng.randint(0, m)) if net.rng.random() < 0.4 else (0, 0)
        for m in most
    ]
    shape = [n + a + b for n, (a, b) in zip(x.shape, pads, strict=True)]
    if math.prod(shape) > MOST_ELEMENTS:
        return None
    operands: list[Value] = [x, net.integers(pads)]
    attrs: Attributes = {"mode": net.rng.choice([0, 1])} if op == "MIRROR_PAD" else {}
    if op == "PADV2":
        stored = net.array((1,))
        operands.append(Value(net.name("value"), (1,), DType.INT8, x.quantization, stored))
    return net.result(op, operands, shape, x.quantization, 2 if op != "MIRROR_PAD" else 1, **attrs)


def reshape(net: Net) -> Value | None:
    """RESHAPE to anything of as many elements."""
    x = net.pick()
    if x is None:
        return None
    head, rest = x.shape[0], x.size // x.shape[0]
    shapes: list[Sequence[int]] = [(head, rest)]
    if len(x.shape) == 4:
        b, h, w, c = x.shape
        shapes += [(b, h * w, c), (b, w, h, c), (b, h, w * c), (1, b * h, w, c)]
    else:
        factor = next((n for n in (4, 3, 2) if rest % n == 0), 1)
        shapes += [(head, factor, rest // factor), (head, factor, 1, rest // factor)]
    shape = tuple(net.rng.choice(shapes))
    return net.result("RESHAPE", (x, net.integers(shape)), shape, x.quantization, new_shape=shape)


def transpose(net: Net) -> Value | None:
    """TRANSPOSE."""
    x = net.pick()
    if x is None or len(x.shape) < 2:
        return None
    order = list(range(len(x.shape)))
    net.rng.shuffle(order)
    shape = [x.shape[d] for d in order]
    return net.result("TRANSPOSE", (x, net.integers(order)), shape, x.quantization, 2)


def space(net: Net) -> Value | None:
    """SPACE_TO_DEPTH or DEPTH_TO_SPACE."""
    x = net.pick(4)
    if x is None:
        return None
    b, h, w, c = x.shape
    if h % 2 == 0 and w % 2 == 0 and net.rng.random() < 0.5:
        shape, op = (b, h // 2, w // 2, 4 * c), "SPACE_TO_DEPTH"
    elif c % 4 == 0:
        shape, op = (b, 2 * h, 2 * w, c // 4), "DEPTH_TO_SPACE"
    else:
        return None
    return net.result(op, (x,), shape, x.quantization, 2, block_size=2)


def resize(net: Net) -> Value | None:
    """RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR."""
    x = net.pick(4)
    if x is None:
        return None
    size = [net.rng.choice([n, 2 * n, 2 * n, n + 1, max(1, n // 2)]) for n in x.shape[1:3]]
    shape = (x.shape[0], *size, x.shape[3])
    if math.prod(shape) > MOST_ELEMENTS:
        return None
    op = net.rng.choice(["RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"])
    corners = net.rng.random() < 0.2
    half = not corners and net.rng.random() < 0.7
    attrs: Attributes = {"align_corners": corners, "half_pixel_centers": half}
    return net.result(op, (x, net.integers(size)), shape, x.quantization, 3, **attrs)


def gather(net: Net) -> Value | None:
    """GATHER along any dimension."""
    x = net.pick()
    if x is None:
        return None
    axis = net.rng.randrange(len(x.shape))
    places = [net.rng.randrange(x.shape[axis]) for _ in range(net.rng.randint(1, 5))]
    shape = [len(places) if d == axis else n for d, n in enumerate(x.shape)]
    operands = x, net.integers(places)
    return net.result("GATHER", operands, shape, x.quantization, 2, axis=axis, batch_dims=0)


def pack(net: Net) -> Value | None:
    """PACK of a tensor with itself and another, or UNPACK."""
    x = net.pick()
    if x is None:
        return None
    axis = net.rng.randrange(len(x.shape))
    few = [d for d, n in enumerate(x.shape) if 1 < n < 6]
    if net.rng.random() < 0.5 and few and len(x.shape) > 2:
        axis = net.rng.choice(few)
        shape = [n for d, n in enumerate(x.shape) if d != axis]
        number = x.shape[axis]
        made = net.results(
            "UNPACK", (x,), [shape] * number, x.quantization, 1, num=number, axis=axis
        )
        return made[0]
    if len(x.shape) > 3:
        return None
    same = [v for v in net.live if v.shape == x.shape and v.quantization == x.quantization]
    parts = [x, net.rng.choice(same)]
    shape = [*x.shape[:axis], 2, *x.shape[axis:]]
    return net.result("PACK", parts, shape, x.quantization, 1, values_count=2, axis=axis)


def matmul(net: Net) -> Value | None:
    """BATCH_MATMUL of a tensor with its own transpose."""
    x = net.pick(3)
    if x is None:
        return None
    shape = (*x.shape[:-1], x.shape[-2])
    y = Quantization((x.quantization.scale * 30 if x.quantization else 1.0,), (0,))
    return net.result("BATCH_MATMUL", (x, x), shape, y, 1, adj_x=False, adj_y=True)


def argmax(net: Net) -> Value | None:
    """ARG_MAX, whose int32 result goes to the host."""
    x = net.pick()
    if x is None or len(x.shape) < 2:
        return None
    axis = len(x.shape) - 1
    return net.result(
        "ARG_MAX", (x, net.integers(axis)), x.shape[:-1], None, 1, DType.INT32, output_type=2
    )


OTHERS = (
    unary, unary, binary, binary, binary, prelu, pool, pool, reduce, softmax, concat, concat,
    split, split, cut, cut, pad, reshape, reshape, transpose, space, resize, gather, pack, matmul,
    argmax,
)  # fmt: skip
