# SPDX-License-Identifier: Apache-2.0
"""What the seed system would need: RAM, traffic and work of its kernel-wise and neuron-wise split.

The scheme, reconstructed from the lengths that its repository holds:

* every layer's output is flattened channel by channel (CHW) and cut into ``world_size`` nearly
  equal ranges, one per device;
* a full or 1x1 convolution's device holds every input position that its range touches, in all
  channels, padding included; a depthwise one's only its own channels; a fully connected one's all;
* a hub (a PC) stands between all devices.  A byte that some other device needs goes up to the hub
  once, then down once to each device that needs it and has not made it itself.  The hub feeds the
  image and takes the logits;
* a device holds a layer's input and output at once.

What that leaves open was fitted to the figures that are known of the seed system
(tests/baseline/test_seed_scheme.py), so those figures do not confirm these rules:

* the first range has one element more, the last one less (else peaks at N >= 2 are 1 byte off);
* padding goes down with the input of a full convolution, not with a depthwise one's (else traffic
  at N = 3 and 8 is off by 0.01 MB, or by 0.4 MB);
* the hub pools: the last map goes up and the pooled vector down (else traffic is 0.06 MB less);
* with its double buffer a device holds a layer's output while the next layer's input arrives
  (the 508 KB of N = 8; only one figure is known).

     device 0 ─┐                  ┌─ device 0
     device 1 ─┼─ up ─ hub ─ down ┼─ device 1      between any two layers
     device 2 ─┘                  └─ device 2
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tflsplit.baseline.windows import Window, window_of
from tflsplit.errors import ModelError, PlanError
from tflsplit.ir import Graph, Node, Value

Mask = NDArray[np.bool_]
Range = tuple[int, int]

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
ELEMENTWISE = ("ADD", "SUB", "MUL", "QUANTIZE", "RELU", "RELU6", "LOGISTIC", "HARD_SWISH", "TANH")


@dataclass(frozen=True)
class SeedCost:
    """Cost of one inference.

    peak_bytes: largest input + output of a layer on one device.
    peak_double_buffer_bytes: the same, or a layer's output with the next layer's input.
    traffic_bytes: sum over all links, both ways.
    macs: multiply-accumulates per device, in rank order.
    """

    peak_bytes: int
    peak_double_buffer_bytes: int
    traffic_bytes: int
    macs: tuple[int, ...]


def seed_scheme(graph: Graph, world_size: int) -> SeedCost:
    """Cost of ``graph`` on ``world_size`` devices under the seed system's scheme.

    graph: int8 activations ``[1, h, w, c]`` or ``[1, c]``.  Convolutions, fully connected and
        elementwise layers run on the devices; every other operator runs on the hub, free of
        charge but for the bytes up and down.
    Raises PlanError for less than one device, ModelError for a layer that is not int8.
    """
    if world_size < 1:
        raise PlanError(f"a cluster has at least one device, not {world_size}")
    accounts = _Accounts(world_size, {id(value) for value in graph.inputs})
    for node in graph.nodes:
        accounts.run(node)
    for value in graph.outputs:
        accounts.bring_up(value)
    return accounts.total()


def cut(size: int, world_size: int) -> list[Range]:
    """The ranges of a tensor of ``size`` elements, one per device."""
    inner = [min(size, rank * size // world_size + 1) for rank in range(1, world_size)]
    bounds = [0, *inner, size]
    return list(pairwise(bounds))


class _Accounts:
    """Who holds what, and what has been moved so far."""

    def __init__(self, world_size: int, at_hub: set[int]) -> None:
        self.world_size = world_size
        self.at_hub = at_hub
        self.padded: dict[int, tuple[Value, Window]] = {}
        self.traffic_bytes = 0
        self.macs = [0] * world_size
        self.peaks = [0] * world_size
        self.double_peaks = [0] * world_size
        self.last_output_bytes = [0] * world_size

    def total(self) -> SeedCost:
        return SeedCost(
            max(self.peaks),
            max(max(self.peaks), *self.double_peaks),
            self.traffic_bytes,
            tuple(self.macs),
        )

    def run(self, node: Node) -> None:
        """Account for one operator."""
        if node.op == "PAD":  # the layer that reads it counts its padding
            self.padded[id(node.output)] = node.input(0), window_of(node)
        elif node.op in WEIGHTED:
            self._layer(node, self._weighted_needs(node))
        elif node.op in ELEMENTWISE and self._computed_alike(node):
            self._layer(node, self._elementwise_needs(node))
        else:
            for value in node.operands:
                self.bring_up(value)
            self.at_hub.update(id(value) for value in node.outputs)

    def bring_up(self, value: Value) -> None:
        """Gather a tensor that lies on the devices."""
        if not value.is_constant and id(value) not in self.at_hub:
            self.traffic_bytes += value.size_bytes
            self.at_hub.add(id(value))

    def _computed_alike(self, node: Node) -> bool:
        return all(
            value.shape == node.output.shape and id(value) not in self.at_hub
            for value in node.operands
        )

    def _elementwise_needs(self, node: Node) -> Iterator[tuple[int, int]]:
        for start, stop in cut(node.output.size, self.world_size):
            yield (stop - start) * len(node.operands), 0

    def _weighted_needs(self, node: Node) -> Iterator[tuple[int, int]]:
        """Per device: bytes of input that it holds, multiply-accumulates; moves what is missing."""
        source, before = self.padded.get(id(node.input(0)), (node.input(0), Window()))
        window = before.then(window_of(node))
        at_hub = id(source) in self.at_hub
        channels, rows, columns = chw(source)
        inner_rows, inner_columns = window.inside(rows, columns)
        wanted = np.zeros((channels, rows, columns), np.bool_)
        owned = cut(source.size, self.world_size)
        moved = 0
        for rank, part in enumerate(cut(node.output.size, self.world_size)):
            reached = inputs_of(node, source, window, part)
            need = reached[:, inner_rows, inner_columns].copy()
            held, padding = int(reached.sum()), int(reached.sum() - need.sum())
            if not at_hub:
                need.reshape(-1)[slice(*owned[rank])] = False
            wanted |= need
            missing = int(need.sum())
            moved += missing + (padding if missing and node.op == "CONV_2D" else 0)
            yield held, (part[1] - part[0]) * macs_per_output(node)
        self.traffic_bytes += moved + (0 if at_hub else int(wanted.sum()))

    def _layer(self, node: Node, needs: Iterator[tuple[int, int]]) -> None:
        if node.output.dtype.itemsize != 1:
            raise ModelError(f"{node!r} is not int8; the seed system's scheme knows nothing else")
        outputs = cut(node.output.size, self.world_size)
        for rank, (held, macs) in enumerate(needs):
            made = outputs[rank][1] - outputs[rank][0]
            self.macs[rank] += macs
            self.peaks[rank] = max(self.peaks[rank], held + made)
            arriving = self.last_output_bytes[rank] + held
            self.double_peaks[rank] = max(self.double_peaks[rank], arriving)
            self.last_output_bytes[rank] = made


def inputs_of(node: Node, source: Value, window: Window, part: Range) -> Mask:
    """What a device reads of ``source`` to make ``part`` of the node's flat CHW output.

    A mask over the channels and positions of ``source`` with its padding.
    """
    channels, rows, columns = chw(source)
    out_channels, out_rows, out_columns = chw(node.output)
    need = np.zeros((channels, *window.padded(rows, columns)), np.bool_)
    for span, positions in pieces(part, out_rows, out_columns):
        need[input_channels(node, channels, out_channels, span)] |= window.reach(
            positions, rows, columns
        )
    return need


def pieces(part: Range, rows: int, columns: int) -> Iterator[tuple[Range, Mask]]:
    """A flat CHW range as (channels, positions in each of them): at most three pieces."""
    plane = rows * columns
    start, stop = part
    while start < stop:
        first = start // plane
        whole = start % plane == 0 and stop - start >= plane
        end = stop // plane * plane if whole else min(stop, (first + 1) * plane)
        positions = np.zeros(plane, np.bool_)
        positions[slice(None) if whole else slice(start - first * plane, end - first * plane)] = (
            True
        )
        yield (first, -(-end // plane)), positions.reshape(rows, columns)
        start = end


def input_channels(node: Node, channels: int, out_channels: int, span: Range) -> slice:
    """The input channels that the output channels ``span`` read."""
    if node.op == "DEPTHWISE_CONV_2D":
        multiplier = out_channels // channels
        return slice(span[0] // multiplier, -(-span[1] // multiplier))
    return slice(0, channels)


def macs_per_output(node: Node) -> int:
    """Multiply-accumulates of one output element: the weights that one filter has."""
    weights = node.input(1)
    filters = weights.shape[3] if node.op == "DEPTHWISE_CONV_2D" else weights.shape[0]
    return weights.size // filters


def chw(value: Value) -> tuple[int, int, int]:
    """Channels, rows and columns of an activation; a vector has one position."""
    if len(value.shape) == 4:
        return value.shape[3], value.shape[1], value.shape[2]
    return value.size, 1, 1
