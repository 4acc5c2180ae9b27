# SPDX-License-Identifier: Apache-2.0
"""Instructions of the kernels by what they do, fitted to counts: the numbers of boards.toml.

Each layer and block of ``benchmarks.kernel_shapes`` runs alone on a bare emulated core, and QEMU
counts its instructions; they repeat exactly.  Least squares finds, for every family of the cost
model, the instructions per unit of work that explain all counts best, relative errors of all cases
weighing the same.  A family that would be negative is 0.

    python -m benchmarks.fit_cycles [--core cortex-m7 …] [--kernels ours portable] [--factor 1.44]
    python -m benchmarks.fit_cycles --core cortex-m7 --hold teensy41 --factor 1.44
    python -m benchmarks.fit_cycles --kernels cmsis_nn [--core cortex-m7 …]
    python -m benchmarks.fit_cycles MODEL.tflite … -n 1 2 4 [--core cortex-m7 …] [--objective ram]

With models, no fit: the operators of each device of their plans (the simple policy, or with
``--objective`` the search's; our own kernels) are counted, and beside them stands what the table of
the emulated board says of them (of a Cortex-M0+ the RP2040's, over ``--factor``).

``--kernels cmsis_nn`` fits what TFLM's own convolutions take (``tflm_conv`` and so on), where
CMSIS-NN's sources are (``benchmarks.cmsis_nn``).

With ``--hold`` the numbers stay that a board's table has, and only those are fitted that it lacks.

Prints ``[<board>.cycles_per_mac]``, times ``--factor`` (cycles per instruction), and how far the
fit is from the counts.  What other kernels of TFLM do is not in it (``other_per_byte``,
``copy_per_byte``, ``tflm_per_mac``).  Needs the Arm compiler and qemu-system-arm.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from benchmarks.contenders import CORES, OTHERS, Contender, EmulatedKernels, other_kernels
from benchmarks.kernel_shapes import all_cases
from benchmarks.kernels import device_graphs, measure
from benchmarks.operands import seeded
from tflsplit.cluster import Family, known_board
from tflsplit.errors import UserError
from tflsplit.ir import Graph, Node
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.plan.cost import local_node_us
from tflsplit.plan.cost.families import family_of
from tflsplit.plan.cost.work import stock_work, work_of
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import read_model
from tflsplit.wire import custom_ops as wire

Case = tuple[str, Node]
_TABLES = {"cortex-m0plus": "rp2040"}
"""Boards whose table a core is checked with, where it is not the emulated one's."""
_LINES = 8
_FITTED = ("ours", "portable", "cmsis_nn")


def counted(core: str, kernels: str, cases: Sequence[Case]) -> list[int]:
    """Instructions of every case; WrongBitsError if a result differs from its meaning."""
    with tempfile.TemporaryDirectory() as folder:
        board = (
            other_kernels(core, kernels, Path(folder))
            if kernels in OTHERS
            else EmulatedKernels(core, kernels, Path(folder))
        )
        counts = []
        for name, node in cases:
            found = board.measure(node, seeded(node))
            if found is None or not found[2]:
                raise WrongBitsError(f"{name} gives other bits on {core}, {kernels}")
            counts.append(found[0])
        return counts


def cases_of(kernels: str) -> list[Case]:
    """Layers that a contender has: TFLM's are no blocks, and no sums."""
    convolutions = wire.CONV_2D, wire.DEPTHWISE_CONV_2D
    return [
        (name, node)
        for name, node in all_cases()
        if kernels not in OTHERS
        or (node.op in convolutions and family_of(node) is not Family.FULLY_CONNECTED)
    ]


class WrongBitsError(UserError):
    """A kernel's result is not what the operator means."""


def fitted(
    cases: Sequence[Case],
    counts: Sequence[int],
    held: Mapping[Family, float] = MappingProxyType({}),
    stock: bool = False,
) -> tuple[dict[Family, float], list[float]]:
    """Instructions per unit of each family that occurs, and fitted over counted for each case.

    held: of some families, numbers that stay.  stock: they are TFLM's own kernels.
    """
    amounts = [_amounts(node, stock) for _, node in cases]
    families = [family for family in Family if any(family in each for each in amounts)]
    relative = np.array([[each.get(family, 0.0) for family in families] for each in amounts])
    relative /= np.array(counts, float)[:, None]
    stays = relative @ np.array([held.get(family, 0.0) for family in families])
    used = [at for at, family in enumerate(families) if family not in held]
    while True:
        solution = np.linalg.lstsq(relative[:, used], 1 - stays, rcond=None)[0]
        if min(solution, default=0.0) >= 0:
            break
        del used[int(solution.argmin())]
    found = {family: held.get(family, 0.0) for family in families}
    found |= {families[at]: float(each) for at, each in zip(used, solution, strict=True)}
    return found, [float(each) for each in stays + relative[:, used] @ solution]


