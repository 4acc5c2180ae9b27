# SPDX-License-Identifier: Apache-2.0
"""Write docs/gallery.md: the seeded networks of models/, and how each is divided over four devices.

    python -m docs.make_gallery

Every figure comes from the ``plan.json`` that ``tflsplit rewrite -n 4 --manual split=auto`` writes,
or from the network itself; the same bytes every time.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from docs.gallery_search import searched_text
from models.mobilenet_v2 import mobilenet_v2
from models.tiny import NETWORKS
from tflsplit.ir import Graph
from tflsplit.memory.arena import predict_arena
from tflsplit.ops.rule import graph_macs
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.split.devices import constant_bytes
from tflsplit.tflite import write_model

PAGE = Path(__file__).with_name("gallery.md")
DEVICES = 4
Json = dict[str, Any]

GALLERY: dict[str, Callable[[], Graph]] = {
    **NETWORKS,
    "mobilenet_v2_0.35_96": lambda: mobilenet_v2(0.35, 96, 10),
    "mobilenet_v2_1.0_224": lambda: mobilenet_v2(1.0, 224, 1000),
}
"""Every network of the page, in its order."""
_BEGIN, _END = "<!-- begin searched -->", "<!-- end searched -->"
_SEARCHED = f"""\
What a search makes of them (`tflsplit plan -n N --objective …`), Teensy 4.1 in a ring of UARTs at
6 Mbaud or SPI at 30 MHz, beside one device alone. A search uses as many of the devices as do best.
*Arena*: bytes, of the fullest device; *ms*: one inference, simulated frame by frame.
`python -m docs.make_gallery --search` makes these tables again; of the public networks they have
those that are in the folder `TFLSPLIT_MODELS`.

{_BEGIN}

{{}}

{_END}
"""
_SUMMARIES = {
    "mobilenet_v2_0.35_96": "MobileNetV2 of width 0.35 for 96x96 images and 10 classes.",
    "mobilenet_v2_1.0_224": "MobileNetV2 of width 1.0 for 224x224 images and 1000 classes.",
}

_INTRODUCTION = f"""\
# Gallery

The seeded networks of [models/](../models/README.md), and how the simple policy of
`tflsplit rewrite -n {DEVICES} --manual split=auto` divides each: rows while maps are large,
channels afterwards. It divides every layer that can be divided, which shows what can be done and is
not always what is best: `tflsplit plan` searches for that, and leaves some of these small networks
on one device, because their wires would take longer than their kernels.

The *arena* is TFLM's, head and tail, on a 32-bit Cortex-M with reference kernels
([how it is known](arena.md)); on four devices, arena and weights are those of the device that has
most. *Moved* is the payload between devices for one inference. All sizes are bytes; layers are
numbered in execution order, as `tflsplit inspect` numbers them.

Made by `python -m docs.make_gallery`; a test compares this page with what that command makes.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m docs.make_gallery", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--search", action="store_true", help="the tables of searches, too: minutes"
    )
    chosen = parser.parse_args(arguments)
    searched = searched_text(GALLERY, _say) if chosen.search else kept_search(PAGE)
    entries = {name: entry(network()) for name, network in GALLERY.items()}
    overview = [OVERVIEW, *(overview_row(name, *made) for name, made in entries.items())]
    sections = [section(name, *made) for name, made in entries.items()]
    between = _SEARCHED.format(searched)
    PAGE.write_text("\n".join([_INTRODUCTION, *overview, "", between, *sections]), encoding="utf-8")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def kept_search(page: Path) -> str:
    """What the page has of searches, which take minutes."""
    _, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    return rest.partition(_END)[0].strip()


def entry(graph: Graph) -> tuple[Graph, Json]:
    """A network and the ``plan.json`` of its split."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.tflite")
        model.write_bytes(write_model(graph))
        return graph, rewrite(model, Path(folder, "split"), Wishes(DEVICES))


OVERVIEW = """\
| | operators | MACs | weights | on one: arena | on four: arena | weights | moved |
|---|--:|--:|--:|--:|--:|--:|--:|"""


def overview_row(name: str, graph: Graph, plan: Json) -> str:
    """The network's row of the table at the top."""
    devices = plan["devices"]
    return _row(
        f"[{name}](#{name.replace('.', '')})",
        len(graph.nodes),
        graph_macs(graph),
        constant_bytes(graph),
        predict_arena(graph).total_bytes,
        max(device["arena_bytes"] for device in devices),
        max(device["weights_bytes"] for device in devices),
        sum(device["sent_bytes"] for device in devices),
    )


def section(name: str, graph: Graph, plan: Json) -> str:
    """The network's own part of the page: what it is, its layers, its devices."""
    summary = _SUMMARIES.get(name) or (GALLERY[name].__doc__ or "").splitlines()[0]
    shapes = [" and ".join("x".join(map(str, value.shape)) for value in values)
              for values in (graph.inputs, graph.outputs)]  # fmt: skip
    return "\n".join(
        [
            f"## {name}\n",
            f"{summary} {shapes[0]} → {shapes[1]}.\n",
            "| split by | layers | operators |\n|---|---|---|",
            *_layers(plan["layers"]),
            "\n| rank | arena | weights | sent | received | MACs |",
            "|--:|--:|--:|--:|--:|--:|",
            *map(_device, plan["devices"]),
            "",
        ]
    )


def _layers(layers: Sequence[Json]) -> Iterable[str]:
    """One row for each way in which layers are split, in the order in which the ways appear."""
    ways: dict[str, list[int]] = {}
    for number, layer in enumerate(layers):
        ways.setdefault(layer["way"], []).append(number)
    for way, numbers in ways.items():
        counts = Counter(layers[number]["op"] for number in numbers)
        operators = ", ".join(f"{n} {op}" if n > 1 else op for op, n in counts.items())
        yield _row(way, _spans(numbers), operators)


def _spans(numbers: Sequence[int]) -> str:
    """Ascending numbers, neighbours joined: ``0–4, 7, 9–10``."""
    runs = itertools.groupby(enumerate(numbers), lambda item: item[1] - item[0])
    spans = ([number for _, number in run] for _, run in runs)
    return ", ".join(f"{s[0]}" if len(s) == 1 else f"{s[0]}–{s[-1]}" for s in spans)


def _device(device: Json) -> str:
    keys = ("rank", "arena_bytes", "weights_bytes", "sent_bytes", "received_bytes", "macs")
    return _row(*(device[key] for key in keys))


def _row(*cells: str | int) -> str:
    texts = (f"{cell:,}" if isinstance(cell, int) else cell for cell in cells)
    return f"| {' | '.join(texts)} |"


if __name__ == "__main__":
    sys.exit(main())
