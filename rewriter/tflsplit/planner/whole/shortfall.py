# SPDX-License-Identifier: Apache-2.0
"""What is missing when nothing fits: which layer, how much, on which device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tflsplit.cluster import Cluster
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.ways.units import Unit
from tflsplit.planner.whole.planned import Planned, finish
from tflsplit.wire.frames import MAX_NODES

Find = Callable[[Cluster], Planned | None]
"""The plan of least RAM for a cluster, if one fits."""

_UNLIMITED_BYTES = 1 << 40
_MOST_DEVICES = 100
"""Of all clusters together that are tried: a search takes time in proportion to the devices."""


def why_not(cluster: Cluster, units: Sequence[Unit], steps: Iterable[Step], find: Find) -> str:
    """The unit that lacks most RAM, or else the flash that is missing; one sentence.

    find: searches again, for devices with more RAM or flash, where no unit alone is to blame.
    """
    ranks = range(cluster.world_size)
    rooms = [cluster.arena_room_bytes(rank) for rank in ranks]
    flash = sum(cluster.weights_room_bytes(rank) for rank in ranks)
    weights = sum(unit.weights_bytes for unit in units)
    if weights > flash:
        return (
            f"nothing fits: the model has {weights:,} bytes of weights, and all devices together "
            f"have room for {flash:,}: {weights - flash:,} bytes of flash are missing, "
            f"{-(-(weights - flash) // cluster.world_size):,} on each"
        )
    short = _least_short(steps, rooms)
    if short and max(short.values())[0] > 0:
        signature, (missing, rank, need) = max(short.items(), key=lambda item: item[1])
        name = next(u.nodes[-1].name for u in units if u.signature == signature).split(";")[0]
        return (
            f"nothing fits: however {name!r} is split, some device lacks RAM; in the best case "
            f"{_device(cluster, rank)} needs {need:,} bytes of activations and has {rooms[rank]:,} "
            f"for the whole arena: {missing:,} bytes are missing"
        )
    return f"nothing fits: {_closest(cluster, find)}"


def _closest(cluster: Cluster, find: Find) -> str:
    """What the plan of least RAM lacks, if RAM, or flash, were no matter."""
    planned = find(with_room(cluster))
    if planned is not None:
        shorts = _arena_shorts(planned, cluster)
        rank = shorts.index(max(shorts))
        arena = planned.arenas[rank]
        return (
            f"in the plan of least RAM {_device(cluster, rank)} needs an arena of "
            f"{arena.required_bytes:,} bytes (activations up to {arena.head_bytes:,} at "
            f"{_peak_layer(planned, rank)!r}, {arena.tail_bytes:,} for TFLM's structures) and has "
            f"{_rooms(cluster, rank)}: {shorts[rank]:,} bytes are missing"
        )
    planned = find(with_room(cluster, flash=True))
    if planned is None:
        return "not even with all the RAM and flash in the world"
    shorts = list(planned.flash_short_bytes(cluster))
    rank = shorts.index(max(shorts))
    return (
        f"in the plan of least RAM {_device(cluster, rank)} needs {planned.weights_bytes[rank]:,} "
        f"bytes of flash for weights and has {cluster.weights_room_bytes(rank):,}: "
        f"{shorts[rank]:,} bytes are missing"
    )


def _arena_shorts(planned: Planned, cluster: Cluster) -> list[int]:
    """By rank, what the plan lacks on the cluster; with banks, once its arenas lie in them."""
    if any(device.banks for device in cluster.devices):
        if planned.plan.world_size == cluster.world_size:
            planned = finish(planned.graph, planned.plan, cluster, planned.steps)
        return list(planned.arena_short_bytes(cluster))
    needs = [arena.required_bytes for arena in planned.arenas]
    return [need - cluster.arena_room_bytes(rank) for rank, need in enumerate(needs)]


def _rooms(cluster: Cluster, rank: int) -> str:
    return " and ".join(f"{room:,}" for room in cluster.arena_rooms(rank))


def _peak_layer(planned: Planned, rank: int) -> str:
    device = planned.drafts[rank]
    step = planned.arenas[rank].plan.peak_step
    if not device.graph.nodes:
        return "its input"
    node = device.graph.nodes[max(step, 1) - 1]
    return device.steps.get(node.name, node.name).split(";")[0]


def with_room(cluster: Cluster, flash: bool = False) -> Cluster:
    """The same devices with as much RAM, and flash if asked for, as anything takes."""
    room: dict[str, object] = {
        "ram_bytes": _UNLIMITED_BYTES,
        "ram_block_bytes": _UNLIMITED_BYTES,
        "arena_limit_bytes": None,
        "banks": (),
    }
    if flash:
        room |= {"flash_bytes": _UNLIMITED_BYTES, "weights_limit_bytes": None}
    devices = tuple(replace(device, **room) for device in cluster.devices)  # type: ignore[arg-type]
    return replace(cluster, devices=devices)


def _least_short(
    steps: Iterable[Step], rooms: Sequence[int]
) -> dict[tuple[object, ...], tuple[int, int, int]]:
    """By kind of unit: (RAM that is missing, rank, what it needs) of the option with least."""
    short: dict[tuple[object, ...], tuple[int, int, int]] = {}
    for step in steps:
        heads = step.cost.head_bytes
        worst = max((heads[rank] - room, rank, heads[rank]) for rank, room in enumerate(rooms))
        key = step.unit.signature
        short[key] = min(short.get(key, worst), worst)
    return short


def _device(cluster: Cluster, rank: int) -> str:
    board = cluster.devices[rank].board
    return f"rank {rank}" + (f" ({board})" if board else "")


def smallest_cluster(cluster: Cluster, fits: Callable[[Cluster], bool]) -> int | None:
    """How many devices of the same kind would do; None if that is unknown.

    Only for equal devices: doubled until it fits, then bisected, in a few searches.
    """
    kinds = {replace(device, name="") for device in cluster.devices}
    if len(kinds) > 1 or cluster.wires:
        return None
    low, high, budget = cluster.world_size, cluster.world_size, _MOST_DEVICES
    while high < MAX_NODES and budget >= min(2 * high, MAX_NODES):
        low, high = high, min(2 * high, MAX_NODES)
        budget -= high
        if not fits(resized(cluster, high)):
            continue
        while high - low > 1 and budget >= (middle := (low + high) // 2):
            budget -= middle
            low, high = (low, middle) if fits(resized(cluster, middle)) else (middle, high)
        return high
    return None


def resized(cluster: Cluster, world_size: int) -> Cluster:
    """The same cluster with another number of devices, all like its first."""
    device = cluster.devices[0]
    board = device.board or device.name
    devices = tuple(replace(device, name=f"{board}-{rank}") for rank in range(world_size))
    return replace(cluster, devices=devices)
