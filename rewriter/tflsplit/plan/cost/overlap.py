# SPDX-License-Identifier: Apache-2.0
"""What a block computes before the rows come that it receives (``passes.early_receives``).

    x     | received | local ............ | received |
    expansion          '-- before they come --'          share: local rows of all
    depthwise                '-- between --'             share: rows whose windows are local

Simpler than it is: a block waits once, for everything that it receives.
"""

from __future__ import annotations

from collections.abc import Iterable

from tflsplit.ir import Graph, Node
from tflsplit.ops.own.fused import block_parts
from tflsplit.plan.transfers import Assembly

_DIMENSIONS = 4


def block_starts(graph: Graph) -> dict[Node, bool]:
    """The first nodes of blocks; whether that is an expansion."""
    return {
        depthwise if expand is None else expand: expand is not None
        for expand, depthwise in block_parts(graph).values()
    }


def shares_before(node: Node, expands: bool, assemblies: Iterable[Assembly]) -> dict[int, float]:
    """By rank, of a block's first node, what can be computed before ``assemblies`` are complete.

    Ranks whose RECV waits are left out.
    """
    found: dict[int, list[Assembly]] = {}
    for assembly in assemblies:
        found.setdefault(assembly.rank, []).append(assembly)
    shares = {}
    for rank, (first, *more) in found.items():
        intervals = first.box.intervals
        if more or first.value is not node.input(0) or len(intervals) != _DIMENSIONS:
            continue
        if intervals[0][1] - intervals[0][0] != 1:
            continue
        share = _rows_here(first)
        shares[rank] = share if expands else max(0.0, 2 * share - 1)
    return shares


def _rows_here(assembly: Assembly) -> float:
    """Which part of what a rank needs is rows that it has from end to end."""
    local, box = assembly.local, assembly.box
    if local.is_empty or local.intervals[2] != box.intervals[2]:
        return 0.0
    return local.size / box.size
