# SPDX-License-Identifier: Apache-2.0
"""From an output folder to running boards: place, make images, adopt, deploy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tflsplit.bundle import Bundle
from tflsplit.deploy.deployer import SILENT_SECONDS, Deployer, Deployment, Progress
from tflsplit.deploy.image import Slice, build_image
from tflsplit.deploy.placing import Placement, place
from tflsplit.deploy.session import PEER_TIMEOUT_US, Session
from tflsplit.deploy.slices import check_room, options_for, slice_of
from tflsplit.deploy.survey import BoardFlags, BoardIdentity, BoardState
from tflsplit.deploy.surveyor import Surveyor
from tflsplit.deploy.wiring import Wiring
from tflsplit.errors import ClusterError
from tflsplit.firmware.generate import device_sources
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.host.ports import Stream
from tflsplit.wire.control import CONTROL_VERSION
from tflsplit.wire.topology import Topology


@dataclass(frozen=True)
class Deployed:
    """What came of it.

    streams: places of the ports that lead to the plan's gateways, in the order of their ranks.
    """

    placement: Placement
    deployment: Deployment
    streams: tuple[int, ...]

    @property
    def stream(self) -> int:
        """Place of the port by which all of it went."""
        return self.streams[0]


@dataclass(frozen=True)
class Prepared:
    """Images for found boards, by rank.

    slices: what the images consist of, one each.
    options: the folder's, with the wires that are there, and the frames in transit that fit them.
    streams: as in ``Deployed``; the first one's board is that of the gateway of ``options``.
    """

    placement: Placement
    images: tuple[bytes, ...]
    slices: tuple[Slice, ...]
    options: FirmwareOptions
    streams: tuple[int, ...]


def prepare_images(
    bundle: Bundle, options: FirmwareOptions, wiring: Wiring, taken: Collection[int] = ()
) -> Prepared:
    """The boards by rank, and each one's image.

    options: what the folder's firmware is made of.  A ring's plan for fewer boards than are in the
        ring is deployed to a line of them.
    taken: boards that are not to be had.
    Raises ClusterError if boards, wires, stores or keys do not fit the plan.
    """
    size = len(bundle.devices)
    placement, stream, topology = _placed(wiring, options, size, taken)
    options = replace(options, topology=topology)
    streams = _streams(wiring, options, placement, stream)
    identities = [wiring.boards[board].identity for board in placement.boards]
    check_firmware([wiring.name(board) for board in placement.boards], identities)
    made_for = options_for(options, identities)
    made_for = replace(made_for, one_piece=True)
    sources = device_sources(bundle.document, bundle.devices, made_for)
    slices = tuple(
        slice_of(source, identity, placement)
        for source, identity in zip(sources, identities, strict=True)
    )
    images = tuple(build_image([one]) for one in slices)
    check_room(wiring, placement, sources, images)
    options = replace(options, rx_slots=made_for.rx_slots)
    return Prepared(placement, images, slices, options, streams)


def prepare_teams(
    bundle: Bundle, options: FirmwareOptions, wiring: Wiring, teams: int
) -> list[Prepared]:
    """The same for as many of the plan's teams as there are boards and ports for, one at least.

    Raises ClusterError, as ``prepare_images`` does, if there are not even boards for one.
    """
    found: list[Prepared] = []
    while len(found) < teams:
        taken = {board for one in found for board in one.placement.boards}
        try:
            found.append(prepare_images(bundle, options, wiring, taken))
        except ClusterError:
            if not found:
                raise
            break
    return found


def deploy_images(
    prepared: Prepared,
    surveyor: Surveyor,
    streams: Sequence[Stream],
    wiring: Wiring,
    key: bytes | None = None,
    progress: Progress = lambda rank, sent: None,
    peer_timeout_us: int = PEER_TIMEOUT_US,
    silent_seconds: float = SILENT_SECONDS,
) -> Deployed:
    """Adopt the boards and give each its image; all run it then.

    Arguments and errors are those of ``Deployers``, for one team.
    """
    team = Deployers([prepared], surveyor, streams, wiring, key, peer_timeout_us, silent_seconds)
    team.prepare(0, progress)
    return team.finish()[0]


class Deployers:
    """Deployments to several teams as one: none of them commits before all are prepared.

    Adopts all boards.  peer_timeout_us: a neighbour that says nothing for so long is lost.
    silent_seconds: a board that does not tell of any progress for so long is given up.
    Both are longer where the survey found boards slow.
    Raises LinkError naming the board that refuses, or is silent; nothing is changed then.
    """

    def __init__(
        self,
        teams: Sequence[Prepared],
        surveyor: Surveyor,
        streams: Sequence[Stream],
        wiring: Wiring,
        key: bytes | None = None,
        peer_timeout_us: int = PEER_TIMEOUT_US,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        if key is None:
            _refuse_without_key(wiring, teams)
        peer_timeout_us = round(surveyor.stretched(peer_timeout_us))
        self._teams = tuple(teams)
        self._deployers: list[Deployer] = []
        for team in teams:
            session = Session(
                surveyor, streams[team.streams[0]], wiring, team.placement,
                team.options.gateways_of(len(team.images))[0], peer_timeout_us,
            )  # fmt: skip
            session.open()
            self._deployers.append(Deployer(session, team.images, key, silent_seconds))

    def prepare(self, team: int, progress: Progress = lambda rank, sent: None) -> None:
        """Give the boards of one of the teams their images."""
        self._deployer(team, self._deployers).prepare(progress)

    def finish(self) -> list[Deployed]:
        """All run them; when all teams are prepared."""
        return [
            Deployed(
                one.placement, self._deployer(team, self._deployers[team:]).finish(), one.streams
            )
            for team, one in enumerate(self._teams)
        ]

    def _deployer(self, team: int, present: Sequence[Deployer]) -> Deployer:
        """One of them, which lets the others that are still in their sessions take their turns."""
        found = self._deployers[team]
        others = [one for one in present if one is not found]

        def meanwhile() -> None:
            for one in others:
                one.idle()

        found.meanwhile = meanwhile
        return found


def _refuse_without_key(wiring: Wiring, teams: Sequence[Prepared]) -> None:
    boards = [wiring.boards[board] for team in teams for board in team.placement.boards]
    if any(board.identity.flags & BoardFlags.WANTS_KEY for board in boards):
        raise ClusterError("these boards take plans only with their key: give its file with --key")


def _placed(
    wiring: Wiring, options: FirmwareOptions, size: int, taken: Collection[int]
) -> tuple[Placement, int, Topology]:
    """By the first port that can lead to the plan's (first) gateway."""
    kinds, gateway = options.boards_of(size), options.gateways_of(size)[0]
    ways = [options.topology]
    if options.topology is Topology.RING and size < len(wiring.boards):
        ways.append(Topology.LINE)
    refused: list[ClusterError] = []
    for topology in ways:
        for stream, board in enumerate(wiring.gateways):
            if board in taken:
                continue
            try:
                found = place(wiring, topology, kinds, gateway, stream, taken)
            except ClusterError as error:
                refused.append(error)
                continue
            return found, stream, topology
    raise refused[0] if refused else ClusterError("no port is left that leads to a team's gateway")


