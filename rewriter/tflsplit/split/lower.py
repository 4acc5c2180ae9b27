# SPDX-License-Identifier: Apache-2.0
"""From a plan to device graphs: partition, then the passes that work on one device at a time.

    model --partition--> device graphs
        [--fold_moves--> --own_kernels--> --fuse_blocks--> --chain_blocks--> --residuals_in_x-->
         --sums_in_parts--> --own_dense--> --own_unweighted--> --order_nodes--> --send_copies-->
         --chain_units-->]
        [--early_receives--> --ask_ahead-->]
        [--share_constants-->] --write_states--> --pack_constants--> --plan_offline-->
        [--wider_windows--> or --spread-->]

Partition comes first, because only then is a block whole on one device, and known which dimensions
of a piece are 1, which fold_moves looks for; own_kernels before fuse_blocks, which fuses own
kernels only; order_nodes behind all that, since it moves what is left (all of these only if the
plan says so); early_receives and ask_ahead when it is known what follows what; share_constants
where something runs in tiles; pack_constants when no pass looks at weights any more; plan_offline
when all tensors are known, and spread last, where a device has banks and its main RAM is too small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tflsplit.ir import Graph, Value
from tflsplit.memory.better import plan_offline
from tflsplit.memory.spread import spread
from tflsplit.ops import Box
from tflsplit.passes.ask_ahead import ask_ahead
from tflsplit.passes.chain_blocks import chain_blocks
from tflsplit.passes.chain_units import Run, chain_units, find_runs, slices_first
from tflsplit.passes.early_receives import early_receives
from tflsplit.passes.fold_moves import fold_moves
from tflsplit.passes.fuse_blocks import fuse_blocks
from tflsplit.passes.order_nodes import order_nodes
from tflsplit.passes.own_dense import own_dense
from tflsplit.passes.own_kernels import own_kernels
from tflsplit.passes.own_unweighted import own_unweighted
from tflsplit.passes.pack_constants import pack_constants
from tflsplit.passes.residuals_in_x import residuals_in_x
from tflsplit.passes.send_copies import send_copies
from tflsplit.passes.share_constants import share_constants
from tflsplit.passes.sums_in_parts import sums_in_parts
from tflsplit.passes.wider_windows import wider_windows
from tflsplit.passes.write_states import write_states
from tflsplit.plan.cost.work import made_again
from tflsplit.plan.layout import Layouts
from tflsplit.plan.spec import NodeSplit, Plan
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.partition import partition


def lower(
    graph: Graph,
    plan: Plan,
    given: Mapping[Value, tuple[Box, ...]] | None = None,
    ranks: Sequence[int] | None = None,
    draft: bool = False,
    layouts: Layouts | None = None,
) -> tuple[DeviceGraph, ...]:
    """The device graphs of ``graph`` under ``plan``, by rank; arguments and errors of partition.

    draft: packed constants have their sizes and no contents, and planned arenas are not judged by
        their checker; all costs are the same.
    """
    return with_offsets(unpacked(graph, plan, given, ranks, layouts), draft, plan.arena_rooms)


def with_offsets(
    devices: Sequence[DeviceGraph], draft: bool = False, rooms: Sequence[Sequence[int]] = ()
) -> tuple[DeviceGraph, ...]:
    """What ``lower`` makes of ``unpacked`` graphs; ``rooms``: ``Plan.arena_rooms``."""
    return tuple(_with_offsets(device, draft, rooms) for device in devices)


def _with_offsets(device: DeviceGraph, draft: bool, rooms: Sequence[Sequence[int]]) -> DeviceGraph:
    graph = pack_constants(device.graph, draft)
    graph = plan_offline(graph, checked=False) if draft or rooms else wider_windows(graph)
    if rooms:
        graph = spread(graph, rooms[device.rank], checked=not draft)
    return replace(device, graph=graph)


def unpacked(
    graph: Graph,
    plan: Plan,
    given: Mapping[Value, tuple[Box, ...]] | None = None,
    ranks: Sequence[int] | None = None,
    layouts: Layouts | None = None,
) -> tuple[DeviceGraph, ...]:
    """The same with constants as they are and without planned offsets.

    That is all that decides how long an inference takes.
    """
    return with_own_kernels(partition(graph, plan, given, ranks, layouts), plan)


def with_own_kernels(devices: Sequence[DeviceGraph], plan: Plan) -> tuple[DeviceGraph, ...]:
    """What ``unpacked`` makes of graphs that are partitioned: each by itself."""
    if plan.fuse:
        devices = _fused(devices, plan)
    if plan.overlap:
        devices = tuple(_overlapped(each, plan) for each in devices)
    if any(split.tiles > 1 for split in plan.splits):
        devices = tuple(
            replace(device, graph=share_constants(device.graph, device.steps)) for device in devices
        )
    return tuple(replace(device, graph=write_states(device.graph)) for device in devices)


def _overlapped(device: DeviceGraph, plan: Plan) -> DeviceGraph:
    graph = early_receives(device.graph)
    if not plan.stock_kernels:
        graph = ask_ahead(graph, host_rank=plan.world_size)
    return replace(device, graph=graph)


def _fused(devices: Sequence[DeviceGraph], plan: Plan) -> tuple[DeviceGraph, ...]:
    limits = {
        split.node: split.scratch_limit_bytes
        for split in plan.splits
        if split.scratch_limit_bytes is not None
    }
    splits = plan.by_node()
    return tuple(_fused_device(device, limits, splits, plan.world_size) for device in devices)


def _fused_device(
    device: DeviceGraph,
    limits: Mapping[str, int],
    splits: Mapping[str, NodeSplit],
    host_rank: int,
) -> DeviceGraph:
    local = {name: limits[layer] for name, layer in device.steps.items() if layer in limits}
    kept = {name: splits[layer] for name, layer in device.steps.items() if layer in splits}
    inside = {name for name, split in kept.items() if split.chained}
    windows = {name: split.window_columns for name, split in kept.items() if split.window_columns}
    graph = fold_moves(device.graph)
    blocks = fuse_blocks(own_kernels(slices_first(graph, kept) if windows else graph), local)
    runs = list[Run]()
    if windows:
        runs = find_runs(blocks, kept, host_rank)
        units = {block.name for run in runs for block in run.blocks}
        blocks = chain_blocks(blocks, windows, inside - units)
    graph, steps = own_dense(*sums_in_parts(residuals_in_x(blocks), inside, device.steps))
    graph = order_nodes(own_unweighted(graph))
    graph, macs = send_copies(graph) if windows else graph, device.macs
    if runs:
        graph = chain_units(graph, kept, host_rank)
        macs += made_again(graph)
    return replace(device, graph=graph, steps=steps, macs=macs)
