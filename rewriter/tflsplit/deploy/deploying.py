# SPDX-License-Identifier: Apache-2.0
"""From an output folder to running boards: place, make images, adopt, deploy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tflsplit.bundle import Bundle
from tflsplit.deploy.deployer import Deployer, Deployment, Progress
from tflsplit.deploy.placing import Placement, place
from tflsplit.deploy.session import PEER_TIMEOUT_US, Session
from tflsplit.deploy.slices import check_room, image_of, options_for
from tflsplit.deploy.survey import BoardFlags, BoardIdentity, BoardState
from tflsplit.deploy.surveyor import Surveyor
from tflsplit.deploy.wiring import Wiring
from tflsplit.errors import ClusterError
from tflsplit.firmware.generate import device_sources
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.host.ports import Stream
from tflsplit.wire.topology import Topology


@dataclass(frozen=True)
class Deployed:
    """What came of it.

    stream: place of the port that leads to the plan's gateway.
    """

    placement: Placement
    deployment: Deployment
    stream: int


@dataclass(frozen=True)
class Prepared:
    """Images for found boards, by rank.

    options: what they were made with: what the boards tell, and the wires that are there.
    """

    placement: Placement
    images: tuple[bytes, ...]
    options: FirmwareOptions
    stream: int


def prepare_images(bundle: Bundle, options: FirmwareOptions, wiring: Wiring) -> Prepared:
    """The boards by rank, and each one's image.

    options: what the folder's firmware is made of.  A ring's plan for fewer boards than are in the
        ring is deployed to a line of them.
    Raises ClusterError if boards, wires, stores or keys do not fit the plan.
    """
    size = len(bundle.devices)
    placement, stream, topology = _placed(wiring, options, size)
    options = replace(options, topology=topology)
    identities = [wiring.boards[board].identity for board in placement.boards]
    _refuse_fixed(wiring, placement, identities)
    made_for = options_for(options, identities)
    sources = device_sources(bundle.document, bundle.devices, made_for)
    images = tuple(
        image_of(source, identity, placement)
        for source, identity in zip(sources, identities, strict=True)
    )
    check_room(wiring, placement, sources, images)
    return Prepared(placement, images, options, stream)


def deploy_images(
    prepared: Prepared,
    surveyor: Surveyor,
    streams: Sequence[Stream],
    wiring: Wiring,
    key: bytes | None = None,
    progress: Progress = lambda rank, sent: None,
    peer_timeout_us: int = PEER_TIMEOUT_US,
) -> Deployed:
    """Adopt the boards and give each its image; all run it then.

    peer_timeout_us: a neighbour that says nothing for so long is lost.
    Raises LinkError naming the board that refuses, or is silent; nothing is changed then.
    """
    wants = any(
        wiring.boards[board].identity.flags & BoardFlags.WANTS_KEY
        for board in prepared.placement.boards
    )
    if wants and key is None:
        raise ClusterError("these boards take plans only with their key: give its file with --key")
    session = Session(
        surveyor, streams[prepared.stream], wiring, prepared.placement, prepared.options.gateway,
        prepared.stream, peer_timeout_us,
    )  # fmt: skip
    session.open()
    done = Deployer(session, prepared.images, key, progress).run()
    return Deployed(prepared.placement, done, prepared.stream)


def _placed(wiring: Wiring, options: FirmwareOptions, size: int) -> tuple[Placement, int, Topology]:
    """By the first port that can lead to the plan's gateway."""
    kinds = options.boards_of(size)
    ways = [options.topology]
    if options.topology is Topology.RING and size < len(wiring.boards):
        ways.append(Topology.LINE)
    refused: list[ClusterError] = []
    for topology in ways:
        for stream in range(len(wiring.gateways)):
            try:
                return place(wiring, topology, kinds, options.gateway, stream), stream, topology
            except ClusterError as error:
                refused.append(error)
    raise refused[0]


def _refuse_fixed(
    wiring: Wiring, placement: Placement, identities: Sequence[BoardIdentity]
) -> None:
    fixed = [
        wiring.name(board)
        for board, identity in zip(placement.boards, identities, strict=True)
        if identity.state == BoardState.FIXED
    ]
    if fixed:
        raise ClusterError(
            f"board{'s' * (len(fixed) > 1)} {', '.join(fixed)}: the firmware was built for one "
            "plan and takes no other: flash the generic one (pio run -d DIR -e generic -t upload)"
        )
