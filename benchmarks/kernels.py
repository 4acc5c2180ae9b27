# SPDX-License-Identifier: Apache-2.0
"""Instructions of the kernels on emulated boards: by layer, by block, over whole networks.

Every operator of a device graph runs alone on a bare emulated core, on seeded data, and its
result is compared bit for bit with the reference semantics, or with TFLM.  QEMU counts instructions
exactly and alike every time (``-icount``); they are no cycles.

    python -m benchmarks.kernels [MODEL.tflite …] [-n 1 8] [--core cortex-m7 …]
        [--kernels ours portable cmsis_nn tinyengine] [--objective latency] [--json]

Contenders: our kernels (``ours``), our portable C++, CMSIS-NN as TFLM calls it, and TinyEngine's
integer kernels, where their sources are (``benchmarks.cmsis_nn``, ``benchmarks.tinyengine``); each
runs the same layers.

Without a model: MobileNetV2 1.0 at 224x224 (seeded weights; instructions do not depend on them).
For operators that TFLM brings (SOFTMAX, QUANTIZE, …) kernels of ours with its bits stand
(``benchmarks.stock_operators``); what has none, and SEND and RECV, are named and left out.  The
device of a network is the one with most instructions.  Of one device, instructions are divided by
the multiply-accumulates of the model as it is, dead channels included; of more, or if convolutions
are left out, by those that are counted.  Needs the Arm compiler and qemu-system-arm.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.contenders import CORES, KERNELS, Contender, here
from models.mobilenet_v2 import mobilenet_v2
from tflsplit.cluster import Family, default_cluster
from tflsplit.errors import UserError
from tflsplit.ir import Graph, Node
from tflsplit.ops import graph_macs
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.plan.cost.work import work_of
from tflsplit.planner.best import best_plan
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import read_model

PRODUCTS = (Family.CONV, Family.POINTWISE, Family.DEPTHWISE, Family.FULLY_CONNECTED)
"""Families whose work is multiply-accumulates."""


@dataclass(frozen=True)
class Layer:
    """One operator of a device."""

    model: str
    core: str
    kernels: str
    world_size: int
    rank: int
    operator: str
    name: str
    x: tuple[int, ...]
    y: tuple[int, ...]
    macs: int
    instructions: int
    scratch_bytes: int
    constants_bytes: int
    same_bits: bool

    @property
    def instructions_per_mac(self) -> float:
        """Of an operator without such, per value of its result."""
        return self.instructions / max(self.macs or math.prod(self.y), 1)


@dataclass(frozen=True)
class Network:
    """The busiest device of a network.

    macs: that it computes; whole_macs: of the unsplit model.  left_out: operators that are not
    counted.
    """

    model: str
    core: str
    kernels: str
    world_size: int
    rank: int
    instructions: int
    macs: int
    whole_macs: int
    instructions_per_mac: float
    left_out: dict[str, int]
    same_bits: bool


def measure(
    graphs: Sequence[Graph], model: str, core: str, kernels: str, contender: Contender
) -> Iterator[Layer]:
    """All operators of all devices that are counted."""
    for rank, graph in enumerate(graphs):
        for node in graph.nodes:
            found = contender.measure(node)
            if found is None:
                continue
            instructions, scratch, same = found
            shapes = node.input(0).shape, node.output.shape
            constants = sum(value.size_bytes for value in node.operands if value.is_constant)
            yield Layer(
                model, core, kernels, len(graphs), rank, node.op, node.name, *shapes,
                _macs(node), instructions, scratch, constants, same,
            )  # fmt: skip


def _macs(node: Node) -> int:
    return int(sum(work.amount for work in work_of(node) if work.family in PRODUCTS))


def network(layers: Sequence[Layer], graphs: Sequence[Graph], whole: Graph) -> Network:
    """The busiest device."""
    by_rank = [[layer for layer in layers if layer.rank == rank] for rank in range(len(graphs))]
    totals = [sum(layer.instructions for layer in found) for found in by_rank]
    rank = max(range(len(graphs)), key=totals.__getitem__)
    counted = {layer.name for layer in by_rank[rank]}
    left_out: dict[str, int] = {}
    is_whole = len(graphs) == 1
    for node in graphs[rank].nodes:
        if node.name not in counted:
            left_out[node.op] = left_out.get(node.op, 0) + 1
            is_whole &= not _macs(node)
    macs, whole_macs = sum(layer.macs for layer in by_rank[rank]), graph_macs(whole)
    first, same = layers[0], all(layer.same_bits for layer in layers)
    return Network(
        first.model, first.core, first.kernels, len(graphs), rank, totals[rank], macs, whole_macs,
        totals[rank] / max(whole_macs if is_whole else macs, 1), left_out, same,
    )  # fmt: skip


def device_graphs(
    whole: Graph, world_size: int, objective: str, stream: bool | None = None
) -> list[Graph]:
    """Of the planner's plan, as ``tflsplit rewrite`` makes them."""
    cluster = replace(default_cluster(world_size), stream=stream)
    split = split_model(whole, lambda graph: best_plan(graph, cluster, objective)[1].plan)
    return [device.graph for device in split.devices]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if bits differ, 2 if something is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("-n", "--devices", nargs="+", type=int, default=[1])
    parser.add_argument("--core", nargs="+", choices=CORES, default=["cortex-m7"])
    parser.add_argument("--kernels", nargs="+", choices=KERNELS, help="(all that are here)")
    parser.add_argument("--objective", default="latency", help="of the plans (latency)")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    try:
        if not chosen.kernels:
            chosen.kernels = [each for each in KERNELS if here(each)]
        layers, networks = everything(chosen)
    except (UserError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if chosen.json:
        print(json.dumps(document(layers, networks), indent=1))
    else:
        print("\n".join(tables(layers, networks)))
    return 0 if all(found.same_bits for found in networks) else 1


def everything(chosen: argparse.Namespace) -> tuple[list[Layer], list[Network]]:
    """All models, numbers of devices, cores and kernels."""
    layers, networks = list[Layer](), list[Network]()
    with tempfile.TemporaryDirectory() as folder:
        for name, whole in models_of(chosen.models):
            for world_size in chosen.devices:
                graphs = device_graphs(whole, world_size, chosen.objective)
                for core in chosen.core:
                    for kernels in chosen.kernels:
                        board = Contender(core, kernels, Path(folder))
                        found = list(measure(graphs, name, core, kernels, board))
                        layers += found
                        networks.append(network(found, graphs, whole))
                        print(f"{name}, N = {world_size}, {core}, {kernels}", file=sys.stderr)
    return layers, networks


def models_of(paths: Sequence[Path]) -> Iterator[tuple[str, Graph]]:
    """Names and graphs, ready to be split."""
    if not paths:
        yield "mobilenet_v2_1.0_224", fold_constants(mobilenet_v2())
    for path in paths:
        yield path.stem, fold_constants(read_model(path.read_bytes()))


def document(layers: Sequence[Layer], networks: Sequence[Network]) -> dict[str, object]:
    """For programs."""
    rows = [
        {**asdict(layer), "instructions_per_mac": layer.instructions_per_mac} for layer in layers
    ]
    return {"networks": [asdict(found) for found in networks], "layers": rows}


def tables(layers: Sequence[Layer], networks: Sequence[Network]) -> Iterator[str]:
    """For people."""
    yield "| model | N | core | kernels | M instructions | M MACs | per MAC | not counted | bits |"
    yield "|---|--:|---|---|--:|--:|--:|---|---|"
    for n in networks:
        left = ", ".join(f"{count} {op}" for op, count in n.left_out.items())
        yield (
            f"| {n.model} | {n.world_size} | {n.core} | {n.kernels} | {n.instructions / 1e6:.1f} "
            f"| {n.macs / 1e6:.1f} | {n.instructions_per_mac:.2f} | {left} "
            f"| {'same' if n.same_bits else 'DIFFERENT'} |"
        )
    yield ""
    yield "| operator | x | y | core | kernels | per MAC | scratch | constants |"
    yield "|---|---|---|---|---|--:|--:|--:|"
    seen = set[object]()
    for layer in layers:
        key = layer.operator, layer.x, layer.y, layer.core, layer.kernels
        if key not in seen:
            seen.add(key)
            yield (
                f"| {layer.operator.removeprefix('TFLSPLIT_')} | {shape(layer.x)} "
                f"| {shape(layer.y)} | {layer.core} | {layer.kernels} "
                f"| {layer.instructions_per_mac:.2f} | {layer.scratch_bytes:,} "
                f"| {layer.constants_bytes:,} |"
            )


def shape(extents: Sequence[int]) -> str:
    """As people write it."""
    return "x".join(map(str, extents))


if __name__ == "__main__":
    sys.exit(main())
