# SPDX-License-Identifier: Apache-2.0
"""What a block adds is read out of x, where it lies between halos.

    before   shard -- RECV --> x,    x, shard -- TFLSPLIT_FUSED_BLOCK --> y
    after    shard -- RECV --> x,    x, x     -- TFLSPLIT_FUSED_BLOCK --> y

where the middles of the block's windows go over the shard's place in ``x`` exactly.  The shard then
need not stay in memory beside ``x``, which holds the same, and y may be written over ``x``.
"""

from __future__ import annotations

from dataclasses import replace

from tflsplit.ir import Graph, Node, Value
from tflsplit.ops import Box
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.ops.own.fused import RESIDUAL
from tflsplit.ops.own.fused_options import FusedOptions
from tflsplit.ops.own.middle import middle_of, middle_problem
from tflsplit.wire import custom_ops as wire


def residuals_in_x(graph: Graph) -> Graph:
    """The graph, whose blocks are explicit, with such residuals taken from x."""
    made = graph.producers()
    return replace(
        graph,
        nodes=[
            _changed(node, made.get(node.input(0))) if _adds(node) else node for node in graph.nodes
        ],
    )


def _adds(node: Node) -> bool:
    return node.op == wire.FUSED_BLOCK and FusedOptions.of(node).add is not None


def _changed(block: Node, receives: Node | None) -> Node:
    x, residual = block.input(0), block.input(RESIDUAL)
    if receives is None or receives.op != wire.RECV or residual is x:
        return block
    inputs = tuple(x if at == RESIDUAL else value for at, value in enumerate(block.inputs))
    changed = replace(block, inputs=inputs)
    if x.shape == block.output.shape or middle_problem(changed) is not None:
        return block
    place = middle_of(changed, x)
    assert place is not None
    return changed if _lies_at(receives, residual, (0, *place, 0)) else block


def _lies_at(receives: Node, shard: Value, start: tuple[int, ...]) -> bool:
    """Whether a RECV puts all of a shard into its result, from there on."""
    options = RecvOptions.of(receives)
    if options.local is None or receives.input(0) is not shard or options.add:
        return False
    place = Box.at(options.local_origin, shard.shape)
    return options.local == place and place.relative_to(options.origin).origin == start
