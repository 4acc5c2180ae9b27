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

``--what wires small`` hold the fastest plans against the bound of their wires, with the image
through rank 0 and direct, and small networks on four devices against one; ``throughput`` counts
inferences a second of equal teams of devices.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.measure import CommandError, seeded_mobilenet
from benchmarks.planned import BY_HAND, Bench, Figures, NotConfirmedError, limited, unlimited
from benchmarks.planner_tables import (
    SPEED_TARGETS,
    Case,
    Speed,
    arena_table,
    device_table,
    limit_name,
    speed_table,
    table,
    wire_table,
)
from benchmarks.rates import rates_text
from benchmarks.readme import write_section
from benchmarks.wire_targets import small_table, wires_text
from tflsplit.baseline import seed_scheme
from tflsplit.cluster import default_cluster
from tflsplit.errors import ClusterError, UserError
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.planner import Planner
from tflsplit.planner.pareto import pareto_front
from tflsplit.sim import simulate
from tflsplit.tflite import load

MODEL = "mobilenet_v2_1.0_224_coral_ptq.tflite"
WEIGHTS = (None, 1 << 20, 1 << 19)


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


def pareto_table(bench: Bench, world_size: int) -> str:
    """The front between RAM, bytes and time on the default board."""
    rows = []
    for planned in pareto_front(Planner(bench.graph, default_cluster(world_size))):
        figures = bench.figures(planned)
        rows.append(
            [f"{figures.arena_bytes:,}", f"{planned.wire_bytes:,}",
             f"{planned.latency_us / 1000:.1f}", f"{figures.weights_bytes:,}"]
        )  # fmt: skip
    return table(
        f"Pareto front of {world_size} devices: no plan found is better in all of the first three",
        ["arena", "bytes on the wires", "simulated ms, host to host", "weights"],
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
        result = simulate(planned.devices, planned.cluster)
        found.append(Speed(cluster.world_size, link, figures.arena_bytes, result))
    return found


def models_folder() -> Path:
    """Where the public models lie, if anywhere."""
    root = Path(__file__).resolve().parents[1]
    return Path(os.environ.get("TFLSPLIT_MODELS", root.parent / "shared" / "models"))


def default_model() -> Path:
    """The public MobileNetV2 where it lies, else the seeded one, saying so."""
    found = next(iter(sorted(models_folder().rglob(MODEL))), None)
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


def wire_part(bench: Bench, chosen: argparse.Namespace) -> str:
    """Tables of time against the bound of the wires, image through rank 0 and direct."""
    return wires_text(bench, chosen.wires or range(1, chosen.most + 1), _say)


def small_part(bench: Bench, chosen: argparse.Namespace) -> str:
    """Small networks, which lie beside the large one; simulated only."""
    return small_table(models_folder(), _say)


def throughput_part(bench: Bench, chosen: argparse.Namespace) -> str:
    """Tables of inferences a second, one for each kind of link."""
    return rates_text(bench, chosen.n, _say)


PARTS: dict[str, Callable[[Bench, argparse.Namespace], str]] = {
    "ram": ram_text,
    "pareto": pareto_text,
    "speed": speed_text,
    "wires": wire_part,
    "small": small_part,
    "throughput": throughput_part,
}


def report(part: str, graph: Graph, model: str, chosen: argparse.Namespace) -> str:
    """One part's tables, below what was confirmed of them."""
    bench = Bench(graph, chosen.inputs)
    text = PARTS[part](bench, chosen)
    if not bench.plans:
        return f"Simulated only, not run:\n\n{text}"
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
    parser.add_argument(
        "--wires", type=int, nargs="+", metavar="N", help="devices of `wires` (1 to --most)"
    )
    parser.add_argument("--what", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--inputs", type=int, default=2, help="to verify each plan with (2)")
    parser.add_argument("--readme", action="store_true", help="write them into README.md, too")
    chosen = parser.parse_args(arguments)
    try:
        model = chosen.model or default_model()
        graph = prepare(load(model))
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
