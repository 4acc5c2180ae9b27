# SPDX-License-Identifier: Apache-2.0
"""The least host that deploys to generic firmware in a ring: survey, session, images.

What a user has is ``tflsplit.deploy``; this one is small, says what it sends, and stops where a
test wants it to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.make_wire_vectors import raw_frame, sealed
from tflsplit.bundle import Bundle
from tflsplit.deploy.image import CMSIS_NN_ARENA, Slice, SliceLink, build_image
from tflsplit.deploy.image_check import parse_image
from tflsplit.emulate.wheel_file import installed_wheel
from tflsplit.emulate.wheel_tree import wheel_tree
from tflsplit.firmware import FirmwareOptions
from tflsplit.firmware.arenas import kernels_of
from tflsplit.firmware.generate import DOCUMENT, device_sources, firmware_files
from tflsplit.firmware.sources import DeviceSources
from tflsplit.firmware.wiring import HOST_PORT
from tflsplit.host import FirmwareSetup, read_firmware_setup
from tflsplit.wire.endpoint import Endpoint
from tflsplit.wire.frames import FrameDecoder
from tflsplit.wire.handshake import Identity, fingerprint_bytes
from tflsplit.wire.topology import Topology, link_tables

SURVEY, HEADER_BYTES = 32, 24
IDENTIFY, ADOPT, RUN, IDENTITY, ADOPTED, RUNNING, REFUSED = 1, 2, 3, 129, 130, 131, 255
OFFER, COMMIT, SESSION_RUN, ACCEPTED, COMMITTED, SESSION_RUNNING = 1, 2, 3, 129, 130, 131
WANTED, PREPARED, ACTIVE = 0, 1, 2
SESSION_CHANNEL, IMAGE_CHANNEL = 2, 0xE000
MTU_BYTES = 512
FORWARD_SECONDS = 0.4
FIELDS = {
    "type": SURVEY, "sequence": 0, "ack": 0, "credit": 0, "source": 255, "channel": 0xFFFF,
    "destinations": 0, "offset": 0, "epoch": 0,
}  # fmt: skip
Answer = tuple[int, bytes]


def ask(end: socket.socket, kind: int, out: Sequence[int], body: bytes = b"") -> Answer:
    """Kind and body of the answer; asks again every 100 ms."""
    token = secrets.token_bytes(4)
    way = bytes(out)
    payload = bytes([1, kind, len(way), 0]) + token + way + bytes(len(way)) + body
    decoder = FrameDecoder(1024)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        end.sendall(sealed(raw_frame(FIELDS, payload)))
        again = time.monotonic() + 0.1
        while time.monotonic() < again:
            end.settimeout(0.02)
            with contextlib.suppress(TimeoutError):
                for frame in decoder.feed(end.recv(4096)):
                    got = bytes(frame)[HEADER_BYTES:]
                    if frame[1] == SURVEY and got[4:8] == token and got[3] == got[2]:
                        return got[1], got[8 + 2 * len(way) :]
    raise AssertionError(f"no answer to {kind} by {list(way)}")


def ways(world_size: int) -> list[list[int]]:
    """To each rank of a ring, from the gateway 0 on."""
    return [[1] * rank for rank in range(world_size)]


def adopt(end: socket.socket, world_size: int, session: bytes) -> None:
    """All of a ring, the farthest first."""
    tables = link_tables(Topology.RING, world_size, 0)
    for rank in reversed(range(world_size)):
        table = tables[rank]
        ports = _ports(rank, world_size)
        body = session + struct.pack(
            "<BBBBHBBII", rank, world_size, world_size + 1, len(table), MTU_BYTES, 4, 4, 20_000,
            5_000_000,
        )  # fmt: skip
        for port, link in zip(ports, table, strict=True):
            body += struct.pack("<BBBQ", port, link.peer_rank, link.ring_next, link.destinations)
        assert ask(end, ADOPT, ways(world_size)[rank], body) == (ADOPTED, b"")


def _ports(rank: int, world_size: int) -> list[int]:
    """In the order of ``link_tables``."""
    found = [0, 1] if world_size > 1 else []
    if world_size == 2:
        found = [1] if rank == 0 else [0]
    return [*found, 255] if rank == 0 else found


def image_of(device: DeviceSources, flags: int) -> bytes:
    """A slice for its board, alone in its image.

    flags: whose kernels its arena is for (docs/deployment.md).
    """
    timing = device.timing
    links = tuple(
        SliceLink(
            255 if link.port == HOST_PORT else link.port, link.table.peer_rank,
            link.table.ring_next, link.table.destinations,
        )
        for link in device.links
    )  # fmt: skip
    one = Slice(
        rank=device.rank, world_size=device.world_size, mtu_bytes=device.mtu_bytes,
        rx_slots=device.rx_slots, tx_slots=device.tx_slots, send_slots=device.slots.send,
        recv_slots=device.slots.recv, grant_slots=device.slots.grant, flags=flags,
        hello_interval_us=timing.hello_interval_us, poll_interval_us=timing.poll_interval_us,
        poll_interval_max_us=timing.poll_interval_max_us, peer_timeout_us=timing.peer_timeout_us,
        multicast_hold_us=timing.multicast_hold_us, timeout_us=1000 * timing.timeout_ms,
        background_poll_us=device.background_poll_us, arena_bytes=-(-device.arena_bytes // 16) * 16,
        required_arena_bytes=device.required_arena_bytes, baud=0,
        fingerprint=fingerprint_bytes(device.fingerprint), board=device.board.name.encode(),
        mark=device.mark.encode(), links=links, model=device.model,
    )  # fmt: skip
    return build_image([one])


def deployable(
    bundle: Bundle, folder: Path, board: str = "host", tflm_dir: Path | None = None
) -> tuple[list[bytes], FirmwareSetup]:
    """Images by rank, and what a host must know to run them.

    tflm_dir: TFLM's sources; None: its wheel.
    """
    tree = tflm_dir or wheel_tree(*installed_wheel()).folder
    options = FirmwareOptions(boards=(board,), tflm_dir=tree, name_tflm_dir=False)
    devices = device_sources(bundle.document, bundle.devices, options)
    (folder / DOCUMENT).write_bytes(
        firmware_files(bundle.document, bundle.devices, options)[DOCUMENT]
    )
    assert json.loads((folder / DOCUMENT).read_text())["world_size"] == len(devices)
    kernels = kernels_of(devices[0].board, options)
    flags = 0 if kernels == ("reference",) else CMSIS_NN_ARENA
    setup = read_firmware_setup(folder, bundle.document)
    return [image_of(device, flags) for device in devices], setup


class Host:
    """Rank ``world_size`` of a session with a ring of adopted devices."""

    def __init__(self, end: socket.socket, world_size: int, session: bytes) -> None:
        identity = Identity(world_size, world_size, world_size + 1, MTU_BYTES, session)
        table = link_tables(Topology.RING, world_size, 0)[-1]
        self._end = end
        self._ranks = range(world_size)
        self.gives_up: Callable[[], bool] = lambda: False
        self.answers: dict[int, list[bytes]] = {rank: [] for rank in self._ranks}
        self.endpoint = Endpoint(identity, table, secrets.randbits(32), self._on_datagram)
        self.endpoint.begin_epoch(1)

    def _on_datagram(self, source: int, channel: int, payload: bytes) -> None:
        assert channel == SESSION_CHANNEL
        self.answers[source].append(payload)

    def turn(self) -> None:
        now_us = time.monotonic_ns() // 1000
        self._end.settimeout(0.002)
        with contextlib.suppress(TimeoutError):
            self.endpoint.receive(self._end.recv(65536), now_us)
        self._end.settimeout(None)
        self._end.sendall(self.endpoint.poll(now_us))

    def tell(
        self,
        messages: Mapping[int, bytes],
        until: Callable[[int, bytes], bool],
        seconds: float = 60.0,
    ) -> dict[int, bytes]:
        """To each rank its message, again and again until it has the answer that is waited for."""
        found: dict[int, bytes] = {}
        end, again = time.monotonic() + seconds, 0.0
        while len(found) < len(messages):
            assert time.monotonic() < end, f"no answer but {found}"
            assert not self.gives_up()
            if time.monotonic() > again and self.endpoint.is_up:
                again = time.monotonic() + 0.2
                for rank, message in messages.items():
                    if rank not in found:
                        self.endpoint.send_datagram([rank], SESSION_CHANNEL, message)
            self.turn()
            for rank in messages:
                while self.answers[rank] and rank not in found:
                    answer = self.answers[rank].pop(0)
                    if until(rank, answer):
                        found[rank] = answer
        return found

    def offer(
        self, images: Sequence[bytes], is_last: Callable[[bytes], bool] | None = None,
        hmacs: Sequence[bytes] | None = None,
    ) -> dict[int, bytes]:  # fmt: skip
        """The last answer of each: held, or refused; sends what is wanted."""
        sent: set[int] = set()

        def judge(rank: int, answer: bytes) -> bool:
            if answer[1] == REFUSED or (is_last is not None and is_last(answer)):
                return True
            if answer[1] == ACCEPTED and answer[2] == WANTED and rank not in sent:
                sent.add(rank)
                chunk, image = struct.unpack_from("<I", answer, 4)[0], images[rank]
                for at in range(0, len(image), chunk):
                    self.endpoint.post_send(
                        IMAGE_CHANNEL, [rank], image[at : at + chunk], lane=rank
                    )
            return answer[1] == ACCEPTED and answer[2] != WANTED

        offers = {}
        for rank, image in enumerate(images):
            hmac = bytes(32) if hmacs is None else hmacs[rank]
            digest = hashlib.sha256(image).digest()
            offers[rank] = (
                struct.pack("<BBHI", 1, OFFER, 0, len(image))
                + deployment_of(images)
                + digest
                + hmac
            )
        return self.tell(offers, judge)

    def order(self, kind: int, images: Sequence[bytes]) -> dict[int, bytes]:
        """COMMIT or RUN to all."""
        message = bytes([1, kind, 0, 0]) + deployment_of(images)
        wanted = {COMMIT: COMMITTED, SESSION_RUN: SESSION_RUNNING}[kind]
        messages = dict.fromkeys(self._ranks, message)
        return self.tell(messages, lambda _, answer: answer[1] in (wanted, REFUSED))


def deployment_of(images: Sequence[bytes]) -> bytes:
    digests = b"".join(hashlib.sha256(image).digest() for image in images)
    return hashlib.sha256(digests).digest()[:16]


def deploy(
    end: socket.socket, images: Sequence[bytes], forward_seconds: float = FORWARD_SECONDS
) -> dict[int, bytes]:
    """Adopts, offers, commits, runs; returns the last answers to the offers.

    forward_seconds: for so long devices may forward before they compute; emulated ones are slow.
    """
    session = secrets.token_bytes(16)
    adopt(end, len(images), session)
    host = Host(end, len(images), session)
    held = host.offer(images)
    assert all(answer[1] == ACCEPTED for answer in held.values()), held
    assert all(answer[1] == COMMITTED for answer in host.order(COMMIT, images).values())
    assert all(answer[1] == SESSION_RUNNING for answer in host.order(SESSION_RUN, images).values())
    time.sleep(forward_seconds)
    return held


def with_mark(image: bytes, mark: bytes) -> bytes:
    """The image with another mark in its only slice."""
    (one,) = parse_image(image)
    return build_image([replace(one, mark=mark)])
