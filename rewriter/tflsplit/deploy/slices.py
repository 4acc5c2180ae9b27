# SPDX-License-Identifier: Apache-2.0
"""A device's slice: what its firmware would be generated from, with the ports that were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tflsplit.cluster.rings import MIN_RX_SLOTS, slots_of_ring
from tflsplit.deploy.image import CMSIS_NN_ARENA, Slice, SliceLink
from tflsplit.deploy.placing import Placement
from tflsplit.deploy.survey import HOST_PORT, BoardFlags, BoardIdentity
from tflsplit.deploy.wiring import Wiring
from tflsplit.errors import ClusterError
from tflsplit.firmware.boards import BOARDS
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.firmware.sources import DeviceSources
from tflsplit.memory.demand import Kernels
from tflsplit.wire.handshake import fingerprint_bytes


class StoreError(ClusterError):
    """Boards whose RAM would do have too small stores.

    missing: bytes, by rank of the plan.
    """

    def __init__(self, text: str, missing: Mapping[int, int]) -> None:
        super().__init__(text)
        self.missing = missing


def options_for(options: FirmwareOptions, identities: Sequence[BoardIdentity]) -> FirmwareOptions:
    """The options with what the boards tell: kernels, rate of the links, frames in transit.

    Raises ClusterError if they do not have all the same, or take no frames of that size.
    """
    slots = slots_of(options.mtu_bytes, options.rx_slots, identities)
    if slots < MIN_RX_SLOTS:
        raise ClusterError(
            f"the plan has frames of {options.mtu_bytes:,} bytes, and the boards receive into "
            f"{min(rings_of(identities)):,}, which is too little for two: flash generic firmware "
            "with more (SPLIT_PORT_RX_BYTES), or tflsplit firmware DIR --mtu 256"
        )
    kernels = {bool(one.flags & BoardFlags.CMSIS_NN) for one in identities}
    rates = {one.baud for one in identities}
    if len(rates) > 1:
        raise ClusterError(
            f"the boards' links run at {', '.join(map(str, sorted(rates)))} baud: flash generic "
            "firmware of one rate"
        )
    largest = min(one.mtu_bytes for one in identities)
    if options.mtu_bytes > largest:
        raise ClusterError(
            f"the plan has frames of {options.mtu_bytes} bytes, the boards take {largest}: "
            f"tflsplit firmware DIR --mtu {largest}"
        )
    rate = rates.pop() or None
    made_for = replace(options, baud=rate or options.baud, rx_slots=slots)
    if any(_has_registrys_kernels(one) for one in identities):  # of the others: room for either
        return replace(made_for, kernels=None, tflm_dir=None)
    one_kind: Kernels | None = None  # boards of both: room for either
    if len(kernels) == 1:
        one_kind = "cmsis_nn" if True in kernels else "reference"
    return replace(made_for, kernels=one_kind)


def _has_registrys_kernels(identity: BoardIdentity) -> bool:
    """Whether its TFLM is that of PlatformIO's registry, whose kernels are neither of today's."""
    board = BOARDS.get(identity.board.decode("ascii", "replace"))
    of_tree = bool(identity.flags & BoardFlags.CMSIS_NN)
    return board is not None and board.is_of_registry and not of_tree


def rings_of(identities: Sequence[BoardIdentity]) -> list[int]:
    """Sizes of the receiving rings, of boards that have such."""
    return [one.rx_ring_bytes for one in identities if one.rx_ring_bytes]


def slots_of(mtu_bytes: int, rx_slots: int, identities: Sequence[BoardIdentity]) -> int:
    """Frames in transit on a link, as wanted or as many as all boards have room to receive."""
    rings = rings_of(identities)
    return min([rx_slots, *(slots_of_ring(ring, mtu_bytes) for ring in rings)])


def slice_of(
    source: DeviceSources, identity: BoardIdentity, placement: Placement, lost: int = 255
) -> Slice:
    """The slice of ``source`` for a board, by the ports that its cables are in."""
    timing = source.timing
    links = tuple(
        SliceLink(
            placement.ports.get((source.rank, link.table.peer_rank), HOST_PORT),
            link.table.peer_rank,
            link.table.ring_next,
            link.table.destinations,
        )
        for link in source.links
    )
    return Slice(
        rank=source.rank,
        world_size=source.world_size,
        mtu_bytes=source.mtu_bytes,
        rx_slots=source.rx_slots,
        tx_slots=source.tx_slots,
        send_slots=source.slots.send,
        recv_slots=source.slots.recv,
        grant_slots=source.slots.grant,
        flags=CMSIS_NN_ARENA if identity.flags & BoardFlags.CMSIS_NN else 0,
        hello_interval_us=timing.hello_interval_us,
        poll_interval_us=timing.poll_interval_us,
        poll_interval_max_us=timing.poll_interval_max_us,
        peer_timeout_us=timing.peer_timeout_us,
        multicast_hold_us=timing.multicast_hold_us,
        timeout_us=timing.timeout_ms * 1000,
        background_poll_us=source.background_poll_us,
        arena_bytes=source.arena_bytes,
        required_arena_bytes=source.required_arena_bytes,
        baud=identity.baud,
        fingerprint=fingerprint_bytes(source.fingerprint),
        board=identity.board,
        mark=source.mark.encode(),
        links=links,
        model=source.model,
        lost=lost,
    )


def check_room(
    wiring: Wiring,
    placement: Placement,
    sources: Sequence[DeviceSources],
    images: Sequence[bytes],
) -> None:
    """Raises ClusterError for the first board whose RAM or store is too small.

    Of its links the frame buffers are counted; a board that lacks the rest says so itself.
    Where only stores are too small, it is a StoreError.
    """
    short = store_shortfall(wiring, placement, images)
    ranks = zip(placement.boards, sources, images, strict=True)
    for rank, (board, source, image) in enumerate(ranks):
        one = wiring.boards[board]
        frames = len(source.links) * (source.rx_slots + 1) + source.tx_slots
        needs = {
            "RAM": (source.arena_bytes + frames * source.mtu_bytes, one.identity.work_bytes),
            "store": (len(image), one.identity.store_bytes),
        }
        for what, (wanted, there) in needs.items():
            if wanted > there:
                text = (
                    f"rank {rank} needs {wanted:,} bytes of {what}, board {wiring.name(board)} "
                    f"({one.kind}) lacks {wanted - there:,} of them: use more devices, or boards "
                    "with more"
                )
                raise StoreError(text, short) if what == "store" else ClusterError(text)


def store_shortfall(
    wiring: Wiring, placement: Placement, images: Sequence[bytes]
) -> dict[int, int]:
    """Bytes that stores lack, by rank; only those that do."""
    over = [
        len(image) - wiring.boards[board].identity.store_bytes
        for board, image in zip(placement.boards, images, strict=True)
    ]
    return {rank: missing for rank, missing in enumerate(over) if missing > 0}