def held_by(board: str, factor: float) -> dict[Family, float]:
    """Instructions of the families that a board's table has numbers of."""
    cycles = known_board(board).cycles
    return {family: cycles.of(family) / factor for family in Family if cycles.of(family)}


def _amounts(node: Node, stock: bool = False) -> dict[Family, float]:
    found: dict[Family, float] = {}
    for work in stock_work(node) if stock else work_of(node):
        found[work.family] = found.get(work.family, 0.0) + work.amount
    return found


def lines(
    cases: Sequence[Case],
    counts: Sequence[int],
    core: str,
    kernels: str,
    factor: float,
    held: Mapping[Family, float] = MappingProxyType({}),
) -> Iterator[str]:
    """What is printed for one core."""
    found, ratios = fitted(cases, counts, held, kernels in OTHERS)
    ordered = sorted(ratios)
    inside = sum(0.9 <= ratio <= 1.1 for ratio in ratios)
    yield (
        f"# {core}, {kernels}: {len(cases)} cases, fitted over counted {ordered[0]:.2f} to "
        f"{ordered[-1]:.2f}, {inside} of them within 0.90 to 1.10; the farthest:"
    )
    farthest = sorted(zip(ratios, cases, strict=True), key=lambda each: -abs(each[0] - 1))
    for ratio, (name, _) in farthest[:_LINES]:
        yield f"#   {ratio:.2f}  {name}"
    yield from table(found, factor)


def table(found: Mapping[Family, float], factor: float) -> Iterator[str]:
    """As in boards.toml."""
    yield "[<board>.cycles_per_mac]"
    for family, instructions in found.items():
        yield f"{family.value} = {factor * instructions:.3g}"
    yield ""


def _graphs(
    whole: Graph, world_size: int, objective: str | None, stream: bool | None
) -> list[Graph]:
    if objective:
        return device_graphs(whole, world_size, objective, stream)
    return [each.graph for each in split_model(whole, Wishes(world_size, fuse=True)).devices]


def _is_compared(node: Node) -> bool:
    return node.is_custom and node.op not in (wire.SEND, wire.RECV, wire.ASK)


def checked(
    paths: Sequence[Path],
    world_sizes: Sequence[int],
    core: str,
    objective: str | None = None,
    factor: float = 1.0,
    stream: bool | None = None,
) -> Iterator[str]:
    """The table against the devices of whole networks: our operators alone."""
    device = known_board(_TABLES.get(core, CORES[core]))
    yield f"| model | N | {core}: instructions (M), counted | by the table | table : counted |"
    yield "|---|--:|---|---|---|"
    for path in paths:
        whole = fold_constants(read_model(path.read_bytes()))
        for world_size in world_sizes:
            graphs = _graphs(whole, world_size, objective, stream)
            with tempfile.TemporaryDirectory() as folder:
                board = Contender(core, "ours", Path(folder))
                layers = list(measure(graphs, path.stem, core, "ours", board))
            named = [{n.name for n in graph.nodes if _is_compared(n)} for graph in graphs]
            counts = [sum(x.instructions for x in layers if x.rank == r and x.name in named[r])
                      for r in range(len(graphs))]  # fmt: skip
            ours = [filter(_is_compared, graph.nodes) for graph in graphs]
            said = [sum(local_node_us(device, n) for n in each) * device.clock_hz / factor / 1e6
                    for each in ours]  # fmt: skip
            cells = (
                ", ".join(f"{each / 1e6:.2f}" for each in counts),
                ", ".join(f"{each / 1e6:.2f}" for each in said),
                ", ".join(f"{a / b:.2f}" for a, b in zip(said, counts, strict=True)),
            )
            yield f"| {path.stem} | {world_size} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if bits differ, 2 if something is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, help="check the table with these instead")
    parser.add_argument("-n", "--devices", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--core", nargs="+", choices=CORES, default=["cortex-m7"])
    parser.add_argument("--kernels", nargs="+", choices=_FITTED, default=["ours"])
    parser.add_argument("--objective", help="of the plans of models (none: the simple policy)")
    parser.add_argument("--factor", type=float, default=1.0, help="cycles per instruction (1)")
    parser.add_argument("--hold", metavar="BOARD", help="fit only what its table lacks")
    parser.add_argument("--stream", action="store_true", help="plans whose input comes row by row")
    chosen = parser.parse_args(arguments)
    try:
        for core in chosen.core if chosen.models else ():
            plans = chosen.objective, chosen.factor, chosen.stream or None
            for line in checked(chosen.models, chosen.devices, core, *plans):
                print(line, flush=True)
        for core in chosen.core if not chosen.models else ():
            for kernels in chosen.kernels:
                cases = cases_of(kernels)
                counts, factor = counted(core, kernels, cases), chosen.factor
                held = held_by(chosen.hold, factor) if chosen.hold else {}
                print("\n".join(lines(cases, counts, core, kernels, factor, held)), flush=True)
    except WrongBitsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (UserError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
