# SPDX-License-Identifier: Apache-2.0
"""Which channels of a network's tensors are needed; ``passes.drop_channels`` says and proves what
that means, and drops the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.facts.channels import Sources, links_of
from tflsplit.ops.facts.sums import Ranges, Sums, in_int32, sums_of

Mask = NDArray[np.bool_]
"""Of each channel of a tensor: whether it is kept."""


@dataclass(frozen=True)
class Layer:
    """A node, and what is known of its channels.

    links: as ``links_of`` says; None where channels are not followed.
    sums: of a layer with weights.
    reads: of one that adds up channels, which of operand 0 have weights for each of the result's;
        bool[O, I].
    folds: of such a one, which channels of operand 0 can go into the bias; bool[I].
    """

    node: Node
    links: Mapping[int, Sources] | None
    sums: Sums | None = None
    reads: Mask | None = None
    folds: Mask | None = None

    def followed(self) -> Iterator[Value]:
        """The operands whose channels are followed."""
        for index in [0] if self.links == {} else self.links or ():
            yield self.node.input(index)


def layers_of(graph: Graph, ranges: Mapping[Value, Ranges]) -> list[Layer]:
    """The nodes of ``graph``; ``ranges``: what its channels can hold."""
    readers = Counter(id(v.data) for node in graph.nodes for v in node.operands if v.is_constant)
    return [_layer(node, readers, ranges) for node in graph.nodes]


def _layer(node: Node, readers: Counter[int], ranges: Mapping[Value, Ranges]) -> Layer:
    links, sums = links_of(node), sums_of(node)
    if links is None or sums is None:
        return Layer(node, links)
    if readers[id(node.input(1).data)] > 1:  # cut for each reader, they would take more flash
        return Layer(node, None)
    if sums.step:
        return Layer(node, links, sums)
    reads = (sums.weights != 0).any(axis=1)
    return Layer(node, links, sums, reads, foldable(sums, ranges[node.input(0)]))


def foldable(sums: Sums, x: Ranges) -> Mask:
    """Which channels of x are constant, and always add the same to every sum without overflow."""
    constant: Mask = x[0] == x[1]
    adds = contribution(sums, x[0])
    nothing: Mask = constant & (x[0] == sums.x_zero_point)
    if sums.padded:
        return nothing
    most = np.abs(sums.bias) + np.abs(adds[:, constant]).sum(axis=1)
    if not in_int32(sums.bounds(x)).all() or most.max() >= 2**31:
        return nothing
    return constant


def contribution(sums: Sums, x: NDArray[np.int64]) -> NDArray[np.int64]:
    """What every channel of x adds to every sum if it holds ``x[i]``; int64[O, I]."""
    added: NDArray[np.int64] = sums.weights.sum(axis=1, dtype=np.int64) * (x - sums.x_zero_point)
    return added


def needed_channels(graph: Graph, layers: Sequence[Layer]) -> dict[Value, Mask]:
    """Of every tensor that a layer with known channels reads or makes, which are needed."""
    fixed = {*graph.inputs, *graph.outputs}
    for layer in layers:
        if layer.links is None:
            fixed.update((*layer.node.operands, *layer.node.outputs))
        else:
            fixed.update(set(layer.node.operands) - set(layer.followed()))
    kept = {}
    known = [layer for layer in layers if layer.links is not None]
    for layer in known:
        for value in (*layer.followed(), layer.node.output):
            kept[value] = np.full(value.shape[-1:], value in fixed)
    while _grow(known, kept) or _keep_some(known, kept):
        pass
    return kept


def _grow(layers: Sequence[Layer], kept: dict[Value, Mask]) -> bool:
    """Once over the rules, from the end; whether anything more is needed."""
    before = sum(int(mask.sum()) for mask in kept.values())
    for layer in reversed(layers):
        y = kept[layer.node.output]
        if layer.reads is not None and layer.folds is not None:
            kept[layer.node.input(0)] |= layer.reads[y].any(axis=0) & ~layer.folds
        elif not layer.links:  # a depthwise convolution of a single channel
            kept[layer.node.input(0)][:] = True
        for index, sources in (layer.links or {}).items():
            x, real = kept[layer.node.input(index)], sources >= 0
            x[sources[y & real]] = True
            y |= x[sources] & real
    return sum(int(mask.sum()) for mask in kept.values()) > before


def _keep_some(layers: Sequence[Layer], kept: dict[Value, Mask]) -> bool:
    """Give the last tensor with too few channels one more; whether there was any.

    The last, since what it is made of may be all that those before it need.
    """
    for layer in reversed(layers):
        for value in (layer.node.output, *layer.followed()):
            mask, least = kept[value], _least(layer) if value is layer.node.output else 1
            if mask.sum() < min(least, len(mask)):
                mask[int(np.argmin(mask))] = True
                return True
    return False


def _least(layer: Layer) -> int:
    """How many channels the result must keep."""
    if layer.node.op != "FULLY_CONNECTED":
        return 1
    quantization = layer.node.input(1).quantization
    return 2 if quantization is not None and quantization.per_channel else 1