def _streams(
    wiring: Wiring, options: FirmwareOptions, placement: Placement, first: int
) -> tuple[int, ...]:
    """The port of each gateway.  ClusterError names boards that need one and have none."""
    if not options.direct:
        return (first,)
    size = len(placement.boards)
    without = [
        f"rank {rank} (board {wiring.name(board)})"
        for rank, board in enumerate(placement.boards)
        if board not in wiring.gateways
    ]
    if without:
        raise ClusterError(
            f"the plan gives each of its {size} boards its input over the board's own port, and "
            f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} none here: name all "
            "with --port, or make the plan without --direct"
        )
    return tuple(wiring.gateways.index(board) for board in placement.boards)


def check_firmware(names: Sequence[str], identities: Sequence[BoardIdentity]) -> None:
    """ClusterError for boards whose firmware is for one plan, or of another cluster protocol.

    names: of the boards, in the order of ``identities``.
    """
    boards = list(zip(names, identities, strict=True))
    fixed = [name for name, one in boards if one.state == BoardState.FIXED]
    if fixed:
        raise ClusterError(
            f"board{'s' * (len(fixed) > 1)} {', '.join(fixed)}: the firmware was built for one "
            "plan and takes no other: flash the generic one (pio run -d DIR -e generic -t upload)"
        )
    other = [f"{name} {one.cluster}" for name, one in boards if one.cluster != CONTROL_VERSION]
    if other:
        raise ClusterError(
            f"generic firmware with another version of the cluster protocol than this program's "
            f"{CONTROL_VERSION}: {', '.join(other)}: flash it anew "
            "(pio run -e generic -t upload)"
        )
