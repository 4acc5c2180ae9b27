# SPDX-License-Identifier: Apache-2.0
"""Constructors of tflsplit's custom operators.

``docs/custom_ops.md`` says what each operator means.  A node is checked as it is made
(``custom_check.problems``): InternalError if a caller got it wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.errors import InternalError
from tflsplit.ir import Attrs, AttrValue, Node, Value
from tflsplit.ops.own.custom_check import problems
from tflsplit.ops.own.custom_options import (
    INT8_RANGE,
    Pads,
    Pair,
    RecvOptions,
    RecvPiece,
    SendOptions,
    WindowOptions,
    activation_of,
)
from tflsplit.ops.region import Box
from tflsplit.wire import custom_ops as wire
from tflsplit.wire.checking import is_checked

__all__ = [
    "INT8_RANGE",
    "RecvOptions",
    "RecvPiece",
    "SendOptions",
    "WindowOptions",
    "activation_of",
    "conv_2d",
    "depthwise_conv_2d",
    "partial_conv_2d",
    "partial_fully_connected",
    "partial_sum",
    "problems",
    "recv",
    "requantize",
    "send",
]


def send(
    x: Value,
    *,
    channel: int,
    to: Sequence[int],
    tensor: str,
    boxes: Sequence[Box],
    origin: Sequence[int],
    copy: Value | None = None,
    name: str,
) -> Node:
    """Post ``boxes[i]`` (coordinates of the whole tensor) of ``x`` to the rank ``to[i]``.

    Equal boxes for all ranks are stored once: a multicast.
    copy: int8, one dimension: what is sent, box after box; then ``x`` is read at once.
    """
    distinct = list(boxes[:1] if len(set(boxes)) == 1 else boxes)
    options: dict[str, AttrValue] = {
        "channel": channel,
        "to": tuple(to),
        "tensor": tensor,
        "boxes": tuple(bound for box in distinct for bound in box.flat()),
        "origin": tuple(origin),
    }
    results = () if copy is None else (copy,)
    return make_node(wire.SEND, (x,), results, wire.encode(wire.SEND, options), name)


def recv(
    *,
    output: Value | None,
    tensor: str,
    origin: Sequence[int],
    local: Value | None,
    local_box: Box | None,
    local_origin: Sequence[int],
    pieces: Sequence[RecvPiece],
    pending: Sequence[Value],
    add: bool = False,
    early: bool = False,
    name: str,
) -> Node:
    """Assemble ``output`` from a local shard and pieces, and wait for the SENDs of ``pending``.

    output: None for a pure wait (then there is neither local shard nor piece).
    local, local_box, local_origin: the shard on this rank, what of it is copied and where its
        element 0 lies; None, None and () if there is none.
    pending: tensors whose posted SENDs must have left before the node is done; they stay alive
        until then because they are operands.
    add: the pieces are int32 or int16 sums that are added.
    early: it may be done before the pieces are there (passes/early_receives.py).
    """
    options: dict[str, AttrValue] = {
        "tensor": tensor,
        "origin": tuple(origin),
        "local": () if local_box is None else local_box.flat(),
        "local_origin": tuple(local_origin),
        "channels": tuple(piece.channel for piece in pieces),
        "from": tuple(piece.source for piece in pieces),
        "boxes": tuple(bound for piece in pieces for bound in piece.box.flat()),
        "sum": int(add),
        "early": int(early),
    }
    inputs = (*(() if local is None else (local,)), *pending)
    outputs = () if output is None else (output,)
    return make_node(wire.RECV, inputs, outputs, wire.encode(wire.RECV, options), name)


def ask(*, output: Value, tensor: str, pieces: Sequence[RecvPiece], name: str) -> Node:
    """Say that ``output`` is ready for the messages of ``pieces``; a later RECV takes them.

    output: int8, one dimension, the messages one behind the other in bytes.
    """
    itemsize = output.size // max(1, sum(piece.box.size for piece in pieces))
    options: dict[str, AttrValue] = {
        "tensor": tensor,
        "channels": tuple(piece.channel for piece in pieces),
        "from": tuple(piece.source for piece in pieces),
        "bytes": tuple(piece.box.size * itemsize for piece in pieces),
    }
    return make_node(wire.ASK, (), (output,), wire.encode(wire.ASK, options), name)


def conv_2d(
    x: Value,
    weights: Value,
    bias: Value | None,
    multiplier: Value,
    shift: Value,
    output: Value,
    *,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    activation: Pair = INT8_RANGE,
    name: str = "",
) -> Node:
    """CONV_2D with four explicit pads.

    x: int8 NHWC; weights: int8 OHWI (grouped if I < C of x), zero point 0; bias: int32[O];
    multiplier, shift: int32[O] of the requantization; output: int8 NHWO.
    activation: smallest and largest stored value of the result.
    """
    attrs = WindowOptions(stride, dilation, pads).attrs(wire.CONV_2D, activation)
    return make_node(wire.CONV_2D, (x, weights, bias, multiplier, shift), (output,), attrs, name)


def depthwise_conv_2d(
    x: Value,
    weights: Value,
    bias: Value | None,
    multiplier: Value,
    shift: Value,
    output: Value,
    *,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    activation: Pair = INT8_RANGE,
    name: str = "",
) -> Node:
    """DEPTHWISE_CONV_2D with four explicit pads; weights: int8 [1, kh, kw, O], O = k * C of x."""
    op = wire.DEPTHWISE_CONV_2D
    attrs = WindowOptions(stride, dilation, pads).attrs(op, activation)
    return make_node(op, (x, weights, bias, multiplier, shift), (output,), attrs, name)


def partial_conv_2d(
    x: Value,
    weights: Value,
    output: Value,
    *,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    name: str = "",
) -> Node:
    """Exact int32 sums of a convolution over a slice of the input channels.

    x: int8 NHWC of the slice; weights: int8 OHWI, I = C of x; output: int32 NHWO without
    quantization.
    """
    attrs = WindowOptions(stride, dilation, pads).attrs(wire.PARTIAL_CONV_2D)
    return make_node(wire.PARTIAL_CONV_2D, (x, weights), (output,), attrs, name)


def partial_fully_connected(x: Value, weights: Value, output: Value, *, name: str = "") -> Node:
    """Exact int32 sums of FULLY_CONNECTED over a slice of the inputs.

    x: int8 [..., I]; weights: int8 [O, I]; output: int32 [..., O] without quantization.
    """
    op = wire.PARTIAL_FULLY_CONNECTED
    return make_node(op, (x, weights), (output,), wire.encode(op, {}), name)


def partial_sum(x: Value, output: Value, *, axes: Pair, name: str = "") -> Node:
    """Exact sums of ``x`` minus its zero point over its dimensions ``[axes[0], axes[1])``.

    x: int8; output: int32, or int16 of at most 128 values, of the other dimensions, without
    quantization; those summed up may stay as 1.
    """
    attrs = wire.encode(wire.PARTIAL_SUM, {"axes": axes})
    return make_node(wire.PARTIAL_SUM, (x,), (output,), attrs, name)


def requantize(
    sums: Value,
    bias: Value | None,
    multiplier: Value,
    shift: Value,
    output: Value,
    *,
    activation: Pair = INT8_RANGE,
    name: str = "",
) -> Node:
    """int8 of complete sums: bias added, scaled per channel (last dimension), clamped.

    sums: int32 or int16 [..., C]; bias, multiplier, shift: int32[C]; output: int8, shaped like
    ``sums``.
    """
    attrs = wire.encode(wire.REQUANTIZE, {"activation": activation})
    return make_node(wire.REQUANTIZE, (sums, bias, multiplier, shift), (output,), attrs, name)


def make_node(
    op: str, inputs: Sequence[Value | None], outputs: Sequence[Value], attrs: Attrs, name: str
) -> Node:
    """A custom node of ours, checked; InternalError if it makes no sense."""
    node = Node(op, tuple(inputs), tuple(outputs), attrs, name, is_custom=True)
    found = problems(node) if is_checked() else []
    if found:
        raise InternalError("; ".join(found))
    return node
