# SPDX-License-Identifier: Apache-2.0
"""A cluster of native firmware on a desk whose cables, boards and host can be meddled with."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.emulate.cluster import Cluster, Device
from tflsplit.emulate.faults import FaultModel
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import wires_of
from tflsplit.emulate.wiring import Port
from tflsplit.errors import LinkError
from tflsplit.firmware import FirmwareOptions
from tflsplit.host import Coordinator, FirmwareSetup, SocketStream
from tflsplit.passes.prepare import prepare
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.runtime.engines import Array, engine
from tflsplit.split.devices import tensor_labels
from tflsplit.verify import Case, make_cases
from tflsplit.verify.inputs import EDGES

CONNECT_SECONDS = 20.0
INFER_SECONDS = 20.0
HANG_SECONDS = CONNECT_SECONDS + INFER_SECONDS + 10.0
PEER_TIMEOUT_MS = 1000
_CASES = 4


@dataclass
class Outcome:
    """How one inference ended.

    error: what the host said; "" if it gave outputs.
    """

    seconds: float
    is_right: bool = False
    error: str = ""

    @property
    def is_wrong(self) -> bool:
        """Outputs that are not the unsplit model's."""
        return not self.is_right and not self.error


@dataclass(frozen=True)
class Kit:
    """What is needed to put clusters together: firmware, another plan's, inputs, right outputs."""

    bundle: Bundle
    setup: FirmwareSetup
    devices: tuple[Device, ...]
    strangers: tuple[Device, ...]
    cases: tuple[Case, ...]
    expected: tuple[list[Array], ...]


def make_kit(model: Path, world_size: int, build: Path) -> Kit:
    """Split the model in two ways, build both, and compute the right outputs."""
    options = FirmwareOptions(timeout_ms=5_000, peer_timeout_ms=PEER_TIMEOUT_MS, tflm_dir=None)
    bundles = []
    for way in ("rows", "out_channels"):
        folder = build / f"{model.stem}-{world_size}-{way}"
        if not (folder / "plan.json").is_file():
            rewrite(model, folder, Wishes(world_size, way))
        bundles.append(read_bundle(folder))
    built, other = (build_native(bundle, options) for bundle in bundles)
    bundle = bundles[0]
    cases = tuple(islice(make_cases(prepare(bundle.model), _CASES, 0), len(EDGES), None))
    whole, labels = prepare(bundle.model), tensor_labels(prepare(bundle.model))
    oracle = engine("tflm")[1](bundle.model)
    expected = tuple(
        oracle.run([case.inputs[labels[value]] for value in whole.inputs]) for case in cases
    )
    return Kit(bundle, built.setup, tuple(built.devices), tuple(other.devices), cases, expected)


class HostStream(SocketStream):
    """The host's end of its cable, which outlives the host's program; that can be ended."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected, "the gateway's socket")
        self.turns_left = -1

    def receive(self, timeout_seconds: float) -> bytes:
        """As ever, until it is time to go."""
        if self.turns_left == 0:
            raise LinkError("the host's program has ended")
        self.turns_left -= self.turns_left > 0
        return super().receive(timeout_seconds)

    def close(self) -> None:
        """Leave the cable where it is."""


@dataclass
class Desk:
    """A running cluster."""

    kit: Kit
    cluster: Cluster
    host: Coordinator
    stream: HostStream
    number: int = 0
    sent_bytes: dict[Port, int] = field(default_factory=dict)
    """By each port in an inference without faults."""

    @property
    def world_size(self) -> int:
        """Devices."""
        return len(self.kit.devices)

    def infer(self) -> Outcome:
        """One inference."""
        index = self.number % len(self.kit.cases)
        self.number += 1
        begin = time.monotonic()
        try:
            outputs = self.host.infer(self.kit.cases[index].inputs, INFER_SECONDS).outputs
        except LinkError as error:
            return Outcome(time.monotonic() - begin, error=str(error))
        right = all(map(np.array_equal, outputs, self.kit.expected[index]))
        return Outcome(time.monotonic() - begin, right)

    def begin_host_anew(self) -> None:
        """Another program takes the host's place at its cable."""
        self.stream = HostStream(self.cluster.host_sockets[0])
        self.host = Coordinator(self.stream, self.kit.bundle, self.kit.setup)

    def measure(self) -> None:
        """Count what each port sends in an inference without faults."""
        before = self._sent()
        self.infer()
        self.sent_bytes = {port: sent - before[port] for port, sent in self._sent().items()}

    def _sent(self) -> dict[Port, int]:
        sent: dict[Port, int] = {}
        for wire, (forward, backward) in self.cluster.fault_counts().items():
            sent |= {wire.a: forward.bytes, wire.b: backward.bytes}
        return sent


@contextmanager
def desk(kit: Kit, faults: FaultModel | None = None, seed: int = 0) -> Iterator[Desk]:
    """A cluster that has come up; its cables can be meddled with."""
    cluster = Cluster(kit.devices, wires_of(kit.setup), faults=faults, seed=seed, pluggable=True)
    with cluster:
        stream = HostStream(cluster.host_sockets[0])
        made = Desk(kit, cluster, Coordinator(stream, kit.bundle, kit.setup), stream)
        made.host.connect(CONNECT_SECONDS)
        yield made
