# SPDX-License-Identifier: Apache-2.0
"""The firmware of whole clusters as programs of this computer: bits, arenas, faults.

For each model, number of devices and kind of plan: write the device graphs, build their firmware
without a margin in the arenas, run seeded inputs, compare every output with the unsplit model on
TFLM's wheel and every arena with the prediction; then the same with faults on every wire.

    python -m benchmarks.native MODEL.tflite … -n 2 4 [--plans policy ram latency] [--inputs 3]

Needs a C++ compiler and TFLM's wheel.  Prints rows for docs/verified.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from benchmarks.emulated import policy
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.emulate import FaultModel
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import whole_firmware
from tflsplit.emulate.trial import Trial, run_trial
from tflsplit.errors import UserError
from tflsplit.firmware import FirmwareOptions
from tflsplit.memory import predict_arena
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.planner import OBJECTIVES
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.runtime.engines import engine
from tflsplit.verify import make_cases
from tflsplit.verify.inputs import EDGES

FAULTS = FaultModel(flips_per_byte=5e-5, drops_per_byte=5e-5, duplicates_per_byte=5e-5)
PLANNED_FOR = "mps2_an500"


def trial_of(bundle: Bundle, inputs: int, faults: FaultModel | None) -> Trial:
    """Inferences of a cluster whose arenas have no margin; UserError if it fails."""
    built = build_native(bundle, FirmwareOptions(arena_margin_bytes=0, tflm_dir=None))
    cases = islice(make_cases(fold_constants(bundle.model), inputs, 0), len(EDGES), None)
    with whole_firmware(
        bundle, built.setup, built.devices, faults, count_instructions=False
    ) as session:
        return run_trial(
            bundle,
            session,
            cases,
            engine("tflm")[1],
            connect_seconds=120,
            infer_seconds=600,
            counts_instructions=False,
        )


def row(model: Path, world_size: int, plan: str, inputs: int, build: Path) -> tuple[str, bool]:
    """A line of the table, and whether all was as it should be."""
    folder = build / f"{model.stem}-{world_size}-{plan}"
    if not (folder / "plan.json").is_file():
        objective = None if plan == "policy" else plan
        rewrite(model, folder, policy(world_size, PLANNED_FOR, objective))
    bundle = read_bundle(folder)
    clean, noisy = (trial_of(bundle, inputs, faults) for faults in (None, FAULTS))
    predicted = [
        predict_arena(device.graph, "host_64", "reference").total_bytes for device in bundle.devices
    ]
    used = [figures.arena_used_bytes for figures in clean.devices]
    injected = sum(a.events + b.events for a, b in noisy.wire_faults.values())
    same = clean.same_bits and noisy.same_bits
    cells = [
        model.stem,
        str(world_size),
        plan,
        f"{'same' if same else 'DIFFERENT'} ({clean.elements + noisy.elements:,} elements)",
        f"{'as predicted' if used == predicted else f'{used} not {predicted}'}",
        f"{max(used):,}",
        str(injected),
        str(round(sum(wire.resent for wire in noisy.wires) * len(noisy.inferences))),
    ]
    return f"| {' | '.join(cells)} |", same and used == predicted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if a bit or an arena differs, 2 if something is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("-n", "--devices", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--plans", nargs="+", choices=["policy", *OBJECTIVES], default=["policy"])
    parser.add_argument("--inputs", type=int, default=3, help="seeded inputs for each (3)")
    parser.add_argument("--build", type=Path, default=Path("build") / "native-plans")
    chosen = parser.parse_args(arguments)
    sound = True
    try:
        for model in chosen.models:
            for world_size in chosen.devices:
                for plan in chosen.plans:
                    text, right = row(model, world_size, plan, chosen.inputs, chosen.build)
                    print(text, flush=True)
                    sound = sound and right
    except UserError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
