# SPDX-License-Identifier: Apache-2.0
"""``tflsplit verify DIR``."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from tflsplit.api import load
from tflsplit.cli.console import STDOUT, Commands, print_json, progress
from tflsplit.errors import UserError, counted
from tflsplit.verify import Verdict
from tflsplit.verify.inputs import EDGES


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "verify",
        help="compare the devices with the unsplit model, bit for bit",
        description="Run the devices and the unsplit model on the same kernels and compare every "
        "tensor, exactly. Exit code 1 if anything differs.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
    command.add_argument(
        "--runs", type=int, default=20, metavar="K", help="seeded inputs beside the edge cases (20)"
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of the inputs (0)")
    command.add_argument(
        "--engine",
        choices=["tflm", "litert"],
        help="kernels to compare on (tflm: the oracle; litert where TFLM's wheel does not exist)",
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.runs < 0 or arguments.seed < 0:
        raise UserError("--runs and --seed must be 0 or more")
    with progress("reading") as stage:
        split = load(arguments.folder, check=False)
        total = arguments.runs + len(EDGES)
        count = iter(range(1, total + 1))
        verdict = split.verify(
            arguments.runs,
            arguments.seed,
            arguments.engine,
            lambda case: stage(f"input {next(count)} of {total}: {case.name}"),
        ).verdict
    if arguments.json:
        print_json(_document(verdict, split.plan["fingerprint"]))
    else:
        _print(verdict, split.world_size)
    return 0 if verdict.passed else 1


def _document(verdict: Verdict, fingerprint: str) -> dict[str, Any]:
    document = dataclasses.asdict(verdict)
    return {"passed": verdict.passed, "fingerprint": fingerprint, **document}


def _print(verdict: Verdict, world_size: int) -> None:
    for problem in verdict.problems:
        STDOUT.print(f"FAILED: {problem}")
    if verdict.mismatch is not None:
        STDOUT.print(f"FAILED: {verdict.mismatch}")
    if verdict.passed:
        kept = ", one after another: state is kept between them" if verdict.has_state else ""
        STDOUT.print(
            f"the same bits: {counted(world_size, 'device')} and the unsplit model on "
            f"{verdict.engine}, {counted(verdict.cases, 'input')}{kept}, "
            f"{counted(verdict.tensors, 'tensor')} each, "
            f"{verdict.elements:,} elements compared"
        )
