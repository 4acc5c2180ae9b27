# SPDX-License-Identifier: Apache-2.0
"""Devices in a thread of the test: ``CoreDevice`` on the C++ links, wired port to port in memory.

A position is where a device is wired in; usually the rank of the firmware that it runs.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.core_build import build_core
from tflsplit.bundle import Bundle
from tflsplit.emulate import HOST, FaultModel, Port
from tflsplit.emulate.core_device import CoreDevice
from tflsplit.emulate.core_process import CoreSetup, make_device
from tflsplit.emulate.faults import FaultStream
from tflsplit.emulate.session import wires_of
from tflsplit.emulate.wiring import HOST_LINK
from tflsplit.firmware.slots import slots_of
from tflsplit.firmware.wiring import HOST_PORT, wire_links
from tflsplit.host import Coordinator, FirmwareSetup, SocketStream
from tflsplit.host.figures import check_traffic
from tflsplit.host.firmware_json import default_setup
from tflsplit.runtime.engines import Array, engine
from tflsplit.verify import Case
from tflsplit.wire.timers import Timing

TIMING = Timing(peer_timeout_us=1_000_000)
_READ_BYTES = 4096


def now_us() -> int:
    return time.monotonic_ns() // 1000


def quick_setup(bundle: Bundle, **changes: object) -> FirmwareSetup:
    """The default wiring, with a peer that counts as silent after a second."""
    return replace(default_setup(bundle.document), timing=TIMING, **changes)  # type: ignore[arg-type]


def check_all(
    host: Coordinator, bundle: Bundle, cases: Sequence[Case], expected: Sequence[list[Array]]
) -> None:
    """Every case gives what is expected, over as many bytes as the plan says."""
    for case, want in zip(cases, expected, strict=True):
        inference = host.infer(case.inputs, 20)
        assert all(np.array_equal(a, b) for a, b in zip(inference.outputs, want, strict=True))
        check_traffic(bundle.document, inference.reports)


def core_setups(bundle: Bundle, setup: FirmwareSetup, library: Path) -> list[CoreSetup]:
    """What the device of each rank runs, if nothing is wrong."""
    name, _ = engine(None)
    wired = wire_links(setup.topology, setup.world_size, setup.gateways)
    slots = slots_of(bundle.devices)
    return [
        CoreSetup(part, setup, wired[rank], slots[rank], library, name, {})
        for rank, part in enumerate(bundle.devices)
    ]


def _host_end(port: Port) -> Port:
    """This process's end of the wire from a device's host link: named by the device."""
    return Port(HOST.rank, port.rank)


class SoftCluster:
    """Devices that run until the context ends; ``host`` is the stream to the gateway.

    hosts: the streams to all gateways, by rank.

    changes: by position, what runs there instead (None: nothing does).
    host_at: the position that the host's wire really leads to.
    """

    def __init__(
        self,
        bundle: Bundle,
        setup: FirmwareSetup | None = None,
        changes: Mapping[int, CoreSetup | None] | None = None,
        faults: FaultModel | None = None,
        host_at: int | None = None,
    ) -> None:
        self.setup = setup or quick_setup(bundle)
        self.setups = core_setups(bundle, self.setup, build_core() / "libsplit_core.so")
        running: list[CoreSetup | None] = [*self.setups]
        for position, change in (changes or {}).items():
            running[position] = change
        self._running = running
        self.devices = [None if one is None else make_device(one, now_us) for one in running]
        self.silent: set[int] = set()
        self._on_turn: Callable[[], None] = lambda: None
        self._peers: dict[Port, Port] = {}
        for wire in wires_of(self.setup):
            if HOST not in (wire.a, wire.b):
                self._peers[wire.a], self._peers[wire.b] = wire.b, wire.a
        at = {rank: rank for rank in self.setup.gateways}
        if host_at is not None:
            at = {self.setup.gateway: host_at}
        self._sockets: dict[Port, socket.socket] = {}
        self.hosts: dict[int, SocketStream] = {}
        for rank, position in at.items():
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            port = Port(position, HOST_LINK)
            self._sockets[port] = theirs
            self._peers[port], self._peers[_host_end(port)] = _host_end(port), port
            self.hosts[rank] = SocketStream(ours, f"the test's socket {rank}")
        self.host = self.hosts[self.setup.gateway]
        model = faults or FaultModel()
        self._streams = {port: FaultStream(model, i) for i, port in enumerate(self._all_ports())}
        self._held: dict[Port, bytearray] = {port: bytearray() for port in self._streams}
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="soft-cluster", daemon=True)

    def __enter__(self) -> SoftCluster:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopping = True
        self._thread.join()
        for stream in self.hosts.values():
            stream.close()
        for end in self._sockets.values():
            end.close()

    def reset(self, position: int) -> None:
        """Start the device there anew, as its reset button would."""
        with self._lock:
            self._reset(position)

    def when(self, condition: Callable[[Sequence[CoreDevice | None]], bool],
             action: Callable[[], None]) -> None:  # fmt: skip
        """Do something, once, between two turns, as soon as a condition holds."""

        def look() -> None:
            if condition(self.devices):
                self._on_turn = lambda: None
                action()

        self._on_turn = look

    def reset_now(self, position: int) -> None:
        """``reset`` from within ``when``."""
        self._reset(position)

    def injected(self) -> int:
        """Faults so far on all wires."""
        return sum(stream.counts.events for stream in self._streams.values())

    def _reset(self, position: int) -> None:
        setup = self._running[position]
        assert setup is not None
        self.devices[position] = make_device(setup, now_us)

    def _all_ports(self) -> list[Port]:
        """Every end at which bytes arrive."""
        return sorted(self._peers)

    def _run(self) -> None:
        while not self._stopping:
            with self._lock:
                moved = self._turn()
                self._on_turn()
            if not moved:
                time.sleep(0.0005)

    def _turn(self) -> bool:
        moved = False
        for port in self._sockets:
            moved |= self._from_host(port)
        for position, device in enumerate(self.devices):
            if device is None or position in self.silent:
                continue
            device.turn()
            for index, link in enumerate(self._setup_at(position).links):
                moved |= self._give(device, index, self._port(position, link.port))
        for port, held in self._held.items():
            moved |= self._deliver(port, held)
        return moved

    def _setup_at(self, position: int) -> CoreSetup:
        setup = self._running[position]
        assert setup is not None
        return setup

    def _port(self, position: int, port: int) -> Port:
        return Port(position, HOST_LINK if port == HOST_PORT else port)

    def _to(self, port: Port) -> Port | None:
        """Where the wire from a port leads."""
        return self._peers.get(port)

    def _from_host(self, port: Port) -> bool:
        try:
            data = self._sockets[port].recv(_READ_BYTES)
        except OSError:
            return False
        self._pass(data, port)
        return bool(data)

    def _give(self, device: CoreDevice, link: int, port: Port) -> bool:
        data = device.node.drain(link)
        to = self._to(port)
        if data and to is not None:
            self._pass(data, to)
        return bool(data)

    def _pass(self, data: bytes, to: Port) -> None:
        if to not in self._streams:
            self._streams[to] = FaultStream(FaultModel(), 0)
            self._held[to] = bytearray()
        for piece in self._streams[to].feed(data):
            self._held[to] += piece.data

    def _deliver(self, port: Port, held: bytearray) -> bool:
        if not held:
            return False
        if port.rank == HOST.rank:
            try:
                count = self._sockets[Port(port.link, HOST_LINK)].send(held)
            except BlockingIOError:
                return False
            except OSError:  # the host has hung up; it may do so at any time
                count = len(held)
        else:
            count = self._feed(port, bytes(held))
        del held[:count]
        return count > 0

    def _feed(self, port: Port, data: bytes) -> int:
        device = self.devices[port.rank]
        if device is None or port.rank in self.silent:
            return len(data)
        for index, link in enumerate(self._setup_at(port.rank).links):
            if self._port(port.rank, link.port) == port:
                return device.node.feed(index, data)
        return len(data)
