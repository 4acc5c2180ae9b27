# SPDX-License-Identifier: Apache-2.0
"""What AllocateTensors needs for a moment, where the activations will lie later.

While TFLM prepares kernels and plans the head, it keeps its requests, copies of tensors and the
planner's tables between the two ends of the arena.  A graph of many small tensors can need more
for this than for running.  Source: ``micro/micro_allocator.cc`` of TFLM at commit 90b983c.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.ir import Graph, Node, Value
from tflsplit.memory import structs
from tflsplit.memory.abi import Abi, align_up, struct_layout
from tflsplit.memory.buffers import ALIGNMENT_BYTES
from tflsplit.memory.custom import units_bytes
from tflsplit.memory.demand import Demand
from tflsplit.memory.tail import is_quantized, zero_point_bytes

# What kernels make TfLiteTensors of twice before they give any back: (operands, results).
_REDUCTION: tuple[tuple[int, ...], tuple[int, ...]] = ((0, 1), (0,))
_TWICE: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "CONCATENATION": ((0,), ()),
    "CONV_2D": ((0, 1), (0,)),
    "DEPTHWISE_CONV_2D": ((0, 1), (0,)),
    "TRANSPOSE_CONV": ((1, 2), (0,)),
    "MEAN": _REDUCTION,
    "REDUCE_ALL": _REDUCTION,
    "REDUCE_MAX": _REDUCTION,
    "REDUCE_MIN": _REDUCTION,
    "SUM": _REDUCTION,
}


def planning_bytes(tensor_count: int, buffer_count: int, scratch_count: int, abi: Abi) -> int:
    """What CommitStaticMemoryPlan needs above the start of the arena, exactly."""
    request = struct_layout(structs.SCRATCH_REQUEST, abi).size_bytes
    info = struct_layout(structs.ALLOCATION_INFO, abi).size_bytes
    per_buffer = struct_layout(structs.PLANNED_BUFFER, abi).size_bytes
    end = request * (scratch_count + structs.SCRATCH_REQUESTS_PER_NODE)
    end = align_up(end, abi.pointer_bytes) + abi.pointer_bytes
    end += info * (tensor_count + scratch_count)
    return align_up(end, ALIGNMENT_BYTES) + align_up(per_buffer * buffer_count, ALIGNMENT_BYTES)


def prepare_bytes(graph: Graph, demands: Sequence[Demand], abi: Abi) -> int:
    """The most that a Prepare has above the start of the arena, at most a few tensors too much.

    Kernels make a TfLiteTensor with its quantization of each operand and result, some twice; a
    chain also looks at its units.
    """
    request = struct_layout(structs.SCRATCH_REQUEST, abi).size_bytes
    requests, most = structs.SCRATCH_REQUESTS_PER_NODE, 0
    for node, demand in zip(graph.nodes, demands, strict=True):
        most = max(most, request * requests + _temporaries(node, abi, demand.made_again))
        requests += len(demand.prepared.scratch)
    return most


def _temporaries(node: Node, abi: Abi, made_again: bool) -> int:
    operands, results = _TWICE.get(node.op, ((), ()))
    values = [*node.operands, *node.outputs] * (2 if made_again else 1)
    values += [value for i in operands if (value := node.inputs[i]) is not None]
    values += [node.outputs[i] for i in results]
    return sum(_temporary(value, abi) for value in values) + units_bytes(node)


def _temporary(value: Value, abi: Abi) -> int:
    tensor = struct_layout(structs.TENSOR, abi).size_bytes
    if not is_quantized(value):
        return tensor
    quantization = struct_layout(structs.AFFINE_QUANTIZATION, abi).size_bytes
    return tensor + quantization + zero_point_bytes(value)
