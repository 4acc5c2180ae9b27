# SPDX-License-Identifier: Apache-2.0
"""``tflsplit emulate DIR --native --app FOLDER``."""

from __future__ import annotations

import argparse

from tflsplit.bundle import Bundle
from tflsplit.cli.console import STDOUT, Stage
from tflsplit.emulate.application import run_application
from tflsplit.errors import ClusterError, UserError
from tflsplit.firmware import FirmwareOptions
from tflsplit.untrusted import one_line


def emulate_application(
    arguments: argparse.Namespace, bundle: Bundle, options: FirmwareOptions, stage: Stage
) -> int:
    """Print what the gateway's program prints; 0 if it ends well, else ClusterError."""
    given = [
        name
        for name in ("input", "firmware", "event", "core_only", "faults")
        if getattr(arguments, name)
    ]
    if not arguments.native or given:
        what = f"--{given[0].replace('_', '-')}" if arguments.native else "an emulated board"
        raise UserError(f"--app runs with --native and without {what}")
    stage("building the firmware, with TFLM from its wheel")

    def on_line(rank: int, line: str) -> None:
        if rank == options.gateway:
            STDOUT.print(one_line(line), markup=False)

    runs = max(1, arguments.runs)
    seconds = arguments.timeout * runs
    status = run_application(bundle, options, arguments.app, runs, on_line, seconds)
    if status:
        raise ClusterError(f"the application ended with status {status}")
    return 0
