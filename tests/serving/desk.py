# SPDX-License-Identifier: Apache-2.0
"""Blank native boards whose power and cables can be meddled with, and a service on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from tests.bundles import bundle_of
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.emulate.blank import Port, blank_boards, blank_cluster
from tflsplit.emulate.cluster import Cluster
from tflsplit.emulate.native_build import build_generic
from tflsplit.firmware import FirmwareOptions, write_firmware
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import Array, engine
from tflsplit.serving import Event, Served, ServeOptions, Service, serve
from tflsplit.split.devices import tensor_labels
from tflsplit.verify import Case, make_cases

PATIENT = ServeOptions(patience_seconds=2.0, look_seconds=0.5, objective="ram")
"""Boards that a loaded machine keeps from answering are not lost at once."""


def folder_of(to: Path, name: str, world_size: int) -> Path:
    """A plan for boards that are this computer's."""
    folder = bundle_of(to, name, world_size)
    write_firmware(folder, FirmwareOptions(boards=("host",)))
    return folder


@cache
def _cases(folder: Path) -> tuple[tuple[Case, list[Array]], ...]:
    """Inputs, and what the unsplit model makes of them."""
    bundle: Bundle = read_bundle(folder)
    whole = prepare(bundle.model)
    labels = tensor_labels(whole)
    oracle = engine(None)[1](bundle.model)
    return tuple(
        (case, oracle.run([case.inputs[labels[value]] for value in whole.inputs]))
        for case in make_cases(whole, 6, seed=0)
    )


@dataclass
class Desk:
    """Some boards."""

    cluster: Cluster
    url: str
    events: list[Event] = field(default_factory=list)
    number: int = 0

    def serve(self, folder: Path, options: ServeOptions = PATIENT) -> Service:
        return serve(folder, self.url, options, on_event=self.events.append)

    def right(self, service: Service, folder: Path, timeout_seconds: float = 60.0) -> Served:
        """One inference, whose outputs must be the unsplit model's."""
        cases = _cases(folder)
        case, expected = cases[self.number % len(cases)]
        self.number += 1
        served = service.infer(case.inputs, timeout_seconds)
        assert all(map(np.array_equal, served.outputs, expected))
        return served

    def kill_in_inference(self, rank: int, after_bytes: int) -> None:
        """Rank's power fails when so much has left by one of its ports."""
        plug = next(
            plug for port, plug in self.cluster.plugs.items()
            if port.rank == rank and port.link < 2
        )  # fmt: skip
        self.cluster.proxy.when_sent(plug, after_bytes, lambda: self.cluster.signal(rank, 9))

    def said(self, kind: str) -> list[str]:
        """And forget it."""
        found = [event.text for event in self.events if event.kind == kind]
        self.events[:] = [event for event in self.events if event.kind != kind]
        return found


@contextmanager
def desk(folder: Path, count: int, **more: int) -> Iterator[Desk]:
    """So many blank boards in a ring."""
    boards = blank_boards(build_generic(), count, folder, **more)
    with (
        blank_cluster(boards, "ring", pluggable=True) as cluster,
        Port(cluster.host_sockets[0]) as port,
    ):
        yield Desk(cluster, port.url)
