# SPDX-License-Identifier: Apache-2.0
"""A session: placed boards are adopted as an ordinary network; the host is its last rank."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tflsplit.deploy.explore import refusal_in
from tflsplit.deploy.messages import DEPLOY_CHANNEL, Message, decode_message, encode_message
from tflsplit.deploy.placing import Placement
from tflsplit.deploy.refusals import refused_text
from tflsplit.deploy.slices import slots_of
from tflsplit.deploy.survey import HOST_PORT, Adopt, AdoptLink, BoardIdentity, Kind
from tflsplit.deploy.surveyor import Surveyor
from tflsplit.deploy.wiring import Wiring
from tflsplit.errors import LinkError
from tflsplit.host.ports import Stream
from tflsplit.wire.endpoint import Endpoint
from tflsplit.wire.frames import MIN_MTU_BYTES, max_encoded_bytes
from tflsplit.wire.handshake import Identity
from tflsplit.wire.timers import Timing
from tflsplit.wire.topology import NO_LINK, LinkTable

EPOCH = 1
PEER_TIMEOUT_US = 10_000_000
_RX_SLOTS = _TX_SLOTS = 4
_MTU_BYTES = 1024, 768, 512, MIN_MTU_BYTES
_MUCH_MEMORY_BYTES = 128 * 1024
_BITS_PER_BYTE = 10
_OPEN_SECONDS = 10.0
_TURN_SECONDS, _ASK_SECONDS = 0.005, 0.001


@dataclass(frozen=True)
class _Tree:
    """The wires of a session: no ring, so its frames cannot lock up.

    parents: by rank; -1 of the gateway.
    """

    parents: tuple[int, ...]

    @property
    def gateway(self) -> int:
        return self.parents.index(-1)

    def behind(self, rank: int) -> int:
        """The ranks, as bits, that are reached through ``rank`` from its parent: its own, too."""
        bits = 1 << rank
        for child, parent in enumerate(self.parents):
            if parent == rank:
                bits |= self.behind(child)
        return bits


def tree_of(placement: Placement, gateway: int) -> _Tree:
    """The shortest ways from the gateway along the plan's wires."""
    parents = {gateway: -1}
    waiting = [gateway]
    while waiting:
        rank = waiting.pop(0)
        for own, peer in sorted(placement.ports):
            if own == rank and peer not in parents:
                parents[peer] = rank
                waiting.append(peer)
    return _Tree(tuple(parents[rank] for rank in range(len(placement.boards))))


def adoptions(
    placement: Placement,
    tree: _Tree,
    session: bytes,
    mtu_bytes: int,
    poll_us: int,
    peer_timeout_us: int = PEER_TIMEOUT_US,
) -> list[Adopt]:
    """What each rank is told."""
    size = len(placement.boards)
    everyone, result = (1 << size + 1) - 1, []
    for rank, parent in enumerate(tree.parents):
        up = size if parent < 0 else parent
        port = HOST_PORT if parent < 0 else placement.ports[rank, parent]
        rest = everyone & ~tree.behind(rank)
        links = [AdoptLink(port, up, NO_LINK, rest)]
        for child, its_parent in enumerate(tree.parents):
            if its_parent == rank:
                port = placement.ports[rank, child]
                links.append(AdoptLink(port, child, NO_LINK, tree.behind(child)))
        result.append(
            Adopt(session, rank, size, size + 1, mtu_bytes, _RX_SLOTS, _TX_SLOTS, poll_us,
                  peer_timeout_us, tuple(links))
        )  # fmt: skip
    return result


