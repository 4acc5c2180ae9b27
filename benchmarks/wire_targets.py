# SPDX-License-Identifier: Apache-2.0
"""Time against the wires: ``benchmarks.planner_targets --what wires small``.

The *bound* of N devices is what one device computes, divided by N, and the image at the line rate
of the way that it takes: over the host's link to the gateway and on by its two UARTs or SPI links,
or, with direct input, an Nth of it over each device's own USB.  It knows of no halo, exchange or
frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.planned import Bench, slower_steps
from benchmarks.planner_tables import table
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.planner import Planner
from tflsplit.sim.why import alone_us
from tflsplit.tflite import load


@dataclass(frozen=True)
class Way:
    """A kind of link, and how the image comes.

    target_ms: for eight devices (MobileNetV2 1.0 at 224x224, kernels of 1.05 instructions a MAC).
    """

    link: str
    direct: bool
    target_ms: float
    title: str

    def cluster(self, world_size: int) -> Cluster:
        """Default boards in a ring, or at a switch."""
        return replace(default_cluster(world_size, self.link), direct=self.direct)


WAYS = (
    Way("uart", False, 260, "6 Mbaud UARTs, image through rank 0"),
    Way("uart", True, 180, "6 Mbaud UARTs, image direct"),
    Way("spi", False, 130, "30 MHz SPI, image through rank 0"),
    Way("spi", True, 130, "30 MHz SPI, image direct"),
    Way("ethernet", True, 110, "100 Mbit/s Ethernet, image direct"),
)
TARGET_DEVICES = 8
CONFIRMED = (4, 8)
"""Numbers of devices whose plans are run and compared; the others are only simulated."""

SMALL = {
    "mlperf_vww_mbv1": 1.0,
    "yolo_face_nxp": 1.3,
    "mobilenet_v2_0.35_160_cfu": 1.8,
    "mlperf_resnet8": 2.3,
}
"""Small networks, and how much faster four devices on UARTs were than one before links carried
GRANTs ahead and blocks began early; the target is a quarter more."""
_SMALL_DEVICES = 4
_MORE = 1.25

_RUN = f"Of these, plans for {' and '.join(map(str, CONFIRMED))} devices were run.\n"


@dataclass(frozen=True)
class Time:
    """A plan's simulated time beside its bound, in microseconds; used: devices of the plan."""

    world_size: int
    used: int
    latency_us: float
    bound_us: float


def bound_us(graph: Graph, cluster: Cluster) -> float:
    """See the module."""
    image = sum(value.size_bytes for value in graph.inputs)
    count = cluster.world_size
    host = cluster.host_link
    computing = alone_us(graph, cluster)
    if cluster.direct:
        return computing + image / count * host.byte_us
    ways = min(2, count - 1)
    onward = image * (count - 1) / count / ways * cluster.link.byte_us if ways else 0.0
    return computing + max(image * host.byte_us, onward)


def times(
    bench: Bench, way: Way, counts: Sequence[int], say: Callable[[str], None]
) -> Iterator[Time]:
    """The fastest plans of these numbers of devices."""
    for count in counts:
        say(f"{way.title}, {count} devices")
        cluster = way.cluster(count)
        planned = Planner(bench.graph, cluster).best("latency")
        if count in CONFIRMED:
            bench.figures(planned)
        used = planned.cluster.world_size
        yield Time(count, used, planned.latency_us, bound_us(bench.graph, cluster))


def wires_table(way: Way, found: Sequence[Time]) -> str:
    """Times, bounds, what is met."""
    alone = found[0].latency_us
    rows = [
        [
            _devices(each),
            f"{each.latency_us / 1000:.1f}",
            f"{alone / each.latency_us:.2f}",
            f"{each.bound_us / 1000:.1f}",
            f"{each.latency_us / each.bound_us:.2f}",
            f"{way.target_ms:.0f}" if each.world_size == TARGET_DEVICES else "–",
        ]
        for each in found
    ]
    columns = ["devices", "ms", "times as fast", "bound, ms", "times the bound", "target, ms"]
    lines = [_verdict(way, each) for each in found if each.world_size == TARGET_DEVICES]
    slower = slower_steps([each.latency_us for each in found])
    counts = ", ".join(str(found[at - 1].world_size) for at in slower)
    met = f"**missed** with {counts}" if slower else "met"
    lines.append(f"- never slower with more devices: {met}")
    return table(way.title, columns, rows) + "\n" + "\n".join(lines) + "\n"


def _devices(each: Time) -> str:
    is_whole = each.used == each.world_size
    return str(each.world_size) if is_whole else f"{each.world_size} (uses {each.used})"


def _verdict(way: Way, each: Time) -> str:
    over_ms = each.latency_us / 1000 - way.target_ms
    met = "met" if over_ms <= 0 else f"**missed** by {over_ms:.1f} ms"
    return f"- at most {way.target_ms:.0f} ms with {each.world_size}: {met}"


def small_table(folder: Path, say: Callable[[str], None]) -> str:
    """Four devices on UARTs against one, for small networks that lie in ``folder``.

    Beside it the bound of four, image through rank 0, and four with the image direct.
    """
    rows = []
    through, direct = WAYS[0].cluster(_SMALL_DEVICES), WAYS[1].cluster(_SMALL_DEVICES)
    for name, before in SMALL.items():
        path = folder / f"{name}.tflite"
        if not path.is_file():
            rows.append([name, *["not there"] * 7])
            continue
        say(f"{name}, 1 and {_SMALL_DEVICES} devices on UARTs")
        graph = prepare(load(path))
        one, some, straight = (
            Planner(graph, cluster).best("latency").latency_us
            for cluster in (default_cluster(1), through, direct)
        )
        bound = bound_us(graph, through)
        faster, target = one / some, before * _MORE
        met = "met" if faster >= target else f"**missed** by {target - faster:.2f}"
        times = (f"{us / 1000:.1f}" for us in (one, some, bound, straight))
        rows.append([name, *times, f"{faster:.2f}", f"{target:.2f}", met])
    columns = ["network", "ms, 1 device", f"ms, {_SMALL_DEVICES}", "bound, ms", "image direct, ms",
               "times as fast", "target", ""]  # fmt: skip
    return table("Small networks, image through rank 0 of a ring of UARTs", columns, rows)


def wires_text(bench: Bench, counts: Sequence[int], say: Callable[[str], None]) -> str:
    """A table for each kind of link and way of the image."""
    tables = [wires_table(way, list(times(bench, way, counts, say))) for way in WAYS]
    return "\n".join([_RUN, *tables])
