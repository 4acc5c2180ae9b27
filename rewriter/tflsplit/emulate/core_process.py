# SPDX-License-Identifier: Apache-2.0
"""The process of one ``--core-only`` device: ``CoreDevice`` on sockets.

``emulate.Cluster`` starts it like any other program of this computer, with the same arguments
(``rank=1 link0=fd:5 …``); the program itself is a few lines that ``session.core_only`` writes.
"""

from __future__ import annotations

import os
import pickle
import secrets
import select
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tflsplit.emulate.core_device import CoreDevice
from tflsplit.emulate.core_graph import CoreGraph
from tflsplit.firmware.slots import Slots
from tflsplit.firmware.wiring import HOST_PORT, WiredLink
from tflsplit.host import FirmwareSetup
from tflsplit.interpreters import run_in_this_process
from tflsplit.runtime.engines import engine
from tflsplit.runtime.local import compile_device
from tflsplit.runtime.rounding import DenseScales
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire.handshake import Identity, fingerprint_bytes
from tflsplit.wire.native import NativeNode, load_library

_READ_BYTES = 65_536
_IDLE_SECONDS = 0.01


@dataclass(frozen=True)
class CoreSetup:
    """What one device is, and with what it runs."""

    part: DeviceGraph
    firmware: FirmwareSetup
    links: tuple[WiredLink, ...]
    slots: Slots
    library: Path
    engine_name: str
    dense: Mapping[str, DenseScales]


class _Wire:
    """A socket of one link, and the bytes that find no room on either side of it."""

    def __init__(self, node: NativeNode, link: int, descriptor: int) -> None:
        self._node = node
        self._link = link
        self.socket: socket.socket | None = socket.socket(fileno=descriptor)
        self.socket.setblocking(False)
        self.unsent = b""
        self._unread = b""
        self._moved_bytes = 0

    def move(self) -> bool:
        """Take what there is room for, and give what there is; whether anything moved.

        A closed end stays silent.
        """
        before = self._moved_bytes
        try:
            if self.socket is not None:
                self._give(self.socket)
                self._take(self.socket)
        except BlockingIOError:
            pass
        except OSError:
            self.socket = None
        return self._moved_bytes != before

    def _give(self, end: socket.socket) -> None:
        while data := self.unsent or self._node.drain(self._link):
            self.unsent = data
            try:
                sent = end.send(data)
            except BlockingIOError:
                return
            self.unsent = data[sent:]
            self._moved_bytes += sent

    def _take(self, end: socket.socket) -> None:
        if not self._unread:
            self._unread = end.recv(_READ_BYTES)
            if not self._unread:
                raise ConnectionResetError
        taken = self._node.feed(self._link, self._unread)
        self._unread = self._unread[taken:]
        self._moved_bytes += taken


def main(setup_file: Path) -> None:
    """Serve the host until the process is ended.

    setup_file: pickled ``CoreSetup`` of every rank (this program's own file, of this moment).
    """
    run_in_this_process()  # it is one that may die
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    setups: list[CoreSetup] = pickle.loads(setup_file.read_bytes())
    setup = setups[int(given["rank"])]
    device = make_device(setup, lambda: time.monotonic_ns() // 1000)
    wires = []
    for index, link in enumerate(setup.links):
        port = "link3" if link.port == HOST_PORT else f"link{link.port}"
        wires.append(_Wire(device.node, index, int(given[port].removeprefix("fd:"))))
    print(f"READY rank {setup.part.rank} of {setup.firmware.world_size} on core_only", flush=True)
    while os.getppid() != 1:  # whoever started it is still there
        _turn(device, wires)


def make_device(setup: CoreSetup, clock: Callable[[], int]) -> CoreDevice:
    """A device after its reset."""
    firmware, rank = setup.firmware, setup.part.rank
    identity = Identity(
        rank, firmware.world_size, firmware.world_size + 1, firmware.mtu_bytes,
        fingerprint_bytes(firmware.fingerprint),
    )  # fmt: skip
    tables = [link.table for link in setup.links]
    boot = secrets.randbits(32)
    library = load_library(setup.library)
    slots = setup.slots

    def make_node(on_datagram: Callable[[int, int, bytes], None]) -> NativeNode:
        return NativeNode(
            library, identity, tables, boot, firmware.timing, on_datagram,
            send_slots=slots.send, recv_slots=slots.recv, grant_slots=slots.grant,
        )  # fmt: skip

    def compute(node: NativeNode) -> CoreGraph:
        steps = compile_device(setup.part, engine(setup.engine_name)[1], dense=setup.dense)
        return CoreGraph.of(rank, setup.part.graph, steps, node)

    peers = [table.peer_rank for table in tables]
    return CoreDevice(identity, peers, boot, make_node, compute, clock)


def _turn(device: CoreDevice, wires: list[_Wire]) -> None:
    device.turn()
    moved = [wire.move() for wire in wires]
    if any(moved):
        return
    ends = [wire.socket for wire in wires if wire.socket is not None]
    full = [wire.socket for wire in wires if wire.socket is not None and wire.unsent]
    select.select(ends, full, [], _IDLE_SECONDS)
