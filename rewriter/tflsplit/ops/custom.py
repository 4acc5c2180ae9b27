# SPDX-License-Identifier: Apache-2.0
"""Constructors and typed readers of tflsplit's custom operators.

``docs/custom_ops.md`` says what each operator means.  The constructors build nodes that are right
by construction (InternalError if a caller got it wrong); ``SendOptions.of`` and its siblings read
a node that came from a file (ModelError if it is malformed).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from tflsplit.errors import InternalError, ModelError
from tflsplit.ir import Attrs, AttrValue, Node, Value
from tflsplit.ops.region import Box
from tflsplit.wire import custom_ops as wire

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
_Ints = tuple[int, ...]

INT8_RANGE: Pair = (-128, 127)


@dataclass(frozen=True)
class WindowOptions:
    """Options of the convolutions.

    stride, dilation: (rows, columns).
    pads: rows and columns of padding (top, bottom, left, right), each read as the zero point of x.
    """

    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)

    @classmethod
    def of(cls, node: Node) -> WindowOptions:
        """The options of a node; ModelError if they are malformed."""
        options = wire.decode(node)
        return cls(
            cast(Pair, options["stride"]),
            cast(Pair, options["dilation"]),
            cast(Pads, options["pads"]),
        )

    def output_extent(self, input_shape: _Ints, kernel: Pair) -> Pair:
        """Rows and columns of the result of an NHWC input; not positive if the window is larger."""
        padded = (
            input_shape[1] + self.pads[0] + self.pads[1],
            input_shape[2] + self.pads[2] + self.pads[3],
        )
        rows, columns = (
            (padded[i] - (kernel[i] - 1) * self.dilation[i] - 1) // self.stride[i] + 1
            for i in range(2)
        )
        return rows, columns

    def attrs(self, op: str, activation: Pair | None = None) -> Attrs:
        """As attributes of ``op``."""
        options: dict[str, AttrValue] = {
            "stride": self.stride,
            "dilation": self.dilation,
            "pads": self.pads,
        }
        if activation is not None:
            options["activation"] = activation
        return wire.encode(op, options)


def activation_of(node: Node) -> Pair:
    """Smallest and largest value of the result, both inclusive; ModelError if malformed."""
    low, high = cast(Pair, wire.decode(node)["activation"])
    if low > high:
        raise ModelError(f"{node.op} {node.name!r}: activation {low}..{high} lets nothing through")
    return low, high


@dataclass(frozen=True)
class SendOptions:
    """Options of SEND: elements ``box`` of the whole tensor ``tensor`` go to the ranks ``to``.

    channel: names the transfer; one SEND per channel in a plan.
    origin: coordinates in the whole tensor of element 0 of the operand.
    """

    channel: int
    to: tuple[int, ...]
    tensor: str
    box: Box
    origin: tuple[int, ...]

    @classmethod
    def of(cls, node: Node) -> SendOptions:
        """The options of a node; ModelError if they are malformed."""
        options = wire.decode(node)
        origin = cast(_Ints, options["origin"])
        box = _box(node, "box", cast(_Ints, options["box"]), len(origin))
        to = cast(_Ints, options["to"])
        if not to or len(set(to)) != len(to):
            raise _malformed(node, "'to' must name one or more different ranks")
        return cls(cast(int, options["channel"]), to, cast(str, options["tensor"]), box, origin)


@dataclass(frozen=True)
class RecvPiece:
    """One box of the whole tensor that arrives from rank ``source`` on ``channel``."""

    channel: int
    source: int
    box: Box


@dataclass(frozen=True)
class RecvOptions:
    """Options of RECV.

    origin: coordinates in the whole tensor of element 0 of the result.
    local: what is copied from operand 0, None if operand 0 is no local shard.
    local_origin: coordinates in the whole tensor of element 0 of the local shard.
    add: whether the pieces are added to what is there instead of replacing it.
    """

    tensor: str
    origin: tuple[int, ...]
    local: Box | None
    local_origin: tuple[int, ...]
    pieces: tuple[RecvPiece, ...]
    add: bool

    @classmethod
    def of(cls, node: Node) -> RecvOptions:
        """The options of a node; ModelError if they are malformed."""
        options = wire.decode(node)
        origin = cast(_Ints, options["origin"])
        ndim = len(origin)
        flat = cast(_Ints, options["local"])
        local = _box(node, "local", flat, ndim) if flat else None
        local_origin = cast(_Ints, options["local_origin"])
        if len(local_origin) != (ndim if local else 0):
            raise _malformed(node, "'local_origin' does not go with 'local' and 'origin'")
        pieces = _pieces(
            node,
            ndim,
            cast(_Ints, options["channels"]),
            cast(_Ints, options["from"]),
            cast(_Ints, options["boxes"]),
        )
        add = options["sum"] == 1
        return cls(cast(str, options["tensor"]), origin, local, local_origin, pieces, add)


def _malformed(node: Node, what: str) -> ModelError:
    return ModelError(f"{node.op} {node.name!r}: {what}; write the device graphs again")


def _box(node: Node, key: str, flat: _Ints, ndim: int) -> Box:
    if len(flat) != 2 * ndim:
        raise _malformed(node, f"{key!r} has {len(flat)} bounds for {ndim} dimensions")
    box = Box.from_flat(flat)
    if box.is_empty:
        raise _malformed(node, f"{key!r} is {box}, which is empty")
    return box


def _pieces(
    node: Node, ndim: int, channels: _Ints, sources: _Ints, boxes: _Ints
) -> tuple[RecvPiece, ...]:
    if len(sources) != len(channels) or len(boxes) != 2 * ndim * len(channels):
        raise _malformed(node, "'channels', 'from' and 'boxes' do not describe the same pieces")
    step = 2 * ndim
    return tuple(
        RecvPiece(channel, source, _box(node, "boxes", boxes[i * step : (i + 1) * step], ndim))
        for i, (channel, source) in enumerate(zip(channels, sources, strict=True))
    )


def send(
    x: Value,
    *,
    channel: int,
    to: Sequence[int],
    tensor: str,
    box: Box,
    origin: Sequence[int],
    name: str,
) -> Node:
    """Post elements ``box`` (coordinates of the whole tensor) of ``x`` to the ranks ``to``."""
    options: dict[str, AttrValue] = {
        "channel": channel,
        "to": tuple(to),
        "tensor": tensor,
        "box": box.flat(),
        "origin": tuple(origin),
    }
    return _node(wire.SEND, (x,), (), wire.encode(wire.SEND, options), name)


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
    name: str,
) -> Node:
    """Assemble ``output`` from a local shard and pieces, and wait for the SENDs of ``pending``.

    output: None for a pure wait (then there is neither local shard nor piece).
    local, local_box, local_origin: the shard on this rank, what of it is copied and where its
        element 0 lies; None, None and () if there is none.
    pending: tensors whose posted SENDs must have left before the node is done; they stay alive
        until then because they are operands.
    add: the pieces are int32 sums that are added.
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
    }
    inputs = (*(() if local is None else (local,)), *pending)
    outputs = () if output is None else (output,)
    return _node(wire.RECV, inputs, outputs, wire.encode(wire.RECV, options), name)


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
    return _node(wire.CONV_2D, (x, weights, bias, multiplier, shift), (output,), attrs, name)


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
    return _node(op, (x, weights, bias, multiplier, shift), (output,), attrs, name)


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
    return _node(wire.PARTIAL_CONV_2D, (x, weights), (output,), attrs, name)


