# SPDX-License-Identifier: Apache-2.0
"""The host's link: an ``Endpoint`` on a stream, driven by the time of day."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from tflsplit.errors import LinkError
from tflsplit.host.firmware_json import FirmwareSetup
from tflsplit.host.ports import Stream
from tflsplit.wire.control import (
    CONTROL_CHANNEL,
    LINK_COUNTERS,
    LinkReport,
    Message,
    pack,
    unpack,
)
from tflsplit.wire.endpoint import Endpoint
from tflsplit.wire.handshake import ErrorCode, Identity, PeerError, fingerprint_bytes
from tflsplit.wire.link_state import LinkState

TURN_SECONDS = 0.005
"""Longest sleep between two looks at the timers; an arriving byte ends it."""


class Gateway:
    """Carries messages between this process and the devices.

    on_message: called with (rank, message) for every control message, from within ``turn``.
    """

    def __init__(
        self, stream: Stream, setup: FirmwareSetup, on_message: Callable[[int, Message], None]
    ) -> None:
        self.stream = stream
        self._setup = setup
        self._on_message = on_message
        identity = Identity(
            setup.host_rank, setup.world_size, setup.world_size + 1, setup.mtu_bytes,
            fingerprint_bytes(setup.fingerprint),
        )  # fmt: skip
        self.endpoint = Endpoint(
            identity, setup.gateway, secrets.randbits(32), self._on_datagram, setup.timing
        )

    def turn(self, wait_seconds: float = TURN_SECONDS) -> None:
        """Take what has come, send what is due; waits a little if nothing has come."""
        data = self.stream.receive(wait_seconds)
        now_us = time.monotonic_ns() // 1000
        if data:
            self.endpoint.receive(data, now_us)
        due = self.endpoint.poll(now_us)
        if due:
            self.stream.send(due)

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
        """Shake hands with the gateway.

        Raises PeerError if it is of another plan or rank, LinkError if nobody answers.
        """
        link = self.endpoint.link
        self.wait_until(lambda: link.is_up or link.state is LinkState.REFUSED, timeout_seconds)
        if link.state is LinkState.REFUSED:
            raise self._refusal()
        if not link.is_up:
            raise LinkError(self._silence(timeout_seconds))

    def link_report(self) -> LinkReport:
        """The host's own link in the words of a device; what it does not count is 0."""
        link = self.endpoint.link
        counts = {**vars(link.counters), **vars(link.decoder.counters)}
        counters = tuple(counts.get(name, 0) & 0xFFFF_FFFF for name in LINK_COUNTERS)
        return LinkReport(peer=self._setup.gateway, state=link.is_up, links=1, counters=counters)

    def _refusal(self) -> LinkError:
        link, wanted = self.endpoint.link, self._setup.gateway
        if link.error is ErrorCode.RANK_MISMATCH and link.claimed_rank not in (None, wanted):
            return LinkError(
                f"{self.stream.name} leads to rank {link.claimed_rank}, but the firmware of this "
                f"plan has the host at rank {wanted}: connect the host there"
            )
        rank = wanted if link.claimed_rank is None else link.claimed_rank
        return PeerError(link.error, rank)

    def _silence(self, timeout_seconds: float) -> str:
        counters, decoder = self.endpoint.link.counters, self.endpoint.link.decoder.counters
        who = f"rank {self._setup.gateway}, the gateway, does not answer at {self.stream.name}"
        if counters.bytes_received == 0:
            hint = "not one byte came: check its power, the cable and the port"
        elif decoder.frames == 0:
            hint = "what came from there are no frames: check the baud rate and the firmware"
        else:
            hint = "frames came, but no handshake: reset it"
        return f"{who} within {timeout_seconds:g} s; {hint}"

    def _on_datagram(self, source: int, channel: int, payload: bytes) -> None:
        message = unpack(payload) if channel == CONTROL_CHANNEL else None
        if message is not None:
            self._on_message(source, message)
