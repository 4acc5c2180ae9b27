# SPDX-License-Identifier: Apache-2.0
"""The memory twin: TFLM measures the arena of a graph whose operators it does not know.

TFLM's recording allocator measures a graph without running it, but it must know every operator.
The twin is a graph for measuring only: the same tensors with the same lifetimes, and each operator
of ours replaced by FLOOR, whose kernel looks at nothing while it is set up (no Prepare, no options,
no data) and takes any operands and results::

    x -> TFLSPLIT_CONV_2D(x, w, b, m, s) -> y        x -> FLOOR(x, w, b, m, s) -> y, scratch

A scratch buffer becomes one result more, which nobody reads: live during its node only, as the
buffer is.  What the twin lacks (our operators' data, the handles of their scratch buffers) and what
it has too much (an eval tensor for each scratch buffer) is the difference of the two replayed
tails; it is added to the measured one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from tflsplit.ir import Attrs, DType, Graph, Node, Value
from tflsplit.memory.abi import HOST_64
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.demand import node_demand
from tflsplit.memory.offline import METADATA_NAME, offline_offsets, offsets_blob
from tflsplit.memory.order import tensor_order
from tflsplit.memory.recorder import recorded_allocations
from tflsplit.tflite import write_model
from tflsplit.tflite.tensors import INDEX

STAND_IN = "FLOOR"


@dataclass(frozen=True)
class ArenaMeasurement:
    """What TFLM's recording allocator said of a graph on this host, in bytes.

    total_bytes, head_bytes, tail_bytes: of the graph itself, with 64-bit pointers and the
        recorder's own bookkeeping.
    parts: the recorder's lines as it printed them, of the twin where ``is_twin``.
    is_twin: whether operators were replaced for the measurement.
    """

    total_bytes: int
    head_bytes: int
    tail_bytes: int
    parts: Mapping[str, int]
    is_twin: bool


def measure_arena(graph: Graph) -> ArenaMeasurement | None:
    """Let TFLM allocate the graph, or its twin; None where tflite-micro is not installed.

    The head is the same on every target (docs/arena.md), the tail has this host's pointers.
    Not for several threads at once: the recorder prints to the process's standard error, which is
    redirected for the moment.
    Raises EngineError with TFLM's own message if it refuses the graph.
    """
    is_twin = any(node.is_custom for node in graph.nodes)
    measured = memory_twin(graph) if is_twin else graph
    replayed = predict_arena(measured, HOST_64, recording=True)
    parts = recorded_allocations(write_model(measured), replayed.required_bytes)
    if parts is None:
        return None
    correction = 0
    if is_twin:
        correction = predict_arena(graph, HOST_64, recording=True).tail_bytes - replayed.tail_bytes
    return ArenaMeasurement(
        total_bytes=parts["total"] + correction,
        head_bytes=parts["head"],
        tail_bytes=parts["tail"] + correction,
        parts=MappingProxyType(parts),
        is_twin=is_twin,
    )


def memory_twin(graph: Graph) -> Graph:
    """A graph of stock operators with the tensors and lifetimes of ``graph``, left untouched."""
    last = _last_number(graph)
    nodes = []
    for node in graph.nodes:
        if node.is_custom:
            node = _stand_in(node, last)
            last += len(node.outputs)
        nodes.append(node)
    twin = replace(graph, nodes=nodes)
    offsets = offline_offsets(graph, tensor_order(graph))
    if offsets:
        blob = offsets_blob(offsets, tensor_order(twin))
        twin.metadata = {**graph.metadata, METADATA_NAME: blob}
    return twin


def _stand_in(node: Node, last_number: int) -> Node:
    sizes = node_demand(node, HOST_64, "reference").prepared.scratch
    scratch = [
        # Numbered behind the file's tensors, so that those keep their places.
        Value(f"{node.name}/scratch{i}", (size,), DType.INT8, file_extra=_number(last_number + i))
        for i, size in enumerate(sizes, 1)
        if size
    ]
    return Node(STAND_IN, node.inputs, (*node.outputs, *scratch), name=node.name)


def _number(index: int) -> Attrs:
    return Attrs({INDEX: index})


def _last_number(graph: Graph) -> int:
    numbers: list[Any] = [value.file_extra.get(INDEX, 0) for value in tensor_order(graph)]
    return max(numbers, default=0)
