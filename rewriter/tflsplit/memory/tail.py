# SPDX-License-Identifier: Apache-2.0
"""The tail of the arena: everything TFLM allocates for good, replayed in its own order.

Source: ``micro/micro_interpreter.cc``, ``micro/micro_allocator.cc`` of TFLM at commit 90b983c::

    end of the arena
      allocators            SingleArenaBufferAllocator, GreedyMemoryPlanner, MicroAllocator
      model                 MicroBuiltinDataAllocator, SubgraphAllocations
      eval tensors          one per tensor of the file, constants too
      nodes                 NodeAndRegistration, one per node
      options               per node, what its parser keeps
      operator data         per node, what init and then Prepare ask for, each to 16 bytes
      scratch handles       one pointer per scratch buffer
      variables             tensors with state
      inputs and outputs    TfLiteTensor and quantization of each
    start of the tail

The allocator grows downwards and aligns down, so the order decides the gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tflsplit.ir import Graph, Value
from tflsplit.memory import structs
from tflsplit.memory.abi import Abi, Layout, align_up, struct_layout
from tflsplit.memory.buffers import ALIGNMENT_BYTES
from tflsplit.memory.demand import Demand
from tflsplit.memory.kernels import tensor_bytes


@dataclass
class Tail:
    """A growing tail.

    parts: bytes by what they are for, alignment included; they add up to ``size_bytes``.
    planned_at_bytes: how large the tail is when TFLM plans the head.
    """

    parts: dict[str, int] = field(default_factory=dict)
    size_bytes: int = 0
    planned_at_bytes: int = 0

    def take(self, part: str, size_bytes: int, alignment_bytes: int = ALIGNMENT_BYTES) -> None:
        """One allocation, as SingleArenaBufferAllocator::AllocatePersistentBuffer does it."""
        end = align_up(self.size_bytes + size_bytes, alignment_bytes)
        self.parts[part] = self.parts.get(part, 0) + end - self.size_bytes
        self.size_bytes = end

    def take_structs(self, part: str, layout: Layout, count: int = 1) -> None:
        """One allocation of ``count`` structs in a row."""
        self.take(part, layout.size_bytes * count, layout.alignment_bytes)


def replay_tail(
    graph: Graph,
    demands: Sequence[Demand],
    tensor_count: int,
    abi: Abi,
    *,
    recording: bool = False,
    own_planner: bool = False,
) -> Tail:
    """The tail of ``graph`` whose nodes ask for ``demands``.

    tensor_count: tensors in the file.
    recording: with TFLM's recording allocator, as the Python interpreter has it, whose own
        bookkeeping is larger than that of the allocator on a device.
    own_planner: with a planner that the firmware brings, outside of the arena (``banks``).
    """
    tail = Tail()
    allocators = structs.RECORDING_ALLOCATORS if recording else structs.ALLOCATORS
    for fields in allocators:
        if own_planner and fields == structs.GREEDY_PLANNER:
            continue
        tail.take_structs("allocators", struct_layout(fields, abi))
    for fields in (structs.BUILTIN_DATA_ALLOCATOR, structs.SUBGRAPH_ALLOCATIONS):
        tail.take_structs("model", struct_layout(fields, abi))
    tail.take_structs("eval_tensors", struct_layout(structs.EVAL_TENSOR, abi), tensor_count)
    nodes = struct_layout(structs.NODE_AND_REGISTRATION, abi)
    tail.take_structs("nodes", nodes, len(graph.nodes))
    _take_demands(tail, demands, abi)
    for value in graph.values():
        if value.is_variable:
            tail.take("variables", tensor_bytes(value))
    tail.planned_at_bytes = tail.size_bytes
    for values in (graph.inputs, graph.outputs):
        _take_interface(tail, values, abi)
    return tail


def _take_demands(tail: Tail, demands: Sequence[Demand], abi: Abi) -> None:
    for demand in demands:
        if demand.options is not None:
            tail.take_structs("options", demand.options)
    for demand in demands:
        if demand.op_data_bytes:
            tail.take("op_data", demand.op_data_bytes)
    for demand in demands:
        for size in demand.prepared.persistent:
            tail.take("tables", size)
    handles = sum(len(demand.prepared.scratch) for demand in demands)
    if handles:
        tail.take_structs("scratch_handles", struct_layout(structs.SCRATCH_HANDLE, abi), handles)


def _take_interface(tail: Tail, values: Sequence[Value], abi: Abi) -> None:
    tail.take("interface", abi.pointer_bytes * len(values))
    for value in values:
        tail.take_structs("interface", struct_layout(structs.TENSOR, abi))
        if is_quantized(value):
            tail.take_structs("interface", struct_layout(structs.AFFINE_QUANTIZATION, abi))
            tail.take("interface", zero_point_bytes(value), 4)


def is_quantized(value: Value) -> bool:
    """Whether TFLM makes a TfLiteAffineQuantization for the tensor."""
    quantization = value.quantization
    return bool(quantization and quantization.scales and quantization.zero_points)


def zero_point_bytes(value: Value) -> int:
    """The TfLiteIntArray of zero points: a count and an int32 per scale."""
    return 4 * (1 + len(value.quantization.scales)) if value.quantization else 0
