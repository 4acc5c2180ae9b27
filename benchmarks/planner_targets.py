# SPDX-License-Identifier: Apache-2.0
"""What the planner is to reach, and what it reaches: RAM, bytes on the wires, time.

MobileNetV2 1.0 at 224x224 on Teensy 4.1 in a ring.  Each plan is found with ``--objective ram`` in
the same run as *rows only*, *channels only* and the seed's scheme, is verified bit for bit against
the unsplit model on TFLM, and its arenas are allocated by TFLM's recording allocator; if either
disagrees, the benchmark fails instead of printing a table.

* arena: whole (head and tail), the smallest in which the fullest device can be set up, on the
  32-bit target, for the flavour of TFLM's kernels that needs more;
* bytes on the wires: between devices, summed over links, frames and acknowledgements included,
  without the image and the result; of the seed's scheme all it moves, since the known figures do
  not tell the image apart.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import CommandError, seeded_mobilenet
from benchmarks.planned import (
    BY_HAND,
    Bench,
    Figures,
    NotConfirmedError,
    arena_limit,
    limited,
    slower_steps,
    time_limit,
    unlimited,
    wires_limit,
)
from benchmarks.readme import write_section
from tflsplit.baseline import SeedCost, seed_scheme
from tflsplit.cluster import default_cluster
from tflsplit.errors import ClusterError, UserError
from tflsplit.ir import Graph
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.planner import Planner
from tflsplit.planner.pareto import pareto_front
from tflsplit.sim import SimResult, simulate
from tflsplit.tflite import load

MODEL = "mobilenet_v2_1.0_224_coral_ptq.tflite"
KIB = 1024
WEIGHTS = (None, 1024 * KIB, 512 * KIB)
ARENA_TARGETS = {8: 64 * KIB, 4: 120_000, 2: 220_000, 1: 400_000}
WIRE_TARGETS = {(8, None): 600_000, (8, 1024 * KIB): 1_500_000, (8, 512 * KIB): 5_000_000}
SPEED_TARGETS = {"spi": 5.0, "uart": 3.0}
SPEED_TARGET_DEVICES = 8
_DASH = "–"


@dataclass(frozen=True)
class Case:
    """One row of the tables of RAM and bytes; ``ours`` is a message if nothing fits."""

    world_size: int
    weights_limit_bytes: int | None
    ours: Figures | str
    by_hand: tuple[Figures, ...]
    seed: SeedCost

    @property
    def arena_target(self) -> int | None:
        """What the arena must not exceed; without much flash, of eight devices only."""
        if self.weights_limit_bytes is not None and self.world_size != SPEED_TARGET_DEVICES:
            return None
        return ARENA_TARGETS.get(self.world_size)

    @property
    def wire_target(self) -> int | None:
        """What the bytes on the wires must not exceed."""
        return WIRE_TARGETS.get((self.world_size, self.weights_limit_bytes))

    @property
    def head(self) -> list[str]:
        """What the row is about."""
        return [str(self.world_size), limit_name(self.weights_limit_bytes)]


@dataclass(frozen=True)
class Speed:
    """One number of devices on one kind of link, simulated."""

    world_size: int
    link: str
    arena_bytes: int
    result: SimResult


def limit_name(weights_limit_bytes: int | None) -> str:
    """How a table calls it."""
    if weights_limit_bytes is None:
        return "the board's"
    return f"{weights_limit_bytes // KIB:,} KiB"


def cases(bench: Bench, counts: Sequence[int], say: Callable[[str], None]) -> Iterator[Case]:
    """Every number of devices with every limit on the weights."""
    for world_size in counts:
        seed = seed_scheme(bench.graph, world_size)
        by_hand = tuple(bench.by_hand(way, default_cluster(world_size)) for way in BY_HAND)
        for limit in WEIGHTS:
            say(f"objective ram, {world_size} devices, weights: {limit_name(limit)}")
            ours: Figures | str
            try:
                planner = Planner(bench.graph, limited(world_size, limit))
                ours = bench.figures(planner.best("ram"))
            except ClusterError as error:
                ours = str(error)
            yield Case(world_size, limit, ours, by_hand, seed)


def verdict(value: int, target: int | None) -> str:
    """``met``, or by how much it is missed."""
    if target is None:
        return _DASH
    return "met" if value <= target else f"**missed** by {value - target:,}"


def arena_table(found: Sequence[Case]) -> str:
    """Arena of the fullest device, beside the other schemes."""
    rows = []
    for case in found:
        beside = [*(f"{each.arena_bytes:,}" for each in case.by_hand), f"{case.seed.peak_bytes:,}"]
        if isinstance(case.ours, str):
            rows.append([*case.head, _number(case.arena_target), "nothing fits", *beside, _DASH])
            continue
        arena = case.ours.arena_bytes
        rows.append(
            [*case.head, _number(case.arena_target), f"{arena:,}", *beside,
             verdict(arena, case.arena_target)]
        )  # fmt: skip
    seed = "the seed's scheme, activations alone"
    return table(
        "Whole arena of the fullest device, bytes",
        ["devices", "weights each", "target", "objective ram", *BY_HAND, seed, "target is"],
        rows,
    )


def wire_table(found: Sequence[Case]) -> str:
    """Bytes on the wires, beside the other schemes."""
    rows = []
    for case in found:
        if case.world_size == 1:
            continue
        beside = [f"{each.planned.wire_bytes:,}" for each in case.by_hand]
        beside.append(f"{case.seed.traffic_bytes:,}")
        if isinstance(case.ours, str):
            rows.append(
                [*case.head, _number(case.wire_target), "nothing fits", _DASH, *beside, _DASH]
            )
            continue
        ours = case.ours.planned
        rows.append(
            [*case.head, _number(case.wire_target), f"{ours.wire_bytes:,}",
             f"{ours.prediction.payload_bytes:,}", *beside,
             verdict(ours.wire_bytes, case.wire_target)]
        )  # fmt: skip
    return table(
        "Bytes on the wires beyond the image",
        ["devices", "weights each", "target", "objective ram", "of it payload", *BY_HAND,
         "the seed's scheme", "target is"],
        rows,
    )  # fmt: skip


def device_table(found: Sequence[Case]) -> str:
    """Head and tail of every device, its weights, and what limits the plan."""
    lines = ["**Every device, and what limits the plan** (arena = head + tail, bytes)", ""]
    for case in found:
        title = f"- {case.world_size} devices, weights: {case.head[1]}"
        if isinstance(case.ours, str):
            lines.append(f"{title}: {case.ours}")
            continue
        arenas = " · ".join(f"{a.head_bytes:,} + {a.tail_bytes:,}" for a in case.ours.arenas)
        lines.append(f"{title} (at most {case.ours.weights_bytes:,} bytes): {arenas}")
        lines.append(f"  - RAM: {arena_limit(case.ours)}")
        moving = wires_limit(case.ours.planned)
        if moving:
            lines.append(f"  - wires: {moving}")
    return "\n".join(lines) + "\n"


def pareto_table(bench: Bench, world_size: int) -> str:
    """The front between RAM, bytes and time on the default board."""
    rows = []
    for planned in pareto_front(Planner(bench.graph, default_cluster(world_size))):
        figures = bench.figures(planned)
        rows.append(
            [f"{figures.arena_bytes:,}", f"{planned.wire_bytes:,}",
             f"{planned.prediction.latency_us / 1000:.1f}", f"{figures.weights_bytes:,}"]
        )  # fmt: skip
    return table(
        f"Pareto front of {world_size} devices: no plan found is better in all of the first three",
        ["arena", "bytes on the wires", "predicted ms, host to host", "weights"],
        rows,
    )


def speeds(bench: Bench, link: str, most: int, say: Callable[[str], None]) -> list[Speed]:
    """The first: one device with unlimited RAM; then the fastest plans of 1 to ``most`` devices."""
    clusters = [unlimited(link), *(default_cluster(n, link) for n in range(1, most + 1))]
    found = []
    for cluster in clusters:
        say(f"objective latency, {cluster.world_size} devices on {link}")
        planned = Planner(bench.graph, cluster).best("latency")
        figures = bench.figures(planned)
        result = simulate(planned.devices, cluster)
        found.append(Speed(cluster.world_size, link, figures.arena_bytes, result))
    return found


def speed_table(found: Sequence[Speed]) -> str:
    """Times and speed-ups, and whether the targets are met."""
    alone, *rest = found
    link = alone.link
    rows = [
        [
            "1, unlimited RAM" if speed is alone else str(speed.world_size),
            f"{speed.arena_bytes:,}",
            f"{speed.result.latency_us / 1000:.1f}",
            f"{_faster(alone, speed)[0]:.2f}",
            f"{speed.result.graph_us[0] / 1000:.1f}",
            f"{_faster(alone, speed)[1]:.2f}",
            f"{speed.result.between_devices().wire_bytes:,}",
        ]
        for speed in found
    ]
    title = f"Simulated time on a ring of {_LINKS[link]}, frame by frame"
    columns = ["devices", "arena", "ms, host to host", "times as fast", "ms in the graph",
               "times as fast", "bytes on the wires, image included"]  # fmt: skip
    return table(title, columns, rows) + "\n" + "\n".join(_speed_lines(alone, rest)) + "\n"


def _speed_lines(alone: Speed, rest: Sequence[Speed]) -> Iterator[str]:
    target = SPEED_TARGETS[alone.link]
    for speed in rest:
        if speed.world_size == SPEED_TARGET_DEVICES:
            whole, graph = _faster(alone, speed)
            yield (
                f"- {target:g} times as fast with {SPEED_TARGET_DEVICES}: "
                f"{'met' if whole >= target else '**missed**'} from host to host ({whole:.2f}), "
                f"{'met' if graph >= target else '**missed**'} in the graph ({graph:.2f}); "
                f"{time_limit(speed.result)}"
            )
    for what, times in (
        ("host to host", [speed.result.latency_us for speed in rest]),
        ("in the graph", [speed.result.graph_us[0] for speed in rest]),
    ):
        slower = ", ".join(map(str, slower_steps(times)))
        met = f"**missed**: slower with {slower} than with one fewer" if slower else "met"
        yield f"- never slower for one more device, {what}: {met}"


def _faster(alone: Speed, speed: Speed) -> tuple[float, float]:
    """From host to host, and in the graph."""
    return (
        alone.result.latency_us / speed.result.latency_us,
        alone.result.graph_us[0] / speed.result.graph_us[0],
    )


_LINKS = {"uart": "6 Mbaud UARTs", "spi": "30 MHz SPI"}


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table below its title."""
    lines = [f"**{title}**", "", _row(columns), "|" + "---:|" * len(columns), *map(_row, rows)]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: int | None) -> str:
    return _DASH if value is None else f"≤ {value:,}"


