# SPDX-License-Identifier: Apache-2.0
"""Who makes what in the seed system's scheme: nearly equal ranges of the flat CHW output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tflsplit.baseline.windows import Window
from tflsplit.ir import Node, Value

Mask = NDArray[np.bool_]
Range = tuple[int, int]


def cut(size: int, world_size: int) -> list[Range]:
    """The ranges of a tensor of ``size`` elements, one per device."""
    inner = [min(size, rank * size // world_size + 1) for rank in range(1, world_size)]
    bounds = [0, *inner, size]
    return list(pairwise(bounds))


def sizes(parts: Sequence[Range]) -> list[int]:
    """How many elements each range has."""
    return [stop - start for start, stop in parts]


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