class Session:
    """The host's part of it; ``on_message`` is called with (rank, message) from within ``turn``."""

    def __init__(self, surveyor: Surveyor, stream: Stream, wiring: Wiring, placement: Placement,
                 gateway: int, peer_timeout_us: int = PEER_TIMEOUT_US) -> None:  # fmt: skip
        self._stream, self._wiring, self._placement = stream, wiring, placement
        self.stretched = surveyor.stretched
        identities = [wiring.boards[board].identity for board in placement.boards]
        mtu_bytes = _mtu_bytes(identities)
        poll_us = _poll_us(mtu_bytes, max(one.baud for one in identities))
        session, size = secrets.token_bytes(16), len(placement.boards)
        tree = tree_of(placement, gateway)
        told = adoptions(placement, tree, session, mtu_bytes, poll_us, peer_timeout_us)
        self._adopt(surveyor, told)
        self.ranks = range(size)
        self.on_message: Callable[[int, Message], None] = lambda rank, message: None
        self.endpoint = Endpoint(
            Identity(size, size, size + 1, mtu_bytes, session),
            (LinkTable(gateway, (1 << size) - 1),),
            secrets.randbits(32),
            self._on_datagram,
            Timing(poll_interval_us=poll_us, peer_timeout_us=peer_timeout_us),
        )
        self.endpoint.begin_epoch(EPOCH)
        self.wire_bytes = 0

    def name(self, rank: int) -> str:
        """``rank 3 (board D, teensy41 0011…)``."""
        board = self._placement.boards[rank]
        one = self._wiring.boards[board]
        chip = f" {one.chip}" if one.chip else ""
        return f"rank {rank} (board {self._wiring.name(board)}, {one.kind}{chip})"

    def _adopt(self, surveyor: Surveyor, told: list[Adopt]) -> None:
        """The farthest first: who is adopted forwards no more survey frames."""
        boards = {rank: self._wiring.boards[board]
                  for rank, board in enumerate(self._placement.boards)}  # fmt: skip
        for hops in sorted({len(one.way) for one in boards.values()}, reverse=True):
            asked = {
                rank: surveyor.ask(
                    one.stream, Kind.ADOPT, one.way, told[rank].to_body(), tries=10
                )
                for rank, one in boards.items() if len(one.way) == hops
            }  # fmt: skip
            surveyor.wait(list(asked.values()))
            for rank, question in asked.items():
                refusal = refusal_in(question)
                if refusal is not None:
                    said = refused_text(refusal.code, refusal.number, refusal.text)
                    raise LinkError(f"{self.name(rank)} cannot take part: {said}")
                if question.answer is None:
                    raise LinkError(f"{self.name(rank)} answers no more: look again")

    def open(self) -> None:
        """Wait for the gateway's handshake.  LinkError if it does not come."""
        if not self.wait_until(lambda: self.endpoint.is_up, self.stretched(_OPEN_SECONDS)):
            raise LinkError(f"{self._stream.name}: the gateway was adopted, but shakes no hands")

    def send(self, ranks: Sequence[int], message: Message) -> None:
        """The same message to all of these."""
        if ranks:
            self.endpoint.send_datagram(ranks, DEPLOY_CHANNEL, encode_message(message))

    def turn(self, wait_seconds: float | None = None) -> None:
        """Take what has come, send what is due.  wait_seconds: for something to come."""
        if wait_seconds is None:
            wait_seconds = _TURN_SECONDS if self.endpoint.link.all_acknowledged else _ASK_SECONDS
        data = self._stream.receive(wait_seconds)
        now_us = time.monotonic_ns() // 1000
        if data:
            self.endpoint.receive(data, now_us)
        due = self.endpoint.poll(now_us)
        if due:
            self._stream.send(due)
        self.wire_bytes += len(data) + len(due)

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Take turns until it holds; whether it did in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.turn()
        return True

    def _on_datagram(self, source: int, channel: int, payload: bytes) -> None:
        message = decode_message(payload) if channel == DEPLOY_CHANNEL else None
        if message is not None and source in self.ranks:
            self.on_message(source, message)


def _mtu_bytes(identities: Sequence[BoardIdentity]) -> int:
    """The largest of a few sizes for which all boards have memory, and rings."""
    largest = min(one.mtu_bytes for one in identities)
    if min(one.work_bytes for one in identities) < _MUCH_MEMORY_BYTES:
        largest = min(largest, _MTU_BYTES[1])
    for mtu_bytes in _MTU_BYTES:
        has_room = slots_of(mtu_bytes, _RX_SLOTS, identities) == _RX_SLOTS
        if mtu_bytes <= largest and has_room:
            return mtu_bytes
    return MIN_MTU_BYTES


def _poll_us(mtu_bytes: int, baud: int) -> int:
    """Later than a window takes on the wire (``tflsplit.firmware.timing``)."""
    if not baud:
        return 20_000
    window_us = (_RX_SLOTS + 1) * max_encoded_bytes(mtu_bytes) * _BITS_PER_BYTE * 1_000_000 // baud
    return max(20_000, 2 * window_us)
