# SPDX-License-Identifier: Apache-2.0
"""What a simulation found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tflsplit.cluster import Edge
from tflsplit.sim.trace import Trace


@dataclass
class WireCount:
    """One direction of one wire.

    payload_bytes: of DATA, first time; wire_bytes: everything, delimiters included.
    frames: sequenced ones (DATA, GRANT, DATAGRAM), first time; ``frames_sent`` of the firmware.
    data_frames, grant_frames: of these; message_bytes: of both, delimiters included.  The plan
        alone decides them, but for multicasts that leave more than once because a receiver is late.
    resent_frames: of these, sent again; hop_frames: ACK, NAK, POLL, STATUS.
    damaged: frames of any kind that did not arrive.
    busy_us: while bytes were on the wire.
    """

    payload_bytes: int = 0
    wire_bytes: int = 0
    frames: int = 0
    data_frames: int = 0
    grant_frames: int = 0
    message_bytes: int = 0
    resent_frames: int = 0
    hop_frames: int = 0
    damaged: int = 0
    busy_us: float = 0.0


@dataclass(frozen=True)
class Span:
    """What a device did, and when, from the start of the first inference.

    kind: "input", "compute", "exchange" (inside of RECV) or "output".
    kernel_us: of a kernel, what it takes if no poll interrupts it.
    """

    rank: int
    kind: str
    node: str
    start_us: float
    end_us: float
    kernel_us: float = 0.0


@dataclass(frozen=True)
class DeviceTimes:
    """One device, summed over all inferences.

    compute_us: in kernels; poll_us: of it, what polls from the timer took.
    send_us: in RECV while its own wires carried its frames (or those that it forwards); wait_us: in
        RECV otherwise.
    input_us, output_us: taking the input and giving the output.
    energy_mj: over the whole time; None where the device's power is not known.
    """

    rank: int
    compute_us: float
    poll_us: float
    send_us: float
    wait_us: float
    input_us: float
    output_us: float
    energy_mj: float | None


@dataclass(frozen=True)
class SimResult:
    """A simulation.

    latencies_us: by input, from the host's start to its last byte of the output.
    graph_us: by input, from the first device that begins its graph to the last that ends it.
    total_us: from the first start to the last output.
    wires: by (sender, receiver); the host is rank ``world_size``.
    spans: of every device, in time.
    busy: by (sender, receiver), when bytes were on the wire: intervals in order.
    trace: what caused what (``why``).
    teams: so many clusters do the same side by side; all else is of one of them.
    """

    latencies_us: tuple[float, ...]
    graph_us: tuple[float, ...]
    total_us: float
    devices: tuple[DeviceTimes, ...]
    wires: Mapping[Edge, WireCount]
    spans: tuple[Span, ...]
    busy: Mapping[Edge, Sequence[tuple[float, float]]] = field(default_factory=dict)
    trace: Trace = field(default_factory=Trace)
    teams: int = 1

    @property
    def latency_us(self) -> float:
        """Of the first input."""
        return self.latencies_us[0]

    @property
    def throughput_per_s(self) -> float:
        """Inferences a second, of all teams."""
        return self.teams * len(self.latencies_us) * 1e6 / self.total_us

    @property
    def energy_mj(self) -> float | None:
        """Of all devices and inferences; None unless known for each device."""
        known = [device.energy_mj for device in self.devices if device.energy_mj is not None]
        return sum(known) if len(known) == len(self.devices) else None

    def between_devices(self) -> WireCount:
        """The sum over all wires but the host's."""
        total = WireCount()
        for edge, count in self.wires.items():
            if max(edge) < len(self.devices):
                for name, number in vars(count).items():
                    setattr(total, name, getattr(total, name) + number)
        return total

    def document(self) -> dict[str, Any]:
        """Everything but the spans, for JSON."""
        return {
            "latencies_us": list(self.latencies_us),
            "graph_us": list(self.graph_us),
            "total_us": self.total_us,
            "teams": self.teams,
            "throughput_per_s": self.throughput_per_s,
            "energy_mj": self.energy_mj,
            "devices": [vars(device) for device in self.devices],
            "wires": [
                {"from": edge[0], "to": edge[1], **vars(count)}
                for edge, count in sorted(self.wires.items())
            ],
        }
