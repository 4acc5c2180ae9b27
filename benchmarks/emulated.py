# SPDX-License-Identifier: Apache-2.0
"""The firmware of whole clusters on emulated boards, beside the unsplit firmware on one of them.

For each model and number of devices: write the device graphs, build their firmware, start the
boards, compare the outputs with the unsplit model on TFLM's wheel, count instructions and bytes.
The unsplit firmware (one device, no links but the host's) runs in the same way in the same run.

    python -m benchmarks.emulated MODEL.tflite … -n 2 4 [--board mps2_an500] [--inputs 3]
        [--objective latency]

Plans are those of the simple policy (rows while maps are large, channels afterwards), or with
--objective the search's for these boards in a ring of UARTs; then ``-n 1``, too, is a plan of its
own, whose convolutions are tflsplit's.

Needs TFLM's sources (``TFLSPLIT_TFLM_DIR``), PlatformIO, the Arm compiler and QEMU.  Prints rows
for docs/verified.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cluster import default_cluster
from tflsplit.emulate.firmware_build import BuiltFirmware, build_firmware
from tflsplit.emulate.session import whole_firmware
from tflsplit.emulate.trial import Trial, run_trial
from tflsplit.errors import ClusterError, UserError
from tflsplit.firmware import FirmwareOptions, board_named
from tflsplit.firmware.arenas import kernels_of
from tflsplit.ir import Graph
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.plan.spec import Plan
from tflsplit.plan.wishes import Wishes
from tflsplit.planner import OBJECTIVES, Searcher
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.runtime.engines import engine
from tflsplit.verify import make_cases
from tflsplit.verify.inputs import EDGES

CONNECT_SECONDS = 300.0
INFER_SECONDS = 1800.0


@dataclass(frozen=True)
class Row:
    """One model on one cluster.

    instructions: computing (waiting left out), by rank; link_bytes: by wire and direction, with
    all overhead, per inference; payload_bytes: what plan.json says that devices send each other.
    """

    model: str
    world_size: int
    board: str
    kernels: str
    inputs: int
    same_bits: bool
    instructions: list[int]
    arena_used_bytes: list[int]
    link_bytes: dict[str, int]
    payload_bytes: int
    frames_resent: int


def measure(
    model: Path, world_size: int, board: str, inputs: int, build: Path, objective: str | None = None
) -> Row:
    """One row; UserError if something is missing or the cluster fails."""
    bundle, trial, kernels = emulate(model, world_size, board, inputs, build, objective)
    plan = bundle.document["devices"]
    return Row(
        model.stem,
        world_size,
        board,
        kernels,
        len(trial.inferences),
        trial.same_bits,
        [round(device.compute_instructions or 0) for device in trial.devices],
        [device.arena_used_bytes for device in trial.devices],
        {_name(wire.a, wire.b, world_size): round(wire.bytes) for wire in trial.wires},
        sum(device["sent_bytes"] for device in plan),
        round(sum(wire.resent for wire in trial.wires) * len(trial.inferences)),
    )


def emulate(
    model: Path, world_size: int, board: str, inputs: int, build: Path, objective: str | None = None
) -> tuple[Bundle, Trial, str]:
    """A plan (made once, below ``build``), its inferences on emulated boards, and their kernels.

    Raises UserError if something is missing or the cluster fails.
    """
    folder = folder_of(model, world_size, build, objective)
    if not (folder / "plan.json").is_file():
        rewrite(model, folder, policy(world_size, board, objective))
    bundle = read_bundle(folder)
    options = FirmwareOptions(boards=(board,))
    trial = _trial(bundle, build_firmware(bundle, options), inputs)
    return bundle, trial, "+".join(kernels_of(board_named(board), options))


def folder_of(model: Path, world_size: int, build: Path, objective: str | None) -> Path:
    """Where a plan of a model is kept."""
    return build / f"{model.stem}-{world_size}{'-' + objective if objective else ''}"


def policy(world_size: int, board: str, objective: str | None) -> Wishes | Callable[[Graph], Plan]:
    """What makes plans: the simple policy, or with an objective the search for these boards."""
    if objective is None:
        return Wishes(world_size)
    cluster = default_cluster(world_size, "uart", board)

    def on_all(graph: Graph) -> Plan:
        """A search leaves boards out where fewer are better; here, so many are to be tried."""
        found = Searcher(graph, cluster).find(objective)
        if found is None:
            raise ClusterError(f"nothing fits {world_size} boards of kind {board}")
        return found.plan

    return on_all


def _trial(bundle: Bundle, built: BuiltFirmware, inputs: int) -> Trial:
    cases = islice(make_cases(fold_constants(bundle.model), inputs, 0), len(EDGES), None)
    with whole_firmware(bundle, built.setup, built.devices) as session:
        return run_trial(
            bundle,
            session,
            cases,
            engine("tflm")[1],
            connect_seconds=CONNECT_SECONDS,
            infer_seconds=INFER_SECONDS,
            counts_instructions=True,
        )


def _name(a: int, b: int, world_size: int) -> str:
    return "→".join("host" if rank == world_size else str(rank) for rank in (a, b))


def print_row(row: Row, unsplit: Row) -> None:
    """One line of docs/verified.md's table."""
    millions = [f"{count / 1e6:.2f}" for count in row.instructions]
    alone = unsplit.instructions[0] / 1e6
    between = [size for name, size in row.link_bytes.items() if "host" not in name]
    cells = [
        row.model,
        str(row.world_size),
        row.board,
        row.kernels,
        f"{'same' if row.same_bits else 'DIFFERENT'} ({row.inputs} inputs)",
        ", ".join(millions),
        f"{alone:.2f}",
        f"{max(row.instructions) / 1e6 / alone:.2f}",
        f"{row.payload_bytes:,}",
        f"{sum(between):,}",
        f"{max(between, default=0):,}",
        str(row.frames_resent),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if a cluster gave other bits, 2 if something is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("-n", "--devices", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--board", default="mps2_an500")
    parser.add_argument("--objective", choices=OBJECTIVES, help="search instead of the policy")
    parser.add_argument("--inputs", type=int, default=3, help="seeded inputs for each (3)")
    parser.add_argument("--build", type=Path, default=Path("build") / "emulated")
    parser.add_argument("--output", type=Path, help="also save the rows as JSON")
    chosen = parser.parse_args(arguments)
    rows: list[Row] = []
    try:
        for model in chosen.models:
            plans = [(1, None), *((n, chosen.objective) for n in chosen.devices)]
            one, *split = [
                measure(*(model, n, chosen.board, chosen.inputs, chosen.build), objective)
                for n, objective in plans
            ]
            for row in split:
                print_row(row, one)
            rows += [one, *split]
    except UserError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    if chosen.output:
        chosen.output.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0 if all(row.same_bits for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
