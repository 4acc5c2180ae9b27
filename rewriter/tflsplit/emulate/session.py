# SPDX-License-Identifier: Apache-2.0
"""Whole clusters on this computer, wired, started and connected to their host."""

from __future__ import annotations

import pickle
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tflsplit.bundle import Bundle
from tflsplit.check.schedule import multicast_hold_us
from tflsplit.emulate.cluster import Cluster, Device
from tflsplit.emulate.core_library import core_library
from tflsplit.emulate.core_process import CoreSetup
from tflsplit.emulate.faults import FaultModel
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.emulate.segment import Segment
from tflsplit.emulate.wiring import HOST, HOST_LINK, Port, Wire
from tflsplit.errors import ClusterError
from tflsplit.firmware.slots import slots_of
from tflsplit.firmware.wiring import HOST_PORT, wire_links
from tflsplit.host import Coordinator, FirmwareSetup, SocketStream
from tflsplit.host.firmware_json import default_setup
from tflsplit.runtime.engines import engine
from tflsplit.runtime.local import dense_results
from tflsplit.wire.timers import Timing
from tflsplit.wire.topology import Topology

# Processes share few cores: a kernel of a neighbour may hold all of them for a while.
_CORE_ONLY_TIMING = Timing(peer_timeout_us=20_000_000)
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Session:
    """A running cluster and its host."""

    cluster: Cluster
    coordinator: Coordinator
    wires: tuple[Wire, ...]


def wires_of(setup: FirmwareSetup) -> tuple[Wire, ...]:
    """The wires that the firmware's link tables expect; the host's are the last.

    Raises ClusterError for a topology or number of devices that the emulator has no links for.
    """
    if setup.topology is Topology.BUS:  # all others are one Ethernet
        return tuple(Wire(Port(rank, HOST_LINK), HOST) for rank in setup.gateways)
    links = wire_links(setup.topology, setup.world_size, setup.gateways)
    ends: dict[tuple[int, int], int] = {
        (rank, link.table.peer_rank): link.port
        for rank, wired in enumerate(links)
        for link in wired
        if link.port != HOST_PORT
    }
    between = [
        Wire(Port(a, port), Port(b, ends[b, a])) for (a, b), port in sorted(ends.items()) if a < b
    ]
    return (*between, *(Wire(Port(rank, HOST_LINK), HOST) for rank in setup.gateways))


@contextmanager
def core_only(
    bundle: Bundle,
    engine_name: str,
    faults: FaultModel | None = None,
    seed: int = 0,
    topology: Topology = Topology.RING,
    direct: bool = False,
    pluggable: bool = False,
) -> Iterator[Session]:
    """N processes: the firmware's C++ links between them, kernels on this computer's engine.

    faults: on every wire, the host's too.  direct: every device is wired to the host.
    Raises ClusterError if the links cannot be built.
    """
    setup = replace(default_setup(bundle.document), topology=topology, timing=_CORE_ONLY_TIMING)
    setup = replace(setup, direct=direct)
    if topology is Topology.BUS:
        raise ClusterError(
            "the links alone have no Ethernet: run the whole firmware with --native, or wire them "
            "with --topology ring"
        )
    hold_us = multicast_hold_us(bundle.devices, setup.timeout_ms * 1000)
    setup = replace(setup, multicast_hold_us=hold_us)
    wired = wire_links(setup.topology, setup.world_size, setup.gateways)
    dense = dense_results(bundle.devices, engine(engine_name)[1])
    slots = slots_of(bundle.devices)
    library = core_library()
    setups = [
        CoreSetup(part, setup, wired[rank], slots[rank], library, engine_name, dense[rank])
        for rank, part in enumerate(bundle.devices)
    ]
    with tempfile.TemporaryDirectory(prefix="tflsplit-core-") as folder:
        file = Path(folder, "setup.pickle")
        file.write_bytes(pickle.dumps(setups))
        device = Device(_program(Path(folder, "device.py"), file), HOST_BOARD)
        devices = [device] * setup.world_size
        with _session(bundle, setup, devices, faults, seed, False, pluggable) as session:
            yield session


@contextmanager
def whole_firmware(
    bundle: Bundle,
    setup: FirmwareSetup,
    devices: Sequence[Device],
    faults: FaultModel | None = None,
    seed: int = 0,
    count_instructions: bool = True,
    pluggable: bool = False,
) -> Iterator[Session]:
    """Firmware with TFLM inside, on emulated boards or as processes of this computer.

    pluggable: cables and boards can be meddled with (``interventions``).
    """
    with _session(bundle, setup, devices, faults, seed, count_instructions, pluggable) as session:
        yield session


@contextmanager
def _session(
    bundle: Bundle,
    setup: FirmwareSetup,
    devices: Sequence[Device],
    faults: FaultModel | None,
    seed: int,
    count_instructions: bool,
    pluggable: bool = False,
) -> Iterator[Session]:
    wires = wires_of(setup)
    segment = None
    if setup.topology is Topology.BUS and setup.world_size > 1:
        segment = Segment([device.board != HOST_BOARD for device in devices], faults, seed)
    cluster = Cluster(
        devices,
        wires,
        faults=faults,
        seed=seed,
        count_instructions=count_instructions,
        pluggable=pluggable,
        segment=segment,
    )
    with cluster:
        streams = {
            rank: SocketStream(end, f"the socket of rank {rank}")
            for rank, end in zip(setup.gateways, cluster.host_sockets, strict=True)
        }
        with Coordinator(streams, bundle, setup) as coordinator:
            yield Session(cluster, coordinator, wires)


def _program(path: Path, setup_file: Path) -> Path:
    """A program of this Python that runs one device."""
    path.write_text(
        f"#!{sys.executable}\n"
        f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(_PACKAGE_PARENT)!r})\n"
        f"from tflsplit.emulate.core_process import main\nmain(Path({str(setup_file)!r}))\n"
    )
    path.chmod(0o755)
    return path
