# SPDX-License-Identifier: Apache-2.0
"""Whether a custom operator's options and operands fit together.

The firmware relies on what is checked here and repeats it when it prepares a graph, because a
graph may come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

from tflsplit.errors import ModelError
from tflsplit.ir import DType, Node, Value
from tflsplit.ops.own.custom_options import (
    MOST_SHORT_SUMMED,
    MOST_SUMMED,
    AskOptions,
    RecvOptions,
    SendOptions,
    WindowOptions,
    activation_of,
    axes_of,
)
from tflsplit.ops.region import Box, is_partition
from tflsplit.wire import custom_ops as wire


def problems(node: Node) -> list[str]:
    """Every way in which one of our nodes contradicts itself or its operands; empty if sound."""
    check = (_PACKED_CHECKS if wire.is_packed(node) else _CHECKS).get(node.op)
    if check is None:
        return [f"{node!r} is no custom operator of tflsplit's"]
    try:
        wire.decode(node)
        return [f"{node.op} {node.name!r}: {text}" for text in check(node)]
    except ModelError as error:
        return [str(error)]


def _arity(node: Node, inputs: int, optional: tuple[int, ...] = ()) -> str | None:
    missing = [i for i, value in enumerate(node.inputs) if value is None and i not in optional]
    if len(node.inputs) != inputs or missing or len(node.outputs) != 1:
        return f"takes {inputs} operands and makes 1 result"
    return None


def _is(value: Value | None, dtype: DType, ndim: int | None = None) -> bool:
    return value is not None and value.dtype is dtype and ndim in (None, len(value.shape))


def _send(node: Node) -> Iterator[str]:
    options = SendOptions.of(node)
    if len(node.operands) != 1 or len(node.inputs) != 1 or len(node.outputs) > 1:
        yield "takes 1 operand and makes at most 1 result"
        return
    x = node.input(0)
    copied = (sum(box.size for box in options.different) * x.dtype.itemsize,)
    if node.outputs and (node.output.dtype is not DType.INT8 or node.output.shape != copied):
        yield f"must copy what it sends to int8[{copied[0]}], not to {node.output!r}"
    if len(x.shape) != len(options.origin):
        yield f"origin has {len(options.origin)} coordinates, {x!r} has {len(x.shape)} dimensions"
    else:
        held = Box.at(options.origin, x.shape)
        for box in options.boxes:
            if not held.contains(box):
                yield f"box {box} lies outside {x!r} at {options.origin}"


def _recv(node: Node) -> Iterator[str]:
    options = RecvOptions.of(node)
    if len(node.outputs) > 1 or len(node.operands) != len(node.inputs):
        yield "makes at most 1 result, and none of its operands is optional"
    elif not node.outputs:
        if options.local is not None or options.pieces:
            yield "makes no result, so it can take neither a local shard nor pieces"
        if not node.inputs:
            yield "makes no result and waits for nothing"
        if options.early or options.rolling:
            yield "is early, but makes no result"
    elif len(node.output.shape) != len(options.origin):
        yield f"origin has {len(options.origin)} coordinates for {node.output!r}"
    elif (options.early or options.rolling) and options.add:
        yield "is early, but adds its pieces"
    elif options.add and node.output.dtype not in (DType.INT32, DType.INT16):
        yield f"adds pieces, but makes {node.output!r}, not int32 or int16"
    else:
        yield from _recv_boxes(node, options)


def _recv_boxes(node: Node, options: RecvOptions) -> Iterator[str]:
    if options.rolling:  # whether they are what its reader takes: check/early.py
        if options.local is not None or node.output.dtype.itemsize != 1:
            yield "is rolling, but has more than pieces of one byte an element"
        return
    output = Box.at(options.origin, node.output.shape)
    boxes = [piece.box for piece in options.pieces]
    if options.local is not None:
        boxes.append(options.local)
        yield from _recv_local(node, options, options.local)
    if not all(output.contains(box) for box in boxes):
        yield f"a box lies outside {node.output!r} at {options.origin}"
    elif not options.add and not is_partition(
        [box.relative_to(options.origin) for box in boxes], node.output.shape
    ):
        yield f"local shard and pieces do not tile {node.output!r} exactly"


def _recv_local(node: Node, options: RecvOptions, box: Box) -> Iterator[str]:
    if not node.inputs:
        yield "names a local shard but has no operand"
        return
    local = node.input(0)
    if local.dtype is not node.output.dtype or len(local.shape) != len(options.origin):
        yield f"local shard {local!r} does not fit {node.output!r}"
    elif not Box.at(options.local_origin, local.shape).contains(box):
        yield f"local box {box} lies outside {local!r} at {options.local_origin}"


def _ask(node: Node) -> Iterator[str]:
    total_bytes = AskOptions.of(node).total_bytes
    if node.inputs or len(node.outputs) != 1:
        yield "takes no operand and makes 1 result"
    elif node.output.dtype is not DType.INT8 or node.output.shape != (total_bytes,):
        yield f"must make int8[{total_bytes}], not {node.output!r}"


def _weights(x: Value, weights: Value, ndim: int) -> Iterator[str]:
    if not _is(x, DType.INT8) or not _is(weights, DType.INT8, ndim):
        yield f"takes int8 data and int8 weights of {ndim} dimensions, not {x!r}, {weights!r}"
    if x.quantization is None or len(x.quantization.scales) != 1:
        yield f"{x!r} needs one scale and zero point"
    if weights.quantization is not None and any(weights.quantization.zero_points):
        yield f"{weights!r} has a zero point other than 0"


def _requantization(node: Node, first: int, channels: int) -> Iterator[str]:
    """The operands bias, multiplier, shift from index ``first`` on, the clamp and the result."""
    activation_of(node)
    for value in node.inputs[first:]:
        if value is not None and (value.dtype is not DType.INT32 or value.shape != (channels,)):
            yield f"{value!r} must be int32[{channels}]"
    multiplier, shift = node.input(first + 1).data, node.input(first + 2).data
    if multiplier is not None and (multiplier < 0).any():
        yield f"{node.input(first + 1)!r} holds a negative multiplier"
    if shift is not None and ((shift < -31) | (shift > 30)).any():
        yield f"{node.input(first + 2)!r} holds a shift outside -31..30"
    y = node.output
    if not _is(y, DType.INT8) or y.quantization is None or len(y.quantization.scales) != 1:
        yield f"{y!r} must be int8 with one scale and zero point"


def _window(node: Node, channels: int) -> Iterator[str]:
    options = WindowOptions.of(node)
    x, weights = node.input(0), node.input(1)
    rows, columns = options.output_extent(x.shape, (weights.shape[1], weights.shape[2]))
    want = (x.shape[0], rows, columns, channels)
    if rows < 1 or columns < 1 or node.output.shape != want:
        yield f"must make {list(want)}, not {node.output!r}"


def _conv_2d(node: Node) -> Iterator[str]:
    wrong = _arity(node, 5, optional=(2,)) or next(_weights(node.input(0), node.input(1), 4), None)
    if wrong or len(node.input(0).shape) != 4:
        yield wrong or f"{node.input(0)!r} must have 4 dimensions"
        return
    channels, depth = node.input(1).shape[0], node.input(1).shape[3]
    if depth == 0 or node.input(0).shape[3] % depth:
        yield f"{node.input(0)!r} cannot be grouped for {node.input(1)!r}"
    elif channels % (node.input(0).shape[3] // depth or 1):
        yield f"{channels} output channels cannot be grouped"
    yield from _window(node, channels)
    yield from _requantization(node, 2, channels)


def _depthwise_conv_2d(node: Node) -> Iterator[str]:
    wrong = _arity(node, 5, optional=(2,)) or next(_weights(node.input(0), node.input(1), 4), None)
    if wrong or len(node.input(0).shape) != 4:
        yield wrong or f"{node.input(0)!r} must have 4 dimensions"
        return
    channels, depth = node.input(1).shape[3], node.input(0).shape[3]
    if node.input(1).shape[0] != 1 or depth == 0 or channels % depth:
        yield f"{node.input(1)!r} must be [1, rows, columns, a multiple of {depth}]"
    yield from _window(node, channels)
    yield from _requantization(node, 2, channels)


def _partial_conv_2d(node: Node) -> Iterator[str]:
    wrong = _arity(node, 2) or next(_weights(node.input(0), node.input(1), 4), None)
    if wrong or len(node.input(0).shape) != 4:
        yield wrong or f"{node.input(0)!r} must have 4 dimensions"
        return
    if node.input(0).shape[3] != node.input(1).shape[3]:
        yield f"{node.input(0)!r} and {node.input(1)!r} must have the same input channels"
    yield from _window(node, node.input(1).shape[0])
    yield from _sums(node.output)


def _partial_fully_connected(node: Node) -> Iterator[str]:
    wire.decode(node)
    wrong = _arity(node, 2) or next(_weights(node.input(0), node.input(1), 2), None)
    if wrong:
        yield wrong
        return
    x, weights = node.input(0), node.input(1)
    want = (*x.shape[:-1], weights.shape[0])
    if not x.shape or x.shape[-1] != weights.shape[1] or node.output.shape != want:
        yield f"cannot make {node.output!r} of {x!r} and {weights!r}"
    yield from _sums(node.output)


def _partial_sum(node: Node) -> Iterator[str]:
    first, stop = axes_of(node)
    wrong = _arity(node, 1)
    if wrong:
        yield wrong
        return
    x, y = node.input(0), node.output
    if not _is(x, DType.INT8) or x.quantization is None or len(x.quantization.scales) != 1:
        yield f"{x!r} must be int8 with one scale and zero point"
    if not first < stop <= len(x.shape):
        yield f"axes {first}..{stop} are no dimensions of {x!r}"
        return
    kept = (1,) * (stop - first)
    shapes = [(*x.shape[:first], *between, *x.shape[stop:]) for between in ((), kept)]
    if y.shape not in shapes or not y.shape:
        yield f"cannot make {y!r} of {x!r}"
    most = MOST_SHORT_SUMMED if y.dtype is DType.INT16 else MOST_SUMMED
    count = prod(x.shape[first:stop])
    if not 0 < count <= most:
        yield f"adds up {count} values, not 1..{most}, to {y!r}"
    yield from _sums(y, short=True)


def _sums(value: Value, short: bool = False) -> Iterator[str]:
    """short: int16 will do."""
    is_short = short and _is(value, DType.INT16)
    if not (is_short or _is(value, DType.INT32)) or value.quantization is not None:
        yield f"{value!r} must be int32{' or int16' * short} without quantization"


def _requantize(node: Node) -> Iterator[str]:
    wrong = _arity(node, 4, optional=(1,))
    if wrong or not node.input(0).shape:
        yield wrong or f"{node.input(0)!r} has no channels"
        return
    yield from _sums(node.input(0), short=True)
    if node.output.shape != node.input(0).shape:
        yield f"{node.output!r} must have the shape of {node.input(0)!r}"
    yield from _requantization(node, 1, node.input(0).shape[-1])


Check = Callable[[Node], Iterator[str]]


def add_check(op: str, check: Check) -> None:
    """How an operator that is built of others is checked (these are defined above this module)."""
    _CHECKS[op] = check


def add_packed_check(check: Check) -> None:
    """How operators in packed form are checked."""
    _PACKED_CHECKS.update(dict.fromkeys(wire.PACKED_SCHEMAS, check))


_PACKED_CHECKS: dict[str, Check] = {}
_CHECKS: dict[str, Check] = {
    wire.SEND: _send,
    wire.RECV: _recv,
    wire.ASK: _ask,
    wire.CONV_2D: _conv_2d,
    wire.DEPTHWISE_CONV_2D: _depthwise_conv_2d,
    wire.PARTIAL_CONV_2D: _partial_conv_2d,
    wire.PARTIAL_FULLY_CONNECTED: _partial_fully_connected,
    wire.PARTIAL_SUM: _partial_sum,
    wire.REQUANTIZE: _requantize,
}
