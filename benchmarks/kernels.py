# SPDX-License-Identifier: Apache-2.0
"""Instructions of the kernels on emulated boards: by layer, by block, over whole networks.

Every compute operator of a device graph runs alone on a bare emulated core, on seeded data, and its
result is compared bit for bit with the reference semantics.  QEMU counts instructions exactly and
alike every time (``-icount``); they are no cycles.

    python -m benchmarks.kernels [MODEL.tflite …] [-n 1 8] [--core cortex-m7 …]
        [--kernels ours portable cmsis_nn] [--objective latency] [--json]

Contenders: our kernels (``ours``), our portable C++, and CMSIS-NN as TFLM calls it, where its
sources are (``benchmarks.cmsis_nn``); each runs the same layers.

Without a model: MobileNetV2 1.0 at 224x224 (seeded weights; instructions do not depend on them).
Operators that TFLM brings (ADD, MEAN, SOFTMAX, …) are not run here; they are named and left out,
with their multiply-accumulates, which are 0.  The device of a network is the one with most
instructions.  Needs the Arm compiler and qemu-system-arm.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.cmsis_nn import CmsisNn
from benchmarks.cmsis_nn import sources as cmsis_nn_sources
from models.mobilenet_v2 import mobilenet_v2
from tests.kernels.cortex_m import COUNTING, build_for, emulate
from tests.kernels.kernel_driver import decode_answer, encode_case, message_of
from tflsplit.cluster import Family, default_cluster
from tflsplit.errors import UserError
from tflsplit.ir import DType, Graph, Node
from tflsplit.ops import graph_macs
from tflsplit.ops.fused import unfused
from tflsplit.ops.packed import unpacked
from tflsplit.ops.semantics import Array, residual_add, run_node
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.plan.cost.work import work_of
from tflsplit.planner import Planner
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import read_model
from tflsplit.wire import custom_ops as wire

CORES = {
    "cortex-m4": "mps2_an386",
    "cortex-m7": "mps2_an500",
    "cortex-m33": "mps2_an505",
    "cortex-m55": "mps3_an547",
}
KERNELS = ("ours", "portable", "cmsis_nn")
PRODUCTS = (Family.CONV, Family.POINTWISE, Family.DEPTHWISE, Family.FULLY_CONNECTED)
"""Families whose work is multiply-accumulates."""


@dataclass(frozen=True)
class Layer:
    """One compute operator of a device."""

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
        """Of a REQUANTIZE, per value."""
        return self.instructions / max(self.macs, 1)


@dataclass(frozen=True)
class Network:
    """The compute operators of the busiest device of a network.

    whole_macs: of the unsplit model.  left_out: operators that are not counted.
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


class EmulatedKernels:
    """The driver on one emulated core; every operator is a run of its own."""

    def __init__(self, core: str, kernels: str, folder: Path) -> None:
        self._board = CORES[core]
        self._program = folder / f"{core}-{kernels}.elf"
        build_for(self._board, self._program, portable=kernels == "portable", counts=True)

    def measure(self, node: Node, arrays: Sequence[Array]) -> tuple[int, int, bool]:
        """Instructions, scratch bytes, and whether all bits are right."""
        y, instructions, scratch = self.run(node, arrays)
        return instructions, scratch, np.array_equal(y, reference(node, arrays))

    def run(self, node: Node, arrays: Sequence[Array]) -> tuple[Array, int, int]:
        """Result, instructions and scratch bytes of an explicit node."""
        case = encode_case(*message_of(node, arrays))
        answer = decode_answer(io.BytesIO(emulate(self._board, self._program, case, *COUNTING)))
        return answer.array(node), answer.instructions, answer.scratch_bytes


def reference(node: Node, arrays: Sequence[Array]) -> Array:
    """What an explicit node means."""
    value, *residual = arrays
    for part in unfused(node) if node.op == wire.FUSED_BLOCK else [node]:
        if part.is_custom:
            value = run_node(part, [value])
        else:
            value = residual_add(value, residual[0], node)
    return value


def seeded(node: Node) -> list[Array]:
    """Data for the operands of a node that are no constants."""
    rng = np.random.default_rng(7)
    x = node.input(0)
    if x.dtype is not DType.INT8:
        return [rng.integers(-(2**20), 2**20, x.shape).astype(np.int32)]
    computed = [value for value in node.operands if not value.is_constant]
    return [rng.integers(-128, 128, value.shape, np.int8) for value in computed]


def contender(core: str, kernels: str, folder: Path) -> EmulatedKernels | CmsisNn:
    """Kernels on a core; UserError if their sources are not there."""
    if kernels != "cmsis_nn":
        return EmulatedKernels(core, kernels, folder)
    tree = cmsis_nn_sources()
    if tree is None:
        raise UserError(
            "kernels cmsis_nn: set TFLSPLIT_CMSIS_NN_DIR to its sources, or TFLSPLIT_TFLM_DIR to a "
            "tree of TFLM with them"
        )
    return CmsisNn(CORES[core], tree, folder / f"{core}-cmsis_nn")


def measure(
    graphs: Sequence[Graph], model: str, core: str, kernels: str, folder: Path
) -> Iterator[Layer]:
    """All compute operators of all devices; equal ones are run once."""
    board, known = contender(core, kernels, folder), dict[object, tuple[int, int, bool]]()
    for rank, graph in enumerate(graphs):
        for node in filter(wire.is_packed, graph.nodes):
            key = node.op, node.attrs, node.input(0).shape, node.output.shape
            if key not in known:
                explicit = unpacked(node)
                known[key] = board.measure(explicit, seeded(explicit))
            instructions, scratch, same = known[key]
            macs = int(sum(work.amount for work in work_of(node) if work.family in PRODUCTS))
            shapes = node.input(0).shape, node.output.shape
            yield Layer(
                model, core, kernels, len(graphs), rank, node.op, node.name, *shapes,
                macs or node.output.size, instructions, scratch, node.input(1).size, same,
            )  # fmt: skip


def network(layers: Sequence[Layer], graphs: Sequence[Graph], whole: Graph) -> Network:
    """The busiest device."""
    by_rank = [[layer for layer in layers if layer.rank == rank] for rank in range(len(graphs))]
    totals = [sum(layer.instructions for layer in found) for found in by_rank]
    rank = max(range(len(graphs)), key=totals.__getitem__)
    left_out: dict[str, int] = {}
    for node in graphs[rank].nodes:
        if not wire.is_ours(node):
            left_out[node.op] = left_out.get(node.op, 0) + 1
    macs = sum(layer.macs for layer in by_rank[rank] if layer.operator != wire.REQUANTIZE)
    first, same = layers[0], all(layer.same_bits for layer in layers)
    return Network(
        first.model, first.core, first.kernels, len(graphs), rank, totals[rank], macs,
        graph_macs(whole), totals[rank] / max(macs, 1), left_out, same,
    )  # fmt: skip


def device_graphs(whole: Graph, world_size: int, objective: str) -> list[Graph]:
    """Of the planner's plan, as ``tflsplit rewrite`` makes them."""
    cluster = default_cluster(world_size)
    split = split_model(whole, lambda graph: Planner(graph, cluster).best(objective).plan)
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
            here = cmsis_nn_sources() is not None
            chosen.kernels = [each for each in KERNELS if here or each != "cmsis_nn"]
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
                        found = list(measure(graphs, name, core, kernels, Path(folder)))
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
