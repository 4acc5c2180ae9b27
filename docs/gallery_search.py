# SPDX-License-Identifier: Apache-2.0
"""What a search makes of networks: docs/gallery.md's table beside one device alone.

Times are simulated from the boards' published cycles, so they change with these; no test holds the
page to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tflsplit.cluster import default_cluster
from tflsplit.ir import Graph
from tflsplit.passes.prepare import prepare
from tflsplit.passes.settle import settle
from tflsplit.planner import Planned
from tflsplit.planner.best import best_plan
from tflsplit.tflite import load

SEEDED_COUNTS, PUBLIC_COUNTS = (4,), (2, 4, 8)
LINKS = ("uart", "spi")
OBJECTIVES = ("latency", "ram")
PUBLIC = (
    "mlperf_vww_mbv1",
    "mobilenet_v2_0.35_160_cfu",
    "mlperf_kws_dscnn",
    "mlperf_resnet8",
    "yolo_face_nxp",
)
"""Public networks, where TFLSPLIT_MODELS has them (CONTRIBUTING.md says where they come from)."""

HEAD = """\
| | up to | ring of | objective | uses | arena | ms | one device: arena | ms |
|---|--:|---|---|--:|--:|--:|--:|--:|"""


def public_models() -> dict[str, Path]:
    """The files that are here, by name."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("TFLSPLIT_MODELS", root.parent / "shared" / "models"))
    paths = {name: folder / f"{name}.tflite" for name in PUBLIC}
    return {name: path for name, path in paths.items() if path.is_file()}


def rows(
    networks: Mapping[str, Callable[[], Graph]], counts: Sequence[int], say: Callable[[str], None]
) -> Iterator[str]:
    """One line for each network, number of Teensy 4.1, kind of link and objective."""
    for name, network in networks.items():
        graph = prepare(settle(network()))
        for count in counts:
            for link in LINKS:
                for objective in OBJECTIVES:
                    say(f"{name}: {objective}, {count} on {link}")
                    planner, found = best_plan(graph, default_cluster(count, link), objective)
                    yield _row(name, count, link, objective, found, planner.alone(objective))


def _row(
    name: str,
    count: int,
    link: str,
    objective: str,
    found: Planned,
    alone: tuple[Planned, object] | None,
) -> str:
    cells = [name, str(count), link, objective, str(found.plan.world_size)]
    for planned in (found, *((alone[0],) if alone else ())):
        cells += [f"{planned.arena_bytes:,}", f"{planned.latency_us / 1000:,.1f}"]
    return f"| {' | '.join(cells)} |"


def searched_text(
    seeded: Mapping[str, Callable[[], Graph]], say: Callable[[str], None] = lambda _: None
) -> str:
    """The tables; of public networks, those that are here."""
    parts = ["**Seeded networks, by a search**\n", HEAD, *rows(seeded, SEEDED_COUNTS, say)]
    public = {name: _loader(path) for name, path in public_models().items()}
    if public:
        parts += ["\n**Public networks, by a search**\n", HEAD, *rows(public, PUBLIC_COUNTS, say)]
    return "\n".join(parts)


def _loader(path: Path) -> Callable[[], Graph]:
    return lambda: load(path)
