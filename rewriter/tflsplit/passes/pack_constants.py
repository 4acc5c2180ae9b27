# SPDX-License-Identifier: Apache-2.0
"""The constants of our compute operators as one tensor each, in the order in which kernels read.

    before   x, weights, bias, multiplier, shift -- TFLSPLIT_CONV_2D (version 1) --> y
    after    x, constants                        -- TFLSPLIT_CONV_2D (version 2) --> y

Fewer tensors take less of the arena, kernels load one word for two channels, and what can be
computed beforehand is.  Nodes that shared all their constants (tiles of a layer) share the result.
"""

from __future__ import annotations

from dataclasses import replace

from tflsplit.ir import Graph, Node
from tflsplit.ops.own.fused import FIRST, RESIDUAL
from tflsplit.ops.own.packed import Constants, is_packable, packed, packed_constants
from tflsplit.ops.own.packed_options import stages_of


def pack_constants(graph: Graph, sizes_only: bool = False) -> Graph:
    """The graph with every compute operator of ours in packed form.

    sizes_only: constants have their sizes and no contents, which is all that a draft needs.
    """
    known: dict[tuple[object, ...], Constants] = {}
    return replace(graph, nodes=[_shared(node, known, sizes_only) for node in graph.nodes])


def _shared(node: Node, known: dict[tuple[object, ...], Constants], sizes_only: bool) -> Node:
    if not is_packable(node):
        return node
    constants = *node.inputs[1:RESIDUAL], *node.inputs[FIRST:]
    key = node.op, constants, tuple(stages_of(node))  # windows differ between tiles
    if key not in known:
        known[key] = packed_constants(node, sizes_only)
    return packed(node, shared=known[key])
