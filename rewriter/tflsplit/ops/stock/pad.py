# SPDX-License-Identifier: Apache-2.0
"""PAD, PADV2 and MIRROR_PAD."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ir import Node, Value
from tflsplit.ops.dims import constant_integers, passing_factor
from tflsplit.ops.factors import SAME_INDEX, Factor, Piece, Shifted
from tflsplit.ops.local import filled, int32_constant
from tflsplit.ops.region import Interval
from tflsplit.ops.rule import OpRule, clone, rule_for
from tflsplit.ops.stock.requantization import optional


def paddings_of(node: Node) -> list[Interval] | None:
    """(before, after) of every dimension; None if they are computed or do not fit the shapes."""
    flat = constant_integers(node.inputs[1])
    x, output = node.input(0), node.output
    if flat is None or len(flat) != 2 * len(x.shape):
        return None
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    extents = tuple(n + before + after for n, (before, after) in zip(x.shape, pairs, strict=True))
    return pairs if extents == tuple(output.shape) and min(flat, default=0) >= 0 else None


@rule_for("PAD", "PADV2")
class PadRule(OpRule):
    """Every dimension; a piece pads only where it reaches over the border."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        pairs, value = paddings_of(node), optional(node.inputs, 2)
        if pairs is None or (value is not None and not value.is_constant):
            return ()
        return tuple(
            passing_factor(node.output, dim, {0: (dim, Shifted(before))})
            for dim, (before, _) in enumerate(pairs)
        )

    def localize(
        self,
        node: Node,
        piece: Piece,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
    ) -> list[Node]:
        if not self.factors(node):
            return [clone(node, inputs, outputs)]
        output = outputs[0]
        if inputs[0] is None:
            return [filled(stored_value(node), output)]
        pads = int32_constant(f"{output.name}/paddings", [list(pair) for pair in piece.pads[0]])
        return [clone(node, (inputs[0], pads, *inputs[2:]), outputs)]


def stored_value(node: Node) -> int | float:
    """What PAD writes around its operand: PADV2's constant, or the zero of the result."""
    value = optional(node.inputs, 2)
    if value is not None and value.data is not None:
        return value.data.reshape(-1)[0].item()  # type: ignore[no-any-return]
    quantization = node.output.quantization
    return 0 if quantization is None else quantization.zero_point


@rule_for("MIRROR_PAD")
class MirrorPadRule(OpRule):
    """Dimensions that are not padded; the mirrored ones stay whole."""

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        pairs = paddings_of(node)
        return tuple(
            passing_factor(node.output, dim, {0: (dim, SAME_INDEX)})
            for dim, pair in enumerate(pairs or ())
            if pair == (0, 0)
        )
