# SPDX-License-Identifier: Apache-2.0
"""Starts the devices of a cluster on this computer, wires them and ends them again.

    rank 0            rank 1            rank 2
    link 3 - host     |                 |
    link 1 ---------- link 0            |
                      link 1 ---------- link 0
    link 0 ---------------------------- link 1        (a ring: the last wire closes it)

Every wire is a pair of connected sockets that exists before the devices start: bytes that an
emulated UART sends before its peer is connected would vanish.  A wire with faults is two pairs
with a proxy between them.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tflsplit.emulate import machines
from tflsplit.emulate.console import Console
from tflsplit.emulate.ending import drain, ended
from tflsplit.emulate.faults import FaultCounts, FaultModel
from tflsplit.emulate.proxy import FaultProxy
from tflsplit.emulate.segment import Segment
from tflsplit.emulate.wiring import HOST, Port, Wire, check_wires
from tflsplit.errors import ClusterError, LinkError

_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Device:
    """One device: a program and the board it was built for.

    Attributes:
        program: ELF file.
        board: ``"host"`` or one of ``machines.EMULATED_BOARDS``.
        arguments: start-up arguments beside ``rank`` and ``world_size``.
    """

    program: Path
    board: str
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceExit:
    """How a device ended: its exit status (negative: a signal) and everything it printed."""

    rank: int
    status: int
    console: tuple[str, ...]


class Cluster:
    """Running devices; a context manager that starts them and always ends them.

    Args:
        devices: one per rank.
        wires: see ``wiring.ring`` and its neighbours; ends at ``HOST`` become ``host_sockets``.
        faults: a model for all wires, or for some of them.
        seed: of the faults; wire k draws from a seed of its own.
        count_instructions: let every emulated clock follow its number of instructions.
        on_line: called with (rank, line) for every line that a device prints, from a thread.
        pluggable: cables can be cut and exchanged, devices restarted, while all run
            (``interventions``).
        segment: an Ethernet that all devices share, beside the wires.

    Raises:
        ClusterError: wrong wiring, unknown board, missing program or emulator.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        wires: Sequence[Wire],
        *,
        faults: FaultModel | Mapping[Wire, FaultModel] | None = None,
        seed: int = 0,
        count_instructions: bool = False,
        on_line: Callable[[int, str], None] | None = None,
        pluggable: bool = False,
        segment: Segment | None = None,
    ) -> None:
        check_wires(tuple(wires), len(devices))
        for rank, device in enumerate(devices):
            if not device.program.is_file():
                raise ClusterError(f"rank {rank}: there is no program {device.program}; build it")
        self._devices = tuple(devices)
        self._wires = tuple(wires)
        if isinstance(faults, FaultModel):
            faults = dict.fromkeys(self._wires, faults)
        self._faults = dict(faults or {})
        self._pluggable = pluggable
        if pluggable:
            self._faults = dict.fromkeys(self._wires, FaultModel()) | self._faults
        self._seed = seed
        self._count_instructions = count_instructions
        self._on_line = on_line
        self.segment = segment
        self.proxy = FaultProxy()
        self.plugs: dict[Port, socket.socket] = {}
        """Of a wire that goes through the proxy: the proxy's ends of what leads to the ports."""
        self._ends: dict[Port, socket.socket] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._consoles: list[Console] = []
        self._controls: list[socket.socket | None] = []
        self._stack = ExitStack()
        self.host_sockets: list[socket.socket] = []
        """This process's ends, in the order of the wires that lead to ``HOST``; blocking."""

    def __enter__(self) -> Cluster:
        with ExitStack() as stack:
            stack.callback(self._close_sockets)
            stack.callback(self._end_processes)
            self._lay_wires()
            stack.enter_context(self.proxy)
            if self.segment is not None:
                stack.enter_context(self.segment)
            for rank in range(len(self._devices)):
                self._start(rank)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def console(self, rank: int) -> Console:
        """What the device of this rank prints."""
        return self._consoles[rank]

    def fault_counts(self) -> dict[Wire, tuple[FaultCounts, FaultCounts]]:
        """Returns the faults so far on every wire that has any: from a to b, from b to a."""
        harmed = [wire for wire in self._wires if wire in self._faults]
        return dict(zip(harmed, self.proxy.counts, strict=True))

    def exit_status(self, rank: int) -> int | None:
        """Returns how the device of this rank has ended; ``None`` while it runs."""
        return self._processes[rank].poll()

    def wait(self, timeout_seconds: float) -> list[DeviceExit]:
        """Waits until every device has ended by itself; returns their ends by rank.

        Raises:
            LinkError: some have not; names them with the last line that they printed.
        """
        deadline = time.monotonic() + timeout_seconds
        late = [
            rank
            for rank, process in enumerate(self._processes)
            if not ended(process, max(0.0, deadline - time.monotonic()))
        ]
        if late:
            raise LinkError(
                f"after {timeout_seconds:g} s still running: "
                + "; ".join(f"rank {rank}, {self._last_words(rank)}" for rank in late)
            )
        return [self._exit_of(rank) for rank in range(len(self._devices))]

    def kill(self, rank: int) -> None:
        """Ends one device at once, as if its supply had failed; its wires fall silent."""
        self._processes[rank].kill()
        self._processes[rank].wait()

    @property
    def wires(self) -> tuple[Wire, ...]:
        """In the order of the proxy's if all go through it."""
        return self._wires

    def control(self, rank: int) -> socket.socket | None:
        """The control socket of an emulated device; None: it is a process without one."""
        return self._controls[rank]

    def board(self, rank: int) -> str:
        """Which board a device is."""
        return self._devices[rank].board

    def signal(self, rank: int, number: int) -> None:
        """Sends a signal to the process of one device."""
        self._processes[rank].send_signal(number)

    def restart(self, rank: int, device: Device | None = None) -> None:
        """Starts one device of a pluggable cluster anew, or another in its place.

        What it has not read is lost, as in the receiver of a chip that is off.
        """
        self.kill(rank)
        for end in (end for port, end in self._ends.items() if port.rank == rank):
            drain(end)
        devices = list(self._devices)
        devices[rank] = device or devices[rank]
        self._devices = tuple(devices)
        self._start(rank)

    def reset(self, rank: int) -> None:
        """Presses the reset button of one emulated device.

        Raises:
            ClusterError: the device is a host process, which has no such button.
        """
        control = self._controls[rank]
        if control is None:
            raise ClusterError(f"rank {rank} runs on this computer and cannot be reset; kill it")
        for request in ("qmp_capabilities", "system_reset"):
            control.sendall(json.dumps({"execute": request}).encode())

    def _lay_wires(self) -> None:
        for index, wire in enumerate(self._wires):
            boards = {self._devices[p.rank].board for p in (wire.a, wire.b) if p != HOST}
            near, far = machines.socket_pair(boards)
            if wire in self._faults:
                inner = far
                other, far = machines.socket_pair(boards)
                self.proxy.join(inner, other, self._faults[wire], self._seed * 1000 + index)
                self.plugs |= {wire.a: inner, wire.b: other}
            for port, end in ((wire.a, near), (wire.b, far)):
                if port == HOST:
                    self.host_sockets.append(end)
                else:
                    self._ends[port] = end

    def _start(self, rank: int) -> None:
        device = self._devices[rank]
        links = {port.link: end for port, end in self._ends.items() if port.rank == rank}
        emulated = device.board != machines.HOST_BOARD
        ours, theirs = socket.socketpair() if emulated else (None, None)
        self._controls[rank : rank + 1] = [ours]
        cable = None if self.segment is None else self.segment.theirs[rank]
        arguments = {"rank": str(rank), "world_size": str(len(self._devices))}
        try:
            words = machines.command(
                device.board,
                device.program,
                {link: end.fileno() for link, end in links.items()},
                {**arguments, **device.arguments},
                control=theirs.fileno() if theirs else None,
                count_instructions=self._count_instructions,
                segment=None if cable is None else cable.fileno(),
            )
            ends = (*links.values(), theirs, cable)
            passed = [end.fileno() for end in ends if end is not None]
            self._launch(rank, words, passed)
        finally:
            # The device has its own copies now; with ours open it would never see a peer leave.
            kept = () if self._pluggable else links.values()
            for end in (*kept, theirs):
                if end is not None:
                    end.close()

    def _launch(self, rank: int, words: list[str], descriptors: list[int]) -> None:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=descriptors,
        )
        self._processes[rank : rank + 1] = [process]
        on_line, output = self._on_line, process.stdout
        assert output is not None
        report = None if on_line is None else (lambda line: on_line(rank, line))
        self._consoles[rank : rank + 1] = [Console(output, report)]

    def _exit_of(self, rank: int) -> DeviceExit:
        self._consoles[rank].join(_GRACE_SECONDS)
        return DeviceExit(rank, self._processes[rank].wait(), self._consoles[rank].lines)

    def _last_words(self, rank: int) -> str:
        lines = self._consoles[rank].lines
        return f"last line {lines[-1]!r}" if lines else "which printed nothing"

    def _end_processes(self) -> None:
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process, console in zip(self._processes, self._consoles, strict=True):
            if not ended(process, max(0.0, deadline - time.monotonic())):
                process.kill()
                process.wait()
            console.join(_GRACE_SECONDS)

    def _close_sockets(self) -> None:
        for end in (*self._ends.values(), *self.host_sockets, *self._controls):
            if end is not None:
                end.close()