def default_model() -> Path:
    """The public MobileNetV2 where it lies, else the seeded one, saying so."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("TFLSPLIT_MODELS", root.parent / "shared" / "models"))
    found = next(iter(sorted(folder.rglob(MODEL))), None)
    if found is None:
        print(
            f"{MODEL} is not there (TFLSPLIT_MODELS names its folder); taking the seeded "
            "MobileNetV2 1.0 224 instead, which has the same layers but other weights",
            file=sys.stderr,
        )
        return seeded_mobilenet(1.0, 224)
    return found


def ram_text(bench: Bench, chosen: argparse.Namespace) -> str:
    """Tables of RAM and bytes."""
    found = list(cases(bench, chosen.n, _say))
    return "\n".join([arena_table(found), wire_table(found), device_table(found)])


def pareto_text(bench: Bench, chosen: argparse.Namespace) -> str:
    """The front of the largest cluster."""
    _say(f"Pareto front, {max(chosen.n)} devices")
    return pareto_table(bench, max(chosen.n))


def speed_text(bench: Bench, chosen: argparse.Namespace) -> str:
    """Tables of simulated time, one for each kind of link."""
    return "\n".join(speed_table(speeds(bench, k, chosen.most, _say)) for k in SPEED_TARGETS)


PARTS: dict[str, Callable[[Bench, argparse.Namespace], str]] = {
    "ram": ram_text,
    "pareto": pareto_text,
    "speed": speed_text,
}


def report(part: str, graph: Graph, model: str, chosen: argparse.Namespace) -> str:
    """One part's tables, below what was confirmed of them."""
    bench = Bench(graph, chosen.inputs)
    text = PARTS[part](bench, chosen)
    return (
        f"`{model}`: all {bench.plans} plans of these tables gave the unsplit model's bits on TFLM "
        f"({chosen.inputs} inputs each, {bench.elements:,} elements compared), and TFLM's "
        f"recording allocator found the predicted arenas in all {bench.graphs} device graphs.\n\n"
        f"{text}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables as Markdown; 1 if a plan is not confirmed, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planner_targets", description=__doc__
    )
    parser.add_argument("model", nargs="?", type=Path, help="a .tflite file (MobileNetV2 1.0 224)")
    parser.add_argument("-n", type=int, nargs="+", default=[8, 4, 2, 1], metavar="DEVICES")
    parser.add_argument("--most", type=int, default=16, metavar="N", help="devices of `speed` (16)")
    parser.add_argument("--what", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--inputs", type=int, default=2, help="to verify each plan with (2)")
    parser.add_argument("--readme", action="store_true", help="write them into README.md, too")
    chosen = parser.parse_args(arguments)
    try:
        model = chosen.model or default_model()
        graph = fold_constants(load(model))
        for part in chosen.what:
            text = report(part, graph, model.stem, chosen)
            print(text)
            if chosen.readme:
                write_section(f"planner_{part}", text)
    except NotConfirmedError as error:
        print(f"NOT CONFIRMED: {error}", file=sys.stderr)
        return 1
    except (UserError, CommandError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
