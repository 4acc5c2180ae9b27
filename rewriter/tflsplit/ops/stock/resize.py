# SPDX-License-Identifier: Apache-2.0
"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tflsplit.ir import Node, Value
from tflsplit.ops.dims import passing_factor
from tflsplit.ops.factors import SAME_INDEX, Factor, Piece, Scaled
from tflsplit.ops.local import int32_constant
from tflsplit.ops.rule import OpRule, clone, rule_for


@rule_for("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR")
class ResizeRule(OpRule):
    """Batch and channels; rows and columns of the nearest-neighbour one where it is periodic.

    Enlarging 10 rows to 15 repeats a pattern of 2 -> 3 rows; whole patterns may be split if
    TFLM's float32 arithmetic repeats it exactly.
    """

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, output = node.input(0), node.output
        if len(x.shape) != 4 or x.shape[0] != output.shape[0] or x.shape[3] != output.shape[3]:
            return ()
        spatial = []
        for dim in (1, 2):
            before, after = x.shape[dim], output.shape[dim]
            if node.op == "RESIZE_NEAREST_NEIGHBOR" and _repeats(node, before, after):
                size = math.gcd(before, after)
                step = {0: (dim, Scaled(before // size))}
                spatial.append(passing_factor(output, dim, {**step}, size, after // size))
        return (
            passing_factor(output, 0, {0: (0, SAME_INDEX)}),
            *spatial,
            passing_factor(output, 3, {0: (3, SAME_INDEX)}),
        )

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        output = outputs[0]
        size = int32_constant(f"{output.name}/size", output.shape[1:3])
        return [clone(node, (inputs[0], size), outputs)]


def _repeats(node: Node, before: int, after: int) -> bool:
    """Whether every run of ``after / gcd`` results reads the next ``before / gcd`` elements.

    Then a piece of whole runs, whose scale is the same float32 quotient, reads the same elements.
    """
    if node.attrs.integer("align_corners"):
        return False
    runs = math.gcd(before, after)
    read = nearest_elements(before, after, bool(node.attrs.integer("half_pixel_centers")))
    pattern = read.reshape(runs, -1) - np.arange(runs)[:, None] * (before // runs)
    return bool(
        (pattern == pattern[0]).all() and 0 <= pattern.min() <= pattern.max() < before // runs
    )


def nearest_elements(before: int, after: int, half_pixel_centers: bool) -> NDArray[np.int64]:
    """The element that each of ``after`` results reads, without align_corners.

    As TFLM's ``reference/resize_nearest_neighbor.h`` computes it, in float32.
    """
    scale = np.float32(before) / np.float32(after)
    offset = np.float32(0.5 if half_pixel_centers else 0.0)
    position = np.floor((np.arange(after).astype(np.float32) + offset) * scale)
    return np.asarray(np.minimum(position, before - 1), np.int64)
