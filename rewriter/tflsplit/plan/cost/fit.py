# SPDX-License-Identifier: Apache-2.0
"""Whether a device graph fits: arena against RAM, file against flash."""

from __future__ import annotations

from dataclasses import dataclass

from tflsplit.cluster import Cluster, Device
from tflsplit.ir import Graph
from tflsplit.memory import ArenaEstimate, predict_arena
from tflsplit.memory.demand import kernels_named


@dataclass(frozen=True)
class Fit:
    """One device; all in bytes.

    arena_bytes: the smallest arena with which TFLM sets up (``ArenaEstimate.required_bytes``).
    arena_room_bytes: RAM that stack, runtime and link buffers leave for it, banks included.
    next_input_bytes: for the input of the next inference, beside the arena.
    arena_short_bytes: RAM that is missing, of the main RAM and of banks; 0 if the arena fits.
    banks: name, what of the arena lies there, and size of those in use.
    file_bytes: of the device graph, which lies in flash as it is: weights and flatbuffer.
    weights_room_bytes: flash that the program leaves for it.
    """

    rank: int
    arena_bytes: int
    arena_room_bytes: int
    link_buffer_bytes: int
    file_bytes: int
    weights_room_bytes: int
    arena_short_bytes: int
    next_input_bytes: int = 0
    banks: tuple[tuple[str, int, int], ...] = ()

    @property
    def flash_short_bytes(self) -> int:
        """Flash that is missing; 0 if the file fits."""
        return max(0, self.file_bytes - self.weights_room_bytes)

    @property
    def fits(self) -> bool:
        """Whether nothing is missing."""
        return not self.arena_short_bytes and not self.flash_short_bytes


def used_banks(device: Device, arena: ArenaEstimate) -> tuple[tuple[str, int, int], ...]:
    """Name, use and size of the banks of a device in which something lies."""
    used = zip(device.banks, arena.banks_bytes, strict=False)
    return tuple((bank.name, size, bank.size_bytes) for bank, size in used if size)


def fit_device(cluster: Cluster, rank: int, graph: Graph, file_bytes: int) -> Fit:
    """A device graph of ``file_bytes`` on a device of a cluster."""
    device = cluster.devices[rank]
    arena = predict_arena(graph, device.abi, kernels_named(device.kernels))
    next_bytes = graph.input_bytes if cluster.ahead else 0
    return Fit(
        rank=rank,
        arena_bytes=arena.required_bytes,
        arena_room_bytes=cluster.arena_room_bytes(rank),
        link_buffer_bytes=cluster.link_buffer_bytes(rank),
        file_bytes=file_bytes,
        weights_room_bytes=cluster.weights_room_bytes(rank),
        arena_short_bytes=arena.short_bytes(cluster.arena_rooms(rank, next_bytes)),
        next_input_bytes=next_bytes,
        banks=used_banks(device, arena),
    )
