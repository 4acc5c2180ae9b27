# SPDX-License-Identifier: Apache-2.0
"""How large TFLM's tensor arena gets for a graph, predicted (docs/arena.md).

The head is planned as TFLM plans it and does not depend on the target; the tail is replayed from
TFLM's structs with the target's sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from types import MappingProxyType

from tflsplit.errors import UserError
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.abi import ABIS, CORTEX_M, Abi, align_up
from tflsplit.memory.banks import bank_sizes, bank_starts, walls
from tflsplit.memory.buffers import ALIGNMENT_BYTES, ArenaPlan
from tflsplit.memory.demand import Demand, Kernels, kernels_named, node_demand
from tflsplit.memory.greedy import greedy_plan
from tflsplit.memory.lifetimes import planned_buffers
from tflsplit.memory.offline import offline_offsets
from tflsplit.memory.order import tensor_order
from tflsplit.memory.setup import planning_bytes, prepare_bytes
from tflsplit.memory.tail import Tail, replay_tail
from tflsplit.tflite.extras import SUBGRAPHS

KERNEL_FLAVOURS: tuple[Kernels, ...] = ("reference", "cmsis_nn")
"""Of today's TFLM."""


@dataclass(frozen=True)
class ArenaEstimate:
    """The arena of one graph on one target, in bytes.

    head_bytes: planned activations and scratch buffers.
    tail_bytes: persistent structs, tables and variables.
    total_bytes: their sum, what ``MicroInterpreter::arena_used_bytes`` returns.
    required_bytes: the smallest arena with which AllocateTensors succeeds, a multiple of 16; more
        than the total where planning needs more room than running.
    parts: the tail by purpose (they add up to it), ``head_scratch`` of the head apart.
    exact: whether every operator's kernel is known to the byte.
    margin_bytes: how much of the total stands for operators whose kernel is unknown.
    notes: what makes it inexact, one line a kind of operator.
    plan: where everything in the head lies.
    banks_bytes: what lies in each bank of a device whose arena is in several memories, and
    main_bytes: the smallest arena in its main RAM, with the firmware's own planner; (), and what is
        required, of an arena in one piece.
    """

    abi: str
    kernels: str
    head_bytes: int
    tail_bytes: int
    required_bytes: int
    parts: Mapping[str, int]
    exact: bool
    margin_bytes: int
    notes: tuple[str, ...]
    plan: ArenaPlan = field(repr=False, compare=False)
    banks_bytes: tuple[int, ...] = ()
    main_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Head and tail."""
        return self.head_bytes + self.tail_bytes

    def short_bytes(self, rooms: Sequence[int]) -> int:
        """What is missing of rooms in the main RAM and in each bank, together; 0: it fits."""
        if len(rooms) == 1:  # in one piece
            return max(0, self.required_bytes - rooms[0])
        needs = (self.main_bytes, *self.banks_bytes)
        held = zip_longest(needs, rooms[: len(needs)], fillvalue=0)
        return sum(max(0, need - room) for need, room in held)


def predict_arena(
    graph: Graph,
    abi: Abi | str = CORTEX_M,
    kernels: Kernels = "reference",
    *,
    recording: bool = False,
    order: Sequence[Value] | None = None,
) -> ArenaEstimate:
    """The arena that TFLM takes for ``graph``.

    abi: the target's struct layout, or its name in ``abi.ABIS``.
    kernels: TFLM's own kernels, or those that call CMSIS-NN (cores with DSP extension).
    recording: with the recording allocator of TFLM's Python interpreter, a little larger.
    order: the tensors as the file lists them, with those that no node uses; by default those of
        ``tflsplit.tflite.write_model``.
    Offsets in ``OfflineMemoryAllocation`` metadata are honoured, as TFLM does.
    Raises UserError for an unknown ABI or kernel flavour, ModelError for broken metadata.
    """
    target = _abi(abi)
    kernels = kernels_named(kernels)
    tensors = tensor_order(graph) if order is None else tuple(order)
    demands = [node_demand(node, target, kernels) for node in graph.nodes]
    starts = bank_starts(graph)
    plan = _plan_head(graph, demands, tensors, starts)
    tail = replay_tail(graph, demands, len(tensors), target, recording=recording)
    scratch_count = sum(len(demand.prepared.scratch) for demand in demands)

    def needed(head_bytes: int, tail: Tail, buffers: int) -> int:
        planning = planning_bytes(len(tensors), buffers, scratch_count, target)
        setting_up = max(planning, prepare_bytes(graph, demands, target))
        planned_at = align_up(tail.planned_at_bytes, ALIGNMENT_BYTES)
        return align_up(max(head_bytes + tail.size_bytes, setting_up + planned_at), ALIGNMENT_BYTES)

    required = main = needed(plan.head_bytes, tail, len(plan.offsets))
    if starts:
        own = replay_tail(graph, demands, len(tensors), target, own_planner=True)
        main = needed(starts[0], own, len(plan.offsets) + len(starts))
    notes = _notes(graph, demands)
    return ArenaEstimate(
        abi=target.name,
        kernels=kernels,
        head_bytes=plan.head_bytes,
        tail_bytes=tail.size_bytes,
        required_bytes=required,
        parts=MappingProxyType({**tail.parts, "head_scratch": _scratch_peak(demands)}),
        exact=not notes,
        margin_bytes=sum(demand.margin_bytes for demand in demands),
        notes=notes,
        plan=plan,
        banks_bytes=bank_sizes(plan, starts),
        main_bytes=main,
    )


def least_arena_bytes(graph: Graph, head_bytes: int, abi: Abi | str, kernels: Kernels) -> int:
    """What ``predict_arena`` says at least, if no plan of the head takes less than ``head_bytes``.

    Nothing has to be placed to know it.
    """
    target, kernels = _abi(abi), kernels_named(kernels)
    demands = [node_demand(node, target, kernels) for node in graph.nodes]
    tail = replay_tail(graph, demands, len(tensor_order(graph)), target)
    return align_up(head_bytes + tail.size_bytes, ALIGNMENT_BYTES)


def _abi(abi: Abi | str) -> Abi:
    if isinstance(abi, Abi):
        return abi
    if abi not in ABIS:
        raise UserError(f"unknown ABI {abi!r}; known are {', '.join(ABIS)}")
    return ABIS[abi]


def _plan_head(
    graph: Graph, demands: Sequence[Demand], tensors: Sequence[Value], starts: Sequence[int]
) -> ArenaPlan:
    scratch: dict[Node, Sequence[int]] = {
        node: demand.prepared.scratch for node, demand in zip(graph.nodes, demands, strict=True)
    }
    fixed = offline_offsets(graph, tensors)
    buffers = planned_buffers(graph, scratch, tensors, fixed)
    return greedy_plan(buffers, walls(starts))


def _notes(graph: Graph, demands: Iterable[Demand]) -> tuple[str, ...]:
    notes = dict.fromkeys(demand.note for demand in demands if demand.note)
    if SUBGRAPHS in graph.file_extra:
        notes["the bodies of control flow (further subgraphs of the file) are not counted"] = None
    return tuple(notes)


def _scratch_peak(demands: Iterable[Demand]) -> int:
    """The most scratch that one node has."""
    return max((sum(demand.prepared.scratch) for demand in demands), default=0)