def partial_fully_connected(x: Value, weights: Value, output: Value, *, name: str = "") -> Node:
    """Exact int32 sums of FULLY_CONNECTED over a slice of the inputs.

    x: int8 [..., I]; weights: int8 [O, I]; output: int32 [..., O] without quantization.
    """
    op = wire.PARTIAL_FULLY_CONNECTED
    return _node(op, (x, weights), (output,), wire.encode(op, {}), name)


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
    """int8 of complete int32 sums: bias added, scaled per channel (last dimension), clamped.

    sums: int32 [..., C]; bias, multiplier, shift: int32[C]; output: int8 of the shape of ``sums``.
    """
    attrs = wire.encode(wire.REQUANTIZE, {"activation": activation})
    return _node(wire.REQUANTIZE, (sums, bias, multiplier, shift), (output,), attrs, name)


def _node(
    op: str, inputs: Sequence[Value | None], outputs: Sequence[Value], attrs: Attrs, name: str
) -> Node:
    node = Node(op, tuple(inputs), tuple(outputs), attrs, name, is_custom=True)
    found = problems(node)
    if found:
        raise InternalError("; ".join(found))
    return node


def problems(node: Node) -> list[str]:
    """Every way in which one of our nodes contradicts itself or its operands; empty if sound."""
    return []
