# SPDX-License-Identifier: Apache-2.0
"""Images: what a board's store holds, one slice of a plan or several (``docs/deployment.md``).

``tests/deploy_vectors.json`` tests the bytes here and in C++ (``split_deploy``).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from tflsplit.deploy.survey import HOST_PORT

MAGIC = b"TFSI"
IMAGE_VERSION = 1
ALIGNMENT_BYTES = 16
MAX_SLICES = 64
MAX_LINKS = 16
MAX_MARK_BYTES = 200
NO_BOARD = 255
"""``lost`` of a slice of the main plan."""
CMSIS_NN_ARENA = 1
"""Flag of a slice: its arena is what CMSIS-NN's kernels need."""

HEAD = struct.Struct("<4sHHII")
ENTRY = struct.Struct("<II16sBBB5s")
CONFIG = struct.Struct("<HHIBBBBHBBBBBBIIIIIIIIIIHH16s16s8s")
LINK = struct.Struct("<BBBBQ")


@dataclass(frozen=True)
class SliceLink:
    """One link: the board's port (255: the host link), the neighbour, its routes."""

    port: int
    peer: int
    ring_next: int
    destinations: int


@dataclass(frozen=True)
class Slice:
    """A device's part of a plan: what a firmware of its own would have in config.h, and the model.

    Times are in microseconds.  mark: metadata by which the model knows its plan.
    lost: rank in the main plan of the board that this slice does without.
    """

    rank: int
    world_size: int
    mtu_bytes: int
    rx_slots: int
    tx_slots: int
    send_slots: int
    recv_slots: int
    grant_slots: int
    flags: int
    hello_interval_us: int
    poll_interval_us: int
    poll_interval_max_us: int
    peer_timeout_us: int
    multicast_hold_us: int
    timeout_us: int
    background_poll_us: int
    arena_bytes: int
    required_arena_bytes: int
    baud: int
    fingerprint: bytes
    board: bytes
    mark: bytes
    links: tuple[SliceLink, ...]
    model: bytes = field(repr=False)
    lost: int = NO_BOARD

    @property
    def config_bytes(self) -> int:
        """Where the model begins."""
        return rounded_up(CONFIG.size + LINK.size * len(self.links) + len(self.mark) + 1)


def rounded_up(size: int) -> int:
    """The next multiple of 16."""
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def build_image(slices: Sequence[Slice]) -> bytes:
    """The image of these slices, the main plan's first."""
    bodies = [slice_bytes(one) for one in slices]
    offset = HEAD.size + ENTRY.size * len(slices)
    table = b""
    for one, body in zip(slices, bodies, strict=True):
        table += ENTRY.pack(
            offset, len(body), one.fingerprint, one.rank, one.world_size, one.lost, bytes(5)
        )
        offset += rounded_up(len(body))
    padded = b"".join(body + bytes(-len(body) % ALIGNMENT_BYTES) for body in bodies)
    return HEAD.pack(MAGIC, IMAGE_VERSION, len(slices), offset, 0) + table + padded


def slice_bytes(one: Slice) -> bytes:
    """Configuration and model."""
    config = CONFIG.pack(
        IMAGE_VERSION, one.config_bytes, len(one.model), one.rank, one.world_size,
        one.world_size + 1, len(one.links), one.mtu_bytes, one.rx_slots, one.tx_slots,
        one.send_slots, one.recv_slots, one.grant_slots, one.flags, one.hello_interval_us,
        one.poll_interval_us, one.poll_interval_max_us, one.peer_timeout_us,
        one.multicast_hold_us, one.timeout_us, one.background_poll_us, one.arena_bytes,
        one.required_arena_bytes, one.baud, len(one.mark), 0, one.fingerprint, one.board, bytes(8),
    )  # fmt: skip
    links = b"".join(
        LINK.pack(link.port, link.peer, link.ring_next, 0, link.destinations) for link in one.links
    )
    return (config + links + one.mark).ljust(one.config_bytes, b"\0") + one.model


def is_host(link: SliceLink) -> bool:
    """Whether the link leads to the host computer."""
    return link.port == HOST_PORT
