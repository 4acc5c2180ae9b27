# SPDX-License-Identifier: Apache-2.0
"""Channels that hold the same in every inference go, and so do those that nobody reads then.

    before   x -- CONV_2D --> [1, 6, 6, 128] -- DEPTHWISE --> [1, 6, 6, 128] -- CONV_2D --> y
                               71 have no weights              the same 71        bias
    after    x -- CONV_2D --> [1, 6, 6, 57] -- DEPTHWISE --> [1, 6, 6, 57] -- CONV_2D --> y
                                                                 bias + what the 71 always gave

A channel whose weights are zero, or whose sums all end at the same int8 value (mostly at the end
of a RELU), is *constant*; training leaves many.  It is computed once, here.

**Proof.**  ``ops.facts.channels.channel_ranges`` bounds what each channel can hold, whatever the
inputs are; where both ends are the same ``q``, the channel holds ``q`` at every position (borders
included: the bounds count products with padding as 0).  A layer that adds up channels reads

    sum over t, i of w[o, t, i] * (x[t, i] - zero_point) + bias[o]

and in it a constant channel ``i`` adds ``sum over t of w[o, t, i] * (q - zero_point)``, the same at
every position: if no window reaches over a border, or if ``q`` is the zero point, so that it adds 0
with padding as without.  That goes into ``bias[o]``; the sum is the same integer as before, so
requantization makes the same bits of it.  In TFLM's int32 it stays the same integer only if nothing
overflows on the way: of a layer whose sums or whose biases could leave int32, no channel is folded
but those that add 0.

Which channels are *needed* is the least set such that

- all channels of the graph's inputs and outputs are, and of whatever meets an operator whose
  channels are not followed (``ops.facts.channels.links_of``: grouped and transposed convolutions,
  state, SOFTMAX, int16, weights that are computed or that several layers share, ...);
- a layer that adds up channels needs those of its operand that have a weight other than 0 for a
  channel that is needed of its result, and that cannot be folded;
- where an operator keeps channels apart (depthwise, pooling, ADD, MUL, CONCATENATION, RESHAPE, ...)
  a channel of its result is needed if one that it is made of is, and the other way round, so that
  both sides lose the same.

All others go: no operator that stays reads one.  A tensor keeps one channel at least, and
FULLY_CONNECTED with a scale for each channel two (with one scale TFLM multiplies in float32).
A tensor that lost channels says so (``Value.origin``), and verify compares those that are left, and
whether those that went really hold what is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import InternalError
from tflsplit.ir import DType, Graph, Node, Origin, Value
from tflsplit.ops.facts.channels import channel_ranges
from tflsplit.ops.facts.needed_channels import Layer, Mask, contribution, layers_of, needed_channels
from tflsplit.ops.facts.sums import Ranges, Sums
from tflsplit.ops.local import copied
from tflsplit.ops.stock.requantization import optional

_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def drop_channels(graph: Graph) -> Graph:
    """``graph`` without the channels that are not needed.

    Pure: ``graph`` itself if there are none; tensors that keep all channels are shared with it.
    """
    ranges = channel_ranges(graph)
    layers = layers_of(graph, ranges)
    kept = needed_channels(graph, layers)
    if all(mask.all() for mask in kept.values()):
        return graph
    made: dict[Value, Value] = {}
    nodes = [_cut(layer, kept, ranges, made) for layer in layers]
    return replace(graph, nodes=nodes)


def dropped_channels(graph: Graph) -> int:
    """How many channels layers with weights lost in a graph that went through this pass."""
    results = [node.output for node in graph.nodes if node.op in _LAYERS and not node.is_custom]
    return sum(
        value.origin.value.shape[-1] - value.shape[-1]
        for value in results
        if value.origin is not None
    )


def _cut(
    layer: Layer,
    kept: Mapping[Value, Mask],
    ranges: Mapping[Value, Ranges],
    made: dict[Value, Value],
) -> Node:
    """The node on what is left of its tensors; itself if it loses nothing.

    made: by tensor that lost channels, what is left of it; the node's result is added.
    """
    node = layer.node
    values = [value for value in (*node.operands, *node.outputs) if value in kept]
    if layer.links is None or all(kept[value].all() for value in values):
        return node
    inputs = [
        None if v is None else made.get(v) or _left(v, kept, ranges, made) for v in node.inputs
    ]
    y = _left(node.output, kept, ranges, made)
    attrs = node.attrs
    if layer.sums is not None:
        inputs = _cut_constants(layer, inputs, kept, ranges)
        if layer.sums.step:
            x = inputs[0]
            assert x is not None
            attrs = attrs.replace(depth_multiplier=y.shape[-1] // x.shape[-1])
    if node.op in _RESHAPES:
        x = inputs[0]
        assert x is not None
        return replace(copied(x, y), name=node.name)
    return replace(node, inputs=tuple(inputs), outputs=(y,), attrs=attrs)


def _left(
    value: Value,
    kept: Mapping[Value, Mask],
    ranges: Mapping[Value, Ranges],
    made: dict[Value, Value],
) -> Value:
    """What is left of a tensor, or of a constant operand."""
    mask = kept.get(value)
    if mask is None or mask.all():
        return value
    (channels,) = np.nonzero(mask)
    shape = (*value.shape[:-1], len(channels))
    data = None if value.data is None else np.ascontiguousarray(value.data[..., channels])
    low, high = ranges[value]
    constants = {int(c): int(low[c]) for c in np.nonzero(~mask & (low == high))[0]}
    origin = Origin(value, tuple(map(int, channels)), constants) if data is None else None
    left = Value(value.name, shape, value.dtype, value.quantization, data, origin=origin)
    made[value] = left
    return left


def _cut_constants(
    layer: Layer,
    inputs: list[Value | None],
    kept: Mapping[Value, Mask],
    ranges: Mapping[Value, Ranges],
) -> list[Value | None]:
    """The operands of a layer with weights: these cut, and what goes added to the bias."""
    node, sums = layer.node, layer.sums
    assert sums is not None
    y, x = kept[node.output], kept[node.input(0)]
    weights, bias = node.input(1), optional(node.inputs, 2)
    assert weights.data is not None
    if layer.folds is None:
        cut = weights.data[..., y]
        outputs_dim = 3
    else:
        repeats = weights.shape[-1] // len(x)
        cut, outputs_dim = weights.data[y][..., np.tile(x, repeats)], 0
    added = _added(layer, sums, kept, ranges)
    channels = [int(channel) for channel in np.nonzero(y)[0]]
    scales = weights.quantization
    assert scales is not None
    inputs[1] = Value(
        weights.name,
        cut.shape,
        weights.dtype,
        scales.take(outputs_dim, channels),
        np.ascontiguousarray(cut),
    )
    if bias is not None or added.any():
        data = (sums.bias[y] + added).astype(np.int32)
        quantization = None if bias is None else bias.quantization
        if quantization is not None and len(quantization.scales) == len(y):
            quantization = quantization.take(quantization.axis, channels)
        name = f"{weights.name}/bias" if bias is None else bias.name
        inputs[2:] = [Value(name, data.shape, DType.INT32, quantization, data)]
    return inputs


def _added(
    layer: Layer, sums: Sums, kept: Mapping[Value, Mask], ranges: Mapping[Value, Ranges]
) -> NDArray[np.int64]:
    """What the channels that go add to every sum that is kept; int64[kept]."""
    node = layer.node
    y = kept[node.output]
    if layer.folds is None:
        return np.zeros(int(y.sum()), np.int64)
    gone = ~kept[node.input(0)]
    if (sums.weights[y][:, :, gone & ~layer.folds] != 0).any():
        raise InternalError(f"{node!r} would lose a channel that it reads")
    folded = gone & layer.folds
    added: NDArray[np.int64] = contribution(sums, ranges[node.input(0)][0])[y][:, folded].sum(
        axis=1
    )
    return added
