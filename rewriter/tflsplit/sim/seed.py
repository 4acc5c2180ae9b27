# SPDX-License-Identifier: Apache-2.0
"""The seed system's scheme (``tflsplit.baseline``) on the same devices, by the same simulator.

    PC        receive what is up ─ post what goes down ─────────────────── receive … ─ result
                      ▲                     │                                  ▲
                      up                   down                                up
                      │                     ▼                                  │
    device r  post what others need ── receive its input ── compute ── post what others need

for each layer in turn: its bytes go down when all that is needed of the one before it is up.  The
PC is the centre of a star of the cluster's links, rank 0 here, the devices are 1 to N.  It computes
in no time and has buffers without limit.  Links of one kind share what such stars share
(``default_medium``): of UARTs nothing, of Ethernet the PC's port, of SPI everything.

Frames, credits and acknowledgements are those of tflsplit's link layer, and kernels cost what the
device's own cost: the scheme is compared, not the seed system's code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tflsplit.baseline import SeedStep, seed_schedule
from tflsplit.cluster import Cluster, Cycles, Device, Family, LinkSpec, Topology
from tflsplit.cluster.defaults import default_medium
from tflsplit.cluster.links import LINK_DEFAULTS, LinkKind
from tflsplit.errors import ClusterError
from tflsplit.ir import Graph
from tflsplit.plan.cost.compute import total_us, work_us
from tflsplit.plan.cost.work import Work, piece_work
from tflsplit.sim.network import NetworkOptions
from tflsplit.sim.program import Compute, Post, Program, Receive, Step
from tflsplit.sim.result import SimResult
from tflsplit.sim.run import run_programs
from tflsplit.wire.frames import MAX_NODES

_PC = Device(
    "PC", "", 1 << 40, 1 << 40, 1 << 40, 10**9, Cycles(0, 0, 0, 0, 0, 0), active_mw=0, idle_mw=0
)
_INSIDE_PC = LinkSpec(bit_rate=10**15)
_ETHERNET_BYTES = 66
"""8 preamble + 14 header + 4 FCS + 12 gap (IEEE 802.3), 20 IPv4 + 8 UDP."""


@dataclass(frozen=True)
class SeedRun:
    """A simulation of the scheme.

    result: rank 0 is the PC, whose power does not count; its wire to the host is no wire.
    """

    result: SimResult

    @property
    def latency_us(self) -> float:
        """From the image at the PC to the result at the PC."""
        return self.result.latency_us

    @property
    def compute_us(self) -> float:
        """Of the device that computes longest."""
        return max(device.compute_us for device in self.result.devices[1:])

    def document(self) -> dict[str, Any]:
        """For JSON."""
        wires = self.result.between_devices()
        return {
            "latency_us": self.latency_us,
            "compute_us": self.compute_us,
            "throughput_per_s": self.result.throughput_per_s,
            "payload_bytes": wires.payload_bytes,
            "wire_bytes": wires.wire_bytes,
            "frames": wires.frames,
            "resent_frames": wires.resent_frames,
            "energy_mj": self.result.energy_mj,
        }


def simulate_seed(
    graph: Graph, cluster: Cluster, error_rate: float = 0.0, seed: int = 0, inputs: int = 1
) -> SeedRun:
    """Run the scheme for ``graph`` on the devices of ``cluster``, each wired to a PC.

    error_rate, seed, inputs: as in ``tflsplit.sim.simulate``; the PC takes one input at a time.
    Raises ModelError for a model that the scheme does not know, ClusterError for too many devices.
    """
    if cluster.world_size >= MAX_NODES:
        raise ClusterError(f"with the PC, a star has at most {MAX_NODES - 1} devices")
    star = replace(
        cluster,
        devices=(_PC, *cluster.devices),
        topology=Topology.STAR,
        link=_as_it_has(cluster.link),
        medium=default_medium(Topology.STAR, cluster.link),
        host_link=_INSIDE_PC,
        input_rank=0,
        output_rank=0,
        wires=(),
    )
    programs = seed_programs(graph, cluster.devices)
    return SeedRun(
        run_programs(programs, star, inputs, network=NetworkOptions(error_rate, seed, computer=0))
    )


def _as_it_has(link: LinkSpec) -> LinkSpec:
    """Its devices speak IP: of Ethernet, 28 bytes more for each frame, and our own header not."""
    if link != LINK_DEFAULTS[LinkKind.ETHERNET]:
        return link
    return replace(link, frame_overhead_bytes=_ETHERNET_BYTES)


def seed_programs(graph: Graph, devices: Sequence[Device]) -> list[Program]:
    """What the PC (first) and the devices do; ModelError as ``seed_schedule``."""
    schedule = seed_schedule(graph, len(devices))
    result = tuple(value.size_bytes for value in graph.outputs)
    pc = Program(0, (), tuple(_pc_steps(schedule)), result)
    return [
        pc,
        *(
            Program(rank + 1, (), tuple(_device_steps(schedule, rank, device)), ())
            for rank, device in enumerate(devices)
        ),
    ]


def _up_channel(index: int) -> int:
    return 2 * index + 1


def _down_channel(index: int) -> int:
    return 2 * index


def _name(step: SeedStep) -> str:
    return step.node.name if step.node is not None else "result"


def _pc_steps(schedule: Sequence[SeedStep]) -> Iterator[Step]:
    for index, step in enumerate(schedule):
        up = tuple(
            (_up_channel(index), rank + 1, size) for rank, size in enumerate(step.up_bytes) if size
        )
        down = tuple((1 << rank + 1, size) for rank, size in enumerate(step.down_bytes) if size)
        if up:
            yield Receive(_name(step), 0.0, up, frozenset())
        if down:
            yield Post(_name(step), _down_channel(index), down)


def _device_steps(schedule: Sequence[SeedStep], rank: int, device: Device) -> Iterator[Step]:
    for index, step in enumerate(schedule):
        posted: frozenset[int] = frozenset()
        if step.up_bytes[rank]:
            posted = frozenset((_up_channel(index),))
            yield Post(_name(step), _up_channel(index), ((1, step.up_bytes[rank]),))
        if size := step.down_bytes[rank]:
            copy_us = work_us(device, Work(Family.COPY, size))
            yield Receive(_name(step), copy_us, ((_down_channel(index), 0, size),), posted)
        if step.made and step.node is not None:
            work = piece_work(step.node, step.macs[rank], step.made[rank])
            yield Compute(_name(step), total_us(device, work))
