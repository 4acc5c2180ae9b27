# SPDX-License-Identifier: Apache-2.0
"""What partitioning makes: one graph per device, and what its tensors are of the whole model."""

from __future__ import annotations

from dataclasses import dataclass

from tflsplit.ir import Graph, Value
from tflsplit.ops import Box


@dataclass(frozen=True)
class Shard:
    """What a computed tensor of a device graph is: ``box`` of the model's ``tensor``.

    owned: the rank's own share, produced here (or sent by the host), not an assembled copy.
    """

    tensor: str
    box: Box
    owned: bool


@dataclass(frozen=True)
class DeviceGraph:
    """One device's part of the model.

    shards: by the name of the local tensor; temporaries are not listed.
    steps: by the name of the local node, the model's node that it works for.
    """

    rank: int
    graph: Graph
    shards: dict[str, Shard]
    steps: dict[str, str]
    macs: int


def tensor_labels(graph: Graph) -> dict[Value, str]:
    """A name for every computed tensor: the model's own, made unique where it repeats."""
    labels: dict[Value, str] = {}
    taken: set[str] = set()
    for value in graph.values():
        if value.is_constant:
            continue
        label, count = value.name or "tensor", 1
        while label in taken:
            count += 1
            label = f"{value.name or 'tensor'}#{count}"
        taken.add(label)
        labels[value] = label
    return labels


def constant_bytes(graph: Graph) -> int:
    """Bytes of all constants of a graph, shared ones once: what its weights take in flash."""
    arrays = {id(value.data): value.size_bytes for value in graph.constants()}
    return sum(arrays.values())
