# SPDX-License-Identifier: Apache-2.0
"""One operating-system process per device, with a socket between every two that talk.

    parent ==control pipe== rank 0 ---socket--- rank 1 ==control pipe== parent
                                 \\--socket--- rank 2 ==...

A box travels as ``(channel, length)`` and its bytes; each device has one reader thread per
neighbour, so that posting never waits for the other side's program to get there.
"""

from __future__ import annotations

import itertools
import multiprocessing
import socket
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from tflsplit.devices import DeviceGraph
from tflsplit.errors import LinkError, TflsplitError
from tflsplit.runtime.device import Device
from tflsplit.runtime.engines import Array, engine
from tflsplit.runtime.local import scatter
from tflsplit.runtime.steps import compile_graph
from tflsplit.tflite import read_model, write_model

_HEADER = struct.Struct("<IQ")
_SILENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Report:
    """What one device did in one inference."""

    outputs: list[Array]
    sent_bytes: int
    received_bytes: int


class SocketTransport:
    """One rank's sockets to the others."""

    def __init__(self, rank: int, peers: dict[int, socket.socket]) -> None:
        """Start reading from every peer."""
        self._rank = rank
        self._peers = peers
        self._arrived: dict[int, bytes] = {}
        self._closed: set[int] = set()
        self._changed = threading.Condition()
        for peer, link in peers.items():
            threading.Thread(target=self._read, args=(peer, link), daemon=True).start()

    def post(self, channel: int, to: int, data: Array) -> None:
        """Start sending an array to a rank; returns once the operating system has taken it."""
        payload = data.tobytes()
        try:
            self._peers[to].sendall(_HEADER.pack(channel, len(payload)) + payload)
        except OSError:
            raise LinkError(f"rank {self._rank}: rank {to} has gone") from None

    def take(self, channel: int, source: int) -> bytes | None:
        """The bytes of a box; waits for it, LinkError if its sender is silent or gone."""
        with self._changed:
            self._changed.wait_for(
                lambda: channel in self._arrived or source in self._closed, _SILENCE_SECONDS
            )
            if channel not in self._arrived:
                state = "has gone" if source in self._closed else "is silent"
                raise LinkError(f"rank {self._rank}: rank {source} {state} (channel {channel})")
            return self._arrived.pop(channel)

    def _read(self, peer: int, link: socket.socket) -> None:
        with link.makefile("rb") as stream:
            while len(header := stream.read(_HEADER.size)) == _HEADER.size:
                channel, size = _HEADER.unpack(header)
                payload = stream.read(size)
                if len(payload) < size:
                    break
                with self._changed:
                    self._arrived[channel] = payload
                    self._changed.notify_all()
        with self._changed:
            self._closed.add(peer)
            self._changed.notify_all()


class ProcessCluster:
    """Runs a set of device graphs, one process each; a context manager."""

    def __init__(self, devices: Sequence[DeviceGraph], engine_name: str) -> None:
        """Start the processes; each compiles its graph before the first inference."""
        self.parts = tuple(devices)
        context = multiprocessing.get_context("spawn")
        links: list[dict[int, socket.socket]] = [{} for _ in devices]
        for a, b in itertools.combinations(range(len(devices)), 2):
            links[a][b], links[b][a] = socket.socketpair()
        self._pipes: list[Connection] = []
        self._processes = []
        for part in devices:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve,
                args=(part.rank, write_model(part.graph), engine_name, theirs, links[part.rank]),
                daemon=True,
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        for peers in links:
            for link in peers.values():
                link.close()

    def infer(self, inputs: dict[str, Array]) -> list[Report]:
        """One inference; what each rank reports.  Raises what a device raised, LinkError if one
        died without a word.
        """
        for part, pipe in zip(self.parts, self._pipes, strict=True):
            pipe.send(scatter(part, inputs))
        answers = [self._answer(rank) for rank in range(len(self.parts))]
        # A rank that failed makes others fail as "gone": its own word comes first.
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        errors.sort(key=lambda error: isinstance(error, LinkError))
        if errors:
            raise errors[0]
        return answers

    def _answer(self, rank: int) -> Any:
        try:
            return self._pipes[rank].recv()
        except (EOFError, OSError):
            return LinkError(f"the process of rank {rank} has died")

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.kill()

    def __enter__(self) -> ProcessCluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _serve(
    rank: int,
    model: bytes,
    engine_name: str,
    control: Connection,
    links: dict[int, socket.socket],
) -> None:
    """What a device's process does until its parent hangs up."""
    transport = SocketTransport(rank, links)
    device: Device | None = None
    while True:
        try:
            inputs = control.recv()
        except (EOFError, OSError):
            return
        try:
            if device is None:
                graph = read_model(model)
                steps = compile_graph(graph, engine(engine_name)[1])
                device = Device(rank, graph, steps, transport)
            for _ in device.infer(inputs):
                pass
            control.send(Report(device.outputs, device.sent_bytes, device.received_bytes))
        except TflsplitError as error:
            control.send(error)
            return
