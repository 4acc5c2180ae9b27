# SPDX-License-Identifier: Apache-2.0
"""The host's links: an ``Endpoint`` on streams, driven by the time of day."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping

from tflsplit.errors import InternalError, LinkError
from tflsplit.host.firmware_json import FirmwareSetup
from tflsplit.host.ports import Stream, wait_for_any
from tflsplit.wire.control import (
    CONTROL_CHANNEL,
    CONTROL_VERSION,
    LINK_COUNTERS,
    OLDER_VERSIONS,
    Ask,
    LinkReport,
    Message,
    Query,
    pack,
    unpack,
)
from tflsplit.wire.endpoint import Endpoint
from tflsplit.wire.handshake import ErrorCode, Identity, PeerError, fingerprint_bytes
from tflsplit.wire.link import Link
from tflsplit.wire.link_state import LinkState
from tflsplit.wire.topology import link_tables

TURN_SECONDS = 0.005
"""Longest sleep between two looks at the timers; an arriving byte ends it."""
_ASK_SECONDS = 0.001  # the same while an acknowledgement is waited for


class Gateway:
    """Carries messages between this process and the devices.

    streams: by the rank of the gateway that each leads to, one for each of ``setup.gateways``.
    on_message: called with (rank, message) for every control message, from within ``turn``.
    """

    def __init__(
        self,
        streams: Mapping[int, Stream],
        setup: FirmwareSetup,
        on_message: Callable[[int, Message], None],
    ) -> None:
        self._on_message = on_message
        self.other_versions: dict[int, int] = {}  # of the protocol, by rank that spoke it
        table = link_tables(setup.topology, setup.world_size, setup.gateways)[-1]
        if set(streams) != {link.peer_rank for link in table}:
            raise InternalError(f"streams to {sorted(streams)}, but gateways {setup.gateways}")
        self.streams = tuple(streams[link.peer_rank] for link in table)
        self.endpoint = Endpoint(
            host_identity(setup), table, secrets.randbits(32), self._on_datagram, setup.timing
        )
        self.on_turn: Callable[[], None] = lambda: None
        """Called at the end of every ``turn``; what it raises, that raises."""

    def turn(self, wait_seconds: float = TURN_SECONDS) -> None:
        """Take what has come, send what is due; waits a little if nothing has come."""
        if not all(link.all_acknowledged for link in self.endpoint.links):
            wait_seconds = min(wait_seconds, _ASK_SECONDS)
        several = len(self.streams) > 1
        if several:
            wait_for_any(self.streams, wait_seconds)
        for index, stream in enumerate(self.streams):
            data = stream.receive(0.0 if several else wait_seconds)
            if data:
                self.endpoint.receive(data, _now_us(), index)
        # After all have been heard: what came by one may have to leave by another.
        for index, stream in enumerate(self.streams):
            due = self.endpoint.poll(_now_us(), index)
            if due:
                stream.send(due)
        self.on_turn()

    def wait_until(self, condition: Callable[[], bool], timeout_seconds: float) -> bool:
        """Take turns until the condition holds; whether it did in time."""
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.turn()
        return True

    def send(self, ranks: range | list[int], message: Message) -> None:
        """Queue a control message to some devices."""
        self.endpoint.send_datagram(ranks, CONTROL_CHANNEL, pack(message))

    def open(self, timeout_seconds: float) -> None:
        """Shake hands with every gateway.

        Raises PeerError if one is of another plan or rank, LinkError if one does not answer.
        """
        links = self.endpoint.links
        self.turn(0.0)  # what earlier peers have left
        for link in links:
            link.try_again()

        def refused() -> list[int]:
            return [i for i, link in enumerate(links) if link.state is LinkState.REFUSED]

        self.wait_until(lambda: self.endpoint.is_up or bool(refused()), timeout_seconds)
        for index in refused():
            raise refusal(links[index], self.streams[index])
        silent = [index for index, link in enumerate(links) if not link.is_up]
        if silent:
            said = (silence(links[i], self.streams[i], timeout_seconds) for i in silent)
            raise LinkError("; ".join(said))

    def link_reports(self) -> tuple[LinkReport, ...]:
        """The host's own links in the words of a device; what it does not count is 0."""
        return tuple(
            _link_report(index, link, len(self.endpoint.links))
            for index, link in enumerate(self.endpoint.links)
        )

    def _on_datagram(self, source: int, channel: int, payload: bytes) -> None:
        message = unpack(payload) if channel == CONTROL_CHANNEL else None
        if message is not None:
            self._on_message(source, message)
        elif channel == CONTROL_CHANNEL and payload and payload[0] != CONTROL_VERSION:
            self.other_versions[source] = payload[0]

    def ask_older(self, ranks: range | list[int]) -> None:
        """Queue a QUERY in the words of earlier versions, for ``other_versions``."""
        query = pack(Query(Ask.INFO, 1))
        for version in OLDER_VERSIONS:
            self.endpoint.send_datagram(ranks, CONTROL_CHANNEL, bytes([version]) + query[1:])


def host_identity(setup: FirmwareSetup) -> Identity:
    """Who the host is to its gateways."""
    return Identity(
        setup.host_rank, setup.world_size, setup.world_size + 1, setup.mtu_bytes,
        fingerprint_bytes(setup.fingerprint),
    )  # fmt: skip


def refusal(link: Link, stream: Stream) -> LinkError:
    """Why a gateway and this host do not fit each other."""
    wanted = link.peer_rank
    if link.error is ErrorCode.RANK_MISMATCH and link.claimed_rank not in (None, wanted):
        return LinkError(
            f"{stream.name} leads to rank {link.claimed_rank}, but the firmware of this "
            f"plan has the host at rank {wanted}: connect the host there"
        )
    rank = wanted if link.claimed_rank is None else link.claimed_rank
    return PeerError(link.error, rank)


def silence(link: Link, stream: Stream, timeout_seconds: float) -> str:
    """What may be wrong with a gateway that has not shaken hands."""
    who = f"rank {link.peer_rank}, the gateway, does not answer at {stream.name}"
    if link.counters.bytes_received == 0:
        hint = "not one byte came: check its power, the cable and the port"
    elif link.decoder.counters.frames == 0:
        hint = "what came from there are no frames: check the baud rate and the firmware"
    else:
        hint = "frames came, but no handshake: reset it"
    return f"{who} within {timeout_seconds:g} s; {hint}"


def _link_report(index: int, link: Link, links: int) -> LinkReport:
    counts = {**vars(link.counters), **vars(link.decoder.counters)}
    counters = tuple(counts.get(name, 0) & 0xFFFF_FFFF for name in LINK_COUNTERS)
    return LinkReport(
        link=index, peer=link.peer_rank, state=link.is_up, links=links, counters=counters
    )


def _now_us() -> int:
    return time.monotonic_ns() // 1000
