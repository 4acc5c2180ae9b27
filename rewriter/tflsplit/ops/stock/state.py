# SPDX-License-Identifier: Apache-2.0
"""SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM: operators that remember something of each inference.

What they remember is in variable tensors, which TFLM keeps in the arena from one inference to the
next.  A piece has its part of them for itself: it is never moved, and it stays what it would be in
the whole model as long as the piece runs exactly once in every inference.
"""

from __future__ import annotations

from tflsplit.ir import DType, Node
from tflsplit.ops.factors import SAME_INDEX, DimMap, Factor, Scaled
from tflsplit.ops.rule import OpRule, rule_for
from tflsplit.ops.stock.requantization import optional

_RESOURCE_OPS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")


def has_state(node: Node) -> bool:
    """Whether a node may do something else the second time: it must run once in an inference.

    Custom operators are among them, since nothing is known of them (TFLM's own for audio do keep
    state, inside their kernels).
    """
    return (
        node.is_custom
        or node.op in _RESOURCE_OPS
        or any(value.is_variable for value in node.operands)
    )


@rule_for("SVDF")
class SvdfRule(OpRule):
    """x [batch, in], feature weights [filters, in], time weights [filters, memory], bias [units],
    state [batch, filters * memory]; ``rank`` filters make a unit.

    Units do not know of each other: each sums up its own filters, whose state lies in one piece.
    """

    cuts_state = True

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, feature, time = (node.input(index) for index in range(3))
        state, y = node.input(4), node.output
        rank = node.attrs.integer("rank")
        filters, memory = time.shape if len(time.shape) == 2 else (0, 0)
        if (
            x.dtype is not DType.INT8
            or rank < 1
            or filters % rank
            or feature.shape != (filters, x.shape[-1])
            or y.shape != (x.shape[0], filters // rank)
            or state.shape != (x.shape[0], filters * memory)
        ):
            return ()
        of_unit: dict[int, tuple[int, DimMap]] = {
            1: (0, Scaled(rank)),
            2: (0, Scaled(rank)),
            4: (1, Scaled(rank * memory)),
        }
        if optional(node.inputs, 3) is not None:
            of_unit[3] = 0, SAME_INDEX
        batch = {0: (0, SAME_INDEX), 4: (0, SAME_INDEX)}
        return (
            Factor("batch", x.shape[0], batch, {0: (0, 1)}),
            Factor("out_channels", filters // rank, of_unit, {0: (1, 1)}),
        )

    def macs(self, node: Node) -> int:
        return node.input(0).shape[0] * (node.input(1).size + node.input(2).size)


_HIDDEN, _CELL = 18, 19


@rule_for("UNIDIRECTIONAL_SEQUENCE_LSTM")
class LstmRule(OpRule):
    """x [batch, time, in], or [time, batch, in]; hidden and cell state [batch, units].

    By batch only.  Not by units: every step of a sequence reads what all units made of the step
    before, which the kernel keeps to itself until the last one is done.
    """

    cuts_state = True

    def find_factors(self, node: Node) -> tuple[Factor, ...]:
        x, y = node.input(0), node.output
        if len(x.shape) != 3 or len(y.shape) != 3 or len(node.inputs) <= _CELL:
            return ()
        dim = 1 if node.attrs.integer("time_major") else 0
        size = x.shape[dim]
        states = [node.input(_HIDDEN), node.input(_CELL)]
        if y.shape[dim] != size or any(len(s.shape) != 2 or s.shape[0] != size for s in states):
            return ()
        touched = {0: (dim, SAME_INDEX), _HIDDEN: (0, SAME_INDEX), _CELL: (0, SAME_INDEX)}
        return (Factor("batch", size, touched, {0: (dim, 1)}),)

    def macs(self, node: Node) -> int:
        x = node.input(0)
        matrices = sum(v.size for v in node.inputs[1:9] if v is not None)
        return x.shape[0] * x.shape[1] * matrices
