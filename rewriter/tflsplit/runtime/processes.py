# SPDX-License-Identifier: Apache-2.0
"""One operating-system process per device, with a socket between every two that talk.

    parent ==control pipe== rank 0 ---socket--- rank 1 ==control pipe== parent
                                 \\--socket--- rank 2 ==...

A box travels as ``(channel, length)`` and its bytes; each device has one reader thread per
neighbour, so that posting never waits for the other side's program to get there.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from tflsplit.errors import LinkError, TflsplitError
from tflsplit.interpreters import run_in_this_process, signal_name
from tflsplit.ops.own.custom_options import SendOptions
from tflsplit.runtime.device import Device
from tflsplit.runtime.engines import Array, engine
from tflsplit.runtime.interrupts import interrupts_held_back
from tflsplit.runtime.local import compile_device, dense_results, given_by_host, scatter
from tflsplit.runtime.rounding import DenseScales
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire

_HEADER = struct.Struct("<IQ")
SILENCE_SECONDS = 60.0
"""How long a device may take between two boxes; far more than any layer does."""


@dataclass(frozen=True)
class Report:
    """What one device did in one inference."""

    outputs: list[Array]
    sent_bytes: int
    received_bytes: int


class SocketTransport:
    """One rank's sockets to the others."""

    def __init__(self, rank: int, peers: dict[int, socket.socket], silence_seconds: float) -> None:
        """Start reading from every peer."""
        self._rank = rank
        self._silence_seconds = silence_seconds
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
                lambda: channel in self._arrived or source in self._closed,
                self._silence_seconds,
            )
            if channel not in self._arrived:
                state = "has gone" if source in self._closed else "is silent"
                raise LinkError(f"rank {self._rank}: rank {source} {state} (channel {channel})")
            return self._arrived.pop(channel)

    def arrive(self, boxes: Iterable[tuple[int, bytes]]) -> None:
        """(channel, bytes) of what the host gives; it is here before anybody asks."""
        with self._changed:
            self._arrived.update(boxes)

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


class _DeadError(LinkError):
    """A process that died or hangs: what its neighbours say of it follows from that."""


def _blame(error: Exception) -> int:
    """Which of several errors to tell first."""
    return 2 if type(error) is LinkError else int(isinstance(error, _DeadError))


@dataclass(frozen=True)
class _Worker:
    """What a process is started with."""

    part: DeviceGraph
    engine_name: str
    dense: dict[str, DenseScales]
    silence_seconds: float


def _connect(devices: Sequence[DeviceGraph]) -> list[dict[int, socket.socket]]:
    """A socket between every two ranks that talk, by rank and peer."""
    pairs = {
        (min(part.rank, to), max(part.rank, to))
        for part in devices
        for node in part.graph.nodes
        if node.op == wire.SEND
        for to in SendOptions.of(node).to
    }
    links: list[dict[int, socket.socket]] = [{} for _ in devices]
    try:
        for a, b in sorted(pairs):
            links[a][b], links[b][a] = socket.socketpair()
    except OSError as error:
        for link in (link for peers in links for link in peers.values()):
            link.close()
        raise LinkError(
            f"{len(devices)} devices need {len(pairs)} sockets, and this computer says: "
            f"{error.strerror}; raise the limit (ulimit -n {4 * len(pairs)}) or leave out "
            "--processes"
        ) from None
    return links


