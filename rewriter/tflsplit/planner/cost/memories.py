# SPDX-License-Identifier: Apache-2.0
"""What device graphs need, found once for all that are alike.

Most steps of a search differ on some ranks only, or in whom a rank talks to: of the device graphs
that they are cut into, five of six have been there before, for this number of devices or another.

    a step --partition--> device graphs --key--> known?   else the passes, offsets, arena

The key holds all that anything behind ``partition`` looks at.  Of SENDs and RECVs that is less than
there is: who is at the other end, by which channel and in how many pieces, takes no memory.  Nor
does what weights hold: of those of a layer, any part of the same shape is as large.

Most steps that a search rejects need far too much.  What is live at once says so before anything is
placed, which takes as long as all else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tflsplit.cluster import Device
from tflsplit.ir import Attrs, Graph, Node, Quantization, Value
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.better import Head, plan_offline
from tflsplit.memory.demand import Kernels, kernels_named
from tflsplit.ops import Piece
from tflsplit.passes.pack_constants import pack_constants
from tflsplit.plan.spec import NodeSplit, Plan
from tflsplit.split.devices import DeviceGraph, constant_bytes
from tflsplit.split.lower import with_own_kernels
from tflsplit.wire import custom_ops as wire

Key = tuple[object, ...]


@dataclass(frozen=True)
class Need:
    """What one device graph needs.

    head_bytes: the arena's head; tail_bytes: what its operators add to the tail; weights_bytes:
        constants.
    """

    head_bytes: int
    tail_bytes: int
    weights_bytes: int


@dataclass
class Memories:
    """Needs that were found, by all that they depend on.

    partitioned: how many device graphs ``need_of_rank`` made; lowered: how many were lowered;
        placed: of how many an arena was planned.
    """

    known: dict[Key, Need] = field(default_factory=dict)
    partitioned: int = 0
    lowered: int = 0
    placed: int = 0
    _floors: dict[Key, int] = field(default_factory=dict)
    _parts: dict[Key, tuple[Key, Sequence[Piece]]] = field(default_factory=dict)
    _recent: dict[Key, _Lowered] = field(default_factory=dict)

    def need(self, device: DeviceGraph, plan: Plan, hardware: Device) -> Need:
        """Of a graph as ``partition`` makes it, lowered as a draft is."""
        found = self.need_within(device, plan, hardware, float("inf"))
        assert isinstance(found, Need)
        return found

    def need_within(
        self, device: DeviceGraph, plan: Plan, hardware: Device, most_bytes: float
    ) -> Need | int:
        """The same, or a head that it is no less than, if that is above ``most_bytes``."""
        if plan.overlap:  # which messages come early depends on who sends them
            return self._placed(self._lowered(device, plan), hardware)
        key = _target_key(plan, hardware) + graph_key(device, plan)
        return self._need(key, lambda: device, plan, hardware, most_bytes)

    def need_of_rank(
        self,
        parts: tuple[Key, Sequence[Piece]],
        partitioned: Callable[[], DeviceGraph],
        plan: Plan,
        hardware: Device,
        most_bytes: float,
    ) -> Need | int:
        """The same of a graph that need not be made, if one of equal ``parts`` was.

        parts: of ``rank_key``; partitioned: makes the graph.
        """
        if plan.overlap:
            return self.need_within(partitioned(), plan, hardware, most_bytes)
        target, (of_rank, pieces) = _target_key(plan, hardware), parts
        of_rank = *target, *(_limits(split) for split in plan.splits), *of_rank
        if of_rank not in self._parts:
            self.partitioned += 1
            device = partitioned()
            self._parts[of_rank] = target + graph_key(device, plan), pieces
            return self._need(self._parts[of_rank][0], lambda: device, plan, hardware, most_bytes)
        return self._need(self._parts[of_rank][0], partitioned, plan, hardware, most_bytes)

    def _need(
        self,
        key: Key,
        partitioned: Callable[[], DeviceGraph],
        plan: Plan,
        hardware: Device,
        most_bytes: float,
    ) -> Need | int:
        found = self.known.get(key)
        if found is not None:
            return found
        floor = self._floors.get(key, 0)
        if floor > most_bytes:
            return floor
        lowered = self._recent.pop(key, None) or self._lowered(partitioned(), plan)
        if most_bytes < float("inf"):
            floor = self._floors[key] = lowered.head.least_bytes(kernels_of(hardware))
            if floor > most_bytes:
                self._keep(key, lowered)
                return floor
        found = self.known[key] = self._placed(lowered, hardware)
        return found

    def _keep(self, key: Key, lowered: _Lowered) -> None:
        """For the next limit, which may be above it."""
        self._recent[key] = lowered
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def _lowered(self, device: DeviceGraph, plan: Plan) -> _Lowered:
        self.lowered += 1
        (lowered,) = with_own_kernels((device,), plan)
        graph = pack_constants(lowered.graph, sizes_only=True)
        return _Lowered(graph, Head(graph))

    def _placed(self, lowered: _Lowered, hardware: Device) -> Need:
        self.placed += 1
        graph = plan_offline(lowered.graph, checked=False, head=lowered.head)
        estimate = predict_arena(graph, hardware.abi, kernels_of(hardware))
        tail_bytes = _added_tail(estimate.parts)
        return Need(estimate.head_bytes, tail_bytes, constant_bytes(graph))


@dataclass(frozen=True)
class _Lowered:
    """A device graph as a draft has it, but for planned offsets, and what its head consists of."""

    graph: Graph
    head: Head


_RECENT = 128
"""So many graphs are kept that were lowered and not placed: each takes some 50 KB."""


def kernels_of(device: Device) -> Kernels:
    """The kernels that the arena of a device is predicted for."""
    return kernels_named(device.kernels)


_FIXED = ("allocators", "model", "interface")
"""Parts of the tail that every graph has once, however large."""


def _added_tail(parts: Mapping[str, int]) -> int:
    return sum(
        size for name, size in parts.items() if name not in _FIXED and not name.startswith("head_")
    )


def _target_key(plan: Plan, hardware: Device) -> Key:
    return hardware.abi, kernels_of(hardware), *_plan_key(plan)


def _plan_key(plan: Plan) -> Key:
    return plan.fuse, plan.stock_kernels, _is_in_tiles(plan)


def _is_in_tiles(plan: Plan) -> bool:
    return any(split.tiles > 1 for split in plan.splits)


def graph_key(device: DeviceGraph, plan: Plan) -> Key:
    """Nodes with the layer that each works for, and tensors by the order in which they come."""
    values, splits = _Numbers(contents=_is_in_tiles(plan)), plan.by_node()
    graph = device.graph
    inputs = tuple(values.key(value) for value in graph.inputs)
    nodes = []
    for node in graph.nodes:
        layer = device.steps.get(node.name, node.name)
        operands = tuple(None if v is None else values.key(v) for v in node.inputs)
        results = tuple(values.key(value) for value in node.outputs)
        limits = _limits(splits.get(layer))
        nodes.append((node.op, node.is_custom, _options(node), layer, limits, operands, results))
    return inputs, tuple(nodes), tuple(values.key(value) for value in graph.outputs)


def _limits(split: NodeSplit | None) -> Key:
    if split is None:
        return ()
    return split.scratch_limit_bytes, split.window_columns, split.chained, split.sweeps


def _options(node: Node) -> object:
    if node.op == wire.SEND and node.is_custom:
        return ()
    if node.op == wire.RECV and node.is_custom:
        return tuple(node.attrs[name] for name in ("sum", "early")), _place(node.attrs)
    return node.attrs


def _place(options: Attrs) -> Key:
    """Where what a RECV copies lies in its operand and in its result."""
    at, local = (options.integers(name) for name in ("origin", "local"))
    held = options.integers("local_origin")
    return tuple(a - b for a, b in zip(held, at, strict=False)), tuple(
        bound - at[dim // 2] for dim, bound in enumerate(local)
    )


@dataclass
class _Numbers:
    """Tensors of a graph, numbered.

    contents: whether large constants differ by what they hold, as they do where equal ones of a
        layer's tiles become one (``share_constants``).
    """

    contents: bool
    numbers: dict[Value | int, int] = field(default_factory=dict)

    def key(self, value: Value) -> object:
        """Its number, and the first time what it is."""
        number = self.numbers.get(value)
        if number is not None:
            return number
        self.numbers[value] = len(self.numbers)
        if value.data is None or value.size <= _SMALL:
            return _kind(value)
        if self.contents:
            return value  # cut once (``LocalGraph.constant``): where it is the same, it is itself
        same = self.numbers.setdefault(id(value.data), len(self.numbers))
        return value.shape, value.dtype, same, *_form(value.quantization)


_SMALL = 64
"""Constants of so many elements are compared by their contents."""


def _kind(value: Value) -> object:
    data = value.data.tobytes() if value.data is not None else value.is_variable
    return value.shape, value.dtype, value.quantization, data


def _form(quantization: Quantization | None) -> Key:
    """What passes and kernels look at of large constants' scales, which are a layer's own."""
    if quantization is None:
        return ()
    points = quantization.zero_points
    return len(quantization.scales), len(points), any(points), quantization.axis
