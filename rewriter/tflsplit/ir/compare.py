# SPDX-License-Identifier: Apache-2.0
"""Structural comparison of two graphs, which ``==`` does not give (graphs compare by identity)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tflsplit.ir.graph import Graph, Value
from tflsplit.ir.quantization import Quantization

_VALUE_FIELDS = ("name", "shape", "dtype", "quantization", "is_variable", "file_extra")
_NODE_FIELDS = ("op", "name", "version", "is_custom", "attrs", "file_extra", "inputs", "outputs")
_GRAPH_FIELDS = ("name", "metadata", "file_extra", "inputs", "outputs")


def differences(left: Graph, right: Graph) -> list[str]:
    """Every difference between two graphs, in order; empty if they say the same.

    The n-th value mentioned by one corresponds to the n-th of the other; so do the nodes.
    Contents are compared bit by bit, and so is which constants share memory.
    """
    comparison = _Comparison()
    return [*comparison.graphs(left, right), *_sharing_differences(left, right)]


class _Comparison:
    """Compares things of two graphs, pairing their values as they are met."""

    def __init__(self) -> None:
        self._partner: dict[Value, Value] = {}

    def graphs(self, left: Graph, right: Graph) -> Iterator[str]:
        yield from self._fields(f"graph {left.name}", left, right, _GRAPH_FIELDS)
        if len(left.nodes) != len(right.nodes):
            yield f"{len(left.nodes)} nodes against {len(right.nodes)}"
        for one, other in zip(left.nodes, right.nodes, strict=False):
            yield from self._fields(f"node {one.name}", one, other, _NODE_FIELDS)
        for mine, theirs in list(self._partner.items()):
            yield from self._fields(f"value {mine.name}", mine, theirs, _VALUE_FIELDS)
            if not _same_data(mine, theirs):
                yield f"value {mine.name}: contents differ"

    def _fields(self, what: str, left: Any, right: Any, fields: tuple[str, ...]) -> Iterator[str]:
        for field in fields:
            one, other = getattr(left, field), getattr(right, field)
            if not self._same(one, other):
                yield f"{what}: {field} {one!r} against {other!r}"

    def _same(self, left: Any, right: Any) -> bool:
        if type(left) is not type(right):
            return False
        if isinstance(left, Value):
            return self._partner.setdefault(left, right) is right
        if isinstance(left, Mapping):
            return list(left) == list(right) and all(self._same(left[k], right[k]) for k in left)
        if isinstance(left, tuple):
            return len(left) == len(right) and all(map(self._same, left, right))
        if isinstance(left, Quantization):
            return self._same(tuple(vars(left).values()), tuple(vars(right).values()))
        if isinstance(left, Graph):
            return not list(self.graphs(left, right))
        if isinstance(left, float):
            return left == right or (math.isnan(left) and math.isnan(right))
        return bool(left == right)


def _same_data(left: Value, right: Value) -> bool:
    if left.data is None or right.data is None:
        return left.data is right.data
    return left.data.tobytes() == right.data.tobytes()


def _sharing_differences(left: Graph, right: Graph) -> list[str]:
    groups = [_memory_groups(graph) for graph in (left, right)]
    if groups[0] == groups[1]:
        return []
    return ["other constants share memory"]


def _memory_groups(graph: Graph) -> list[int]:
    """For every constant, the number of the first one in the same memory."""
    first: dict[tuple[int, int], int] = {}
    groups: list[int] = []
    for value in graph.constants():
        if value.data is not None and value.data.size:
            address = value.data.__array_interface__["data"][0]
            groups.append(first.setdefault((address, value.data.nbytes), len(groups)))
    return groups
