# SPDX-License-Identifier: Apache-2.0
"""The options of tflsplit's custom operators, typed: boxes instead of flat bounds.

``docs/custom_ops.md`` says what each operator means, ``tflsplit.wire.custom_ops`` how its options
are stored.  Every ``of`` reads a node that may come from a file: ModelError if it is malformed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from tflsplit.errors import ModelError
from tflsplit.ir import Attrs, AttrValue, Node, Value
from tflsplit.ops.region import Box
from tflsplit.wire import custom_ops as wire

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
_Ints = tuple[int, ...]

INT8_RANGE: Pair = (-128, 127)
MOST_SUMMED = 1 << 16
"""Values that a PARTIAL_SUM adds up: 255 times as many are at most 2**24, which float32 holds (the
stock expansion), and far below 2**31."""
MOST_SHORT_SUMMED = 128
"""The same where its sums, and what they are added up to, are int16: ``128 * 255 < 2**15``."""


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
        return wire.read_once(node, cls, lambda: cls._read(node))

    @classmethod
    def _read(cls, node: Node) -> WindowOptions:
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


def axes_of(node: Node) -> Pair:
    """The dimensions ``[first, stop)`` of x that a PARTIAL_SUM adds up; ModelError if malformed."""
    first, stop = cast(Pair, wire.decode(node)["axes"])
    return first, stop


@dataclass(frozen=True)
class SendOptions:
    """Options of SEND: ``boxes[i]`` of the whole tensor ``tensor`` goes to the rank ``to[i]``.

    channel: names the transfer; one SEND per channel in a plan.
    origin: coordinates in the whole tensor of element 0 of the operand.
    """

    channel: int
    to: tuple[int, ...]
    tensor: str
    boxes: tuple[Box, ...]
    origin: tuple[int, ...]

    @classmethod
    def of(cls, node: Node) -> SendOptions:
        """The options of a node; ModelError if they are malformed."""
        return wire.read_once(node, cls, lambda: cls._read(node))

    @classmethod
    def _read(cls, node: Node) -> SendOptions:
        options = wire.decode(node)
        origin = cast(_Ints, options["origin"])
        to = cast(_Ints, options["to"])
        if not to or len(set(to)) != len(to):
            raise _malformed(node, "'to' must name one or more different ranks")
        boxes = _boxes(node, cast(_Ints, options["boxes"]), len(origin))
        if len(boxes) not in (1, len(to)):
            raise _malformed(node, "'boxes' must hold one box, or one for each rank in 'to'")
        boxes = boxes * len(to) if len(boxes) == 1 else boxes
        return cls(cast(int, options["channel"]), to, cast(str, options["tensor"]), boxes, origin)

    def box_for(self, rank: int) -> Box | None:
        """What goes to a rank; None if nothing does."""
        return self.boxes[self.to.index(rank)] if rank in self.to else None

    @property
    def payload_elements(self) -> int:
        """Elements that all destinations together receive."""
        return sum(box.size for box in self.boxes)

    @property
    def different(self) -> tuple[Box, ...]:
        """One box, a multicast's, or one for each rank: what a SEND with a result copies."""
        return self.boxes[:1] if len(set(self.boxes)) == 1 else self.boxes


def sent_from(send: Node) -> Value:
    """What must stay as it is until a SEND has left: the copy that it makes, or its operand."""
    return send.outputs[0] if send.outputs else send.input(0)


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
    early: whether it may be done before the pieces are there; the node that reads them waits.
    rolling: whether that node, a chain, takes the pieces one by one; the result is memory for some.
    """

    tensor: str
    origin: tuple[int, ...]
    local: Box | None
    local_origin: tuple[int, ...]
    pieces: tuple[RecvPiece, ...]
    add: bool
    early: bool = False
    rolling: bool = False

    @classmethod
    def of(cls, node: Node) -> RecvOptions:
        """The options of a node; ModelError if they are malformed."""
        return wire.read_once(node, cls, lambda: cls._read(node))

    @classmethod
    def _read(cls, node: Node) -> RecvOptions:
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
        when = options["early"]
        flags = options["sum"] == 1, when == 1, when == 2
        return cls(cast(str, options["tensor"]), origin, local, local_origin, pieces, *flags)


@dataclass(frozen=True)
class AskOptions:
    """Options of ASK: (channel, source, bytes) of each message, in the order of the result."""

    tensor: str
    messages: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, node: Node) -> AskOptions:
        """The options of a node; ModelError if they are malformed."""
        options = wire.decode(node)
        lists = tuple(cast(_Ints, options[key]) for key in ("channels", "from", "bytes"))
        if len(set(map(len, lists))) != 1 or not lists[0]:
            raise _malformed(node, "'channels', 'from' and 'bytes' must name the same messages")
        if len(set(zip(*lists[:2], strict=True))) != len(lists[0]):
            raise _malformed(node, "a message is asked for twice")
        return cls(cast(str, options["tensor"]), tuple(zip(*lists, strict=True)))

    @property
    def total_bytes(self) -> int:
        """Of all messages."""
        return sum(size for _, _, size in self.messages)


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
    return tuple(map(RecvPiece, channels, sources, _boxes(node, boxes, ndim)))


def _boxes(node: Node, flat: _Ints, ndim: int) -> tuple[Box, ...]:
    step = 2 * ndim
    if not flat:
        return ()
    if not step or len(flat) % step:
        raise _malformed(node, f"'boxes' has {len(flat)} bounds, not {step} for each box")
    pairs = tuple(zip(flat[::2], flat[1::2], strict=True))
    boxes = tuple([Box(pairs[i : i + ndim]) for i in range(0, len(pairs), ndim)])
    for box in boxes:
        if box.is_empty:
            raise _malformed(node, f"'boxes' is {box}, which is empty")
    return boxes
