# SPDX-License-Identifier: Apache-2.0
"""Blank boards in a ring whose power can fail at any byte, and a service on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.survive_points import Passed, Recording
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.emulate.blank import Port, blank_boards, blank_boards_of, blank_cluster
from tflsplit.emulate.cluster import Cluster, Device
from tflsplit.emulate.generic_build import build_generic_boards
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.emulate.native_build import build_generic
from tflsplit.emulate.wiring import Port as End
from tflsplit.firmware import FirmwareOptions, write_firmware
from tflsplit.passes.prepare import prepare
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.runtime.engines import Array, engine
from tflsplit.serving import Event, Served, ServeOptions, Service, serve
from tflsplit.split.devices import tensor_labels
from tflsplit.verify import Case, make_cases

_CASES = 6


@dataclass(frozen=True)
class Questions:
    """A model, with inputs and what the unsplit model makes of them."""

    bundle: Bundle
    cases: tuple[tuple[Case, list[Array]], ...]

    @property
    def world_size(self) -> int:
        """So many devices share it."""
        return len(self.bundle.devices)


def folder_of(model: Path, world_size: int, build: Path, board: str) -> Path:
    """A plan by rows for boards of a kind: every rank has its part of every layer."""
    folder = build / f"{model.stem}-{world_size}-{board}"
    if not (folder / "plan.json").is_file():
        rewrite(model, folder, Wishes(world_size, "rows"))
        write_firmware(folder, FirmwareOptions(boards=(board,), tflm_dir=None))
    return folder


def questions(folder: Path) -> Questions:
    """Of an output folder."""
    bundle = read_bundle(folder)
    whole = prepare(bundle.model)
    labels = tensor_labels(whole)
    oracle = engine(None)[1](bundle.model)
    return Questions(bundle, tuple(
        (case, oracle.run([case.inputs[labels[value]] for value in whole.inputs]))
        for case in make_cases(whole, _CASES, seed=0)
    ))  # fmt: skip


@dataclass
class Desk:
    """Some boards; events: with the time at which each came."""

    cluster: Cluster
    url: str
    events: list[tuple[float, Event]] = field(default_factory=list)
    number: int = 0
    timer: threading.Timer | None = None

    def serve(self, folder: Path, options: ServeOptions, ports: Sequence[str] = ()) -> Service:
        """A service on them, behind these ports or the first board's."""
        return serve(folder, ports or self.url, options, on_event=self._on_event)

    def infer(
        self, service: Service, asked: Questions, timeout_seconds: float = 60.0
    ) -> tuple[Served, bool]:
        """One inference, and whether it has the unsplit model's bits."""
        case, expected = asked.cases[self.number % len(asked.cases)]
        self.number += 1
        served = service.infer(case.inputs, timeout_seconds)
        return served, all(map(np.array_equal, served.outputs, expected))

    def plugs_of(self, rank: int) -> list[End]:
        """Its ports, the one to the host too."""
        ports = (port for port in self.cluster.plugs if port.rank == rank)
        return sorted(ports, key=lambda port: port.link)

    def peer_of(self, end: End) -> End:
        """The other end of a port's cable."""
        return next(
            other
            for wire in self.cluster.wires
            for one, other in ((wire.a, wire.b), (wire.b, wire.a))
            if one == end
        )

    @property
    def peers(self) -> dict[End, End]:
        """The other end of each cable."""
        return {own: self.peer_of(own) for own in self.cluster.plugs}

    def kill_after(self, end: End, sent_bytes: int, rank: int, more_seconds: float = 0.0) -> None:
        """A rank's power fails when so much more has left by a port, its own or another's.

        more_seconds: so late then.
        """

        def alarm() -> None:
            if not more_seconds:
                self.cluster.kill(rank)
                return
            self.timer = threading.Timer(more_seconds, self.cluster.kill, [rank])
            self.timer.start()

        self.cluster.proxy.when_sent(self.cluster.plugs[end], sent_bytes, alarm)

    def calm(self) -> None:
        """Nobody is killed any more; who was is dead when this returns."""
        self.cluster.proxy.forget_alarms()
        if self.timer is not None:
            self.timer.join()
            self.timer = None

    def record(self, what: Callable[[], object]) -> dict[End, list[Passed]]:
        """What each port sends while something is done."""
        by_plug = {id(plug): end for end, plug in self.cluster.plugs.items()}
        recording = Recording(lambda plug: by_plug.get(id(plug)))
        self.cluster.proxy.listen(recording)
        try:
            what()
        finally:
            self.cluster.proxy.listen(None)
        return recording.frames()

    def is_dead(self, rank: int) -> bool:
        """Whether its power has failed."""
        return self.cluster.exit_status(rank) is not None

    def said(self, kind: str) -> list[str]:
        """What was told of a kind of event; it is forgotten."""
        found = [event.text for _, event in self.events if event.kind == kind]
        self.events[:] = [(at, event) for at, event in self.events if event.kind != kind]
        return found

    def _on_event(self, event: Event) -> None:
        self.events.append((time.monotonic(), event))


def blank_devices(board: str, count: int, folder: Path, **more: int) -> list[Device]:
    """So many blank boards of a kind, those of this computer with stores in a folder.

    board: HOST_BOARD or an emulated one, which PlatformIO builds.  more: see ``blank_boards``.
    """
    if board == HOST_BOARD:
        return blank_boards(build_generic(), count, folder, **more)
    program = build_generic_boards([board])[board]
    return blank_boards_of([(board, program)] * count, folder)


@contextmanager
def blank_ring(devices: Sequence[Device]) -> Iterator[tuple[Cluster, str]]:
    """They run, wired as a ring, with the name of the port to the first of them."""
    with (
        blank_cluster(devices, "ring", pluggable=True) as cluster,
        Port(cluster.host_sockets[0]) as port,
    ):
        yield cluster, port.url


@contextmanager
def desk(folder: Path, count: int, board: str = HOST_BOARD) -> Iterator[Desk]:
    """So many boards."""
    with blank_ring(blank_devices(board, count, folder)) as (cluster, url):
        yield Desk(cluster, url)