class ProcessCluster:
    """Runs a set of device graphs, one process each; a context manager."""

    def __init__(
        self,
        devices: Sequence[DeviceGraph],
        engine_name: str,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        """Start the processes; each compiles its graph, and the first inference waits for all.

        silence_seconds: how long a device waits for a neighbour's box, and, once one has failed,
            the parent for the others.  Raises LinkError if there are too many sockets.
        """
        self.parts = tuple(devices)
        self._silence_seconds = silence_seconds
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._ready = False
        links = _connect(devices)
        dense = dense_results(devices, engine(engine_name)[1])
        try:
            for part in devices:
                worker = _Worker(part, engine_name, dense[part.rank], silence_seconds)
                self._start(worker, links[part.rank])
        except OSError as error:
            self.close()
            raise LinkError(f"cannot start {len(devices)} processes: {error.strerror}") from None
        except BaseException:  # Ctrl-C: there is no ``with`` yet that would end them
            self.close(0.0)
            raise
        finally:
            for peers in links:
                for link in peers.values():
                    link.close()

    def _start(self, worker: _Worker, links: dict[int, socket.socket]) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(worker, theirs, links), daemon=True)
        with interrupts_held_back():
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def infer(self, inputs: dict[str, Array]) -> list[Report]:
        """One inference; what each rank reports.

        Raises what a device raised, LinkError if one died without a word or stays silent.
        """
        if not self._ready:
            # Not before all are there: on a busy computer some start long after others, which
            # would take that for silence.
            self._reports()
            self._ready = True
        streamed: list[list[tuple[int, bytes]]] = [[] for _ in self.parts]
        for each, array in given_by_host(self.parts, inputs):
            streamed[each.rank].append((each.channel, array.tobytes()))
        for part, pipe in zip(self.parts, self._pipes, strict=True):
            with contextlib.suppress(OSError):  # a rank that is gone is named below
                pipe.send((scatter(part, inputs), streamed[part.rank]))
        return self._reports()

    def _reports(self) -> list[Any]:
        """Every rank's next answer; raises the error of the one that is to blame."""
        answers = self._answers()
        # A rank that failed makes others fail as "gone": its own word comes first.
        errors = [answer for answer in answers.values() if isinstance(answer, Exception)]
        errors.sort(key=_blame)
        if errors:
            raise LinkError(str(errors[0])) if isinstance(errors[0], _DeadError) else errors[0]
        return [answers[rank] for rank in range(len(self.parts))]

    def _answers(self) -> dict[int, Any]:
        """Every rank's report or error; once one has failed, others may not stay silent."""
        answers: dict[int, Any] = {}
        ranks = {pipe: rank for rank, pipe in enumerate(self._pipes)}
        while len(answers) < len(ranks):
            failed = any(isinstance(answer, Exception) for answer in answers.values())
            waiting = [pipe for pipe, rank in ranks.items() if rank not in answers]
            ready = connection.wait(waiting, self._silence_seconds if failed else None)
            for pipe in ready or waiting:
                assert isinstance(pipe, Connection)
                answers[ranks[pipe]] = self._answer(pipe, ranks[pipe], silent=not ready)
        return answers

    def _answer(self, pipe: Connection, rank: int, silent: bool) -> Any:
        if silent:
            return _DeadError(f"the process of rank {rank} does not answer")
        try:
            return pipe.recv()
        except (EOFError, OSError):
            self._processes[rank].join(1.0)
            name = signal_name(self._processes[rank].exitcode)
            return _DeadError(f"the process of rank {rank} has died" + f" of {name}" * bool(name))

    def close(self, patience_seconds: float = 5.0) -> None:
        """End the processes; those that do not end by themselves in time are killed."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(min(patience_seconds, self._silence_seconds))
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
        self.close(0.0 if kind is KeyboardInterrupt else 5.0)


def _serve(worker: _Worker, control: Connection, links: dict[int, socket.socket]) -> None:
    """What a device's process does until its parent hangs up; it may die of its graph."""
    run_in_this_process()
    part = worker.part
    transport = SocketTransport(part.rank, links, worker.silence_seconds)
    try:
        make = engine(worker.engine_name)[1]
        steps = compile_device(part, make, dense=worker.dense)
        device = Device(part.rank, part.graph, steps, transport)
        control.send(None)  # ready
        while True:
            inputs, streamed = control.recv()
            transport.arrive(streamed)
            for _ in device.infer(inputs):
                pass
            control.send(Report(device.outputs, device.sent_bytes, device.received_bytes))
    except (EOFError, OSError):
        return
    except TflsplitError as error:
        with contextlib.suppress(OSError):
            control.send(error)
