# SPDX-License-Identifier: Apache-2.0
"""``tflsplit run DIR --input x.npy``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflsplit.api import load
from tflsplit.api.running import Inference
from tflsplit.bundle import Bundle
from tflsplit.cli.console import Commands, note, print_json, progress, table
from tflsplit.cli.results import (
    Best,
    add_result_options,
    best_classes,
    outputs_document,
    print_outputs,
    read_labels,
    save_outputs,
)
from tflsplit.errors import PlanError, counted
from tflsplit.interpreters import naming
from tflsplit.memory.twin import measure_arena
from tflsplit.report.figures import kib
from tflsplit.runtime.load import load_inputs
from tflsplit.runtime.processes import Report


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "run",
        help="run a set of device graphs on this computer",
        description="Run every device's graph here, on TFLM's own kernels, and print the result.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
    add_result_options(command)
    command.add_argument(
        "--processes", action="store_true", help="one process per device, joined by sockets"
    )
    command.add_argument("--engine", choices=["tflm", "litert"], help="kernels to run on (tflm)")
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    with progress("reading"):
        split = load(arguments.folder)
    inputs = load_inputs(split.bundle.model, arguments.input, note)
    labels = read_labels(arguments.labels)
    with progress("running"):
        inference = split.infer(inputs, arguments.engine, arguments.processes)
    _check_traffic(split.bundle, inference.devices)
    if arguments.output:
        save_outputs(arguments.output, inference.outputs)
    best = best_classes(split.whole, inference.outputs, arguments.top, labels)
    if arguments.json:
        print_json(_document(split.bundle, inference, best))
    else:
        _print(split.bundle, inference, best)
    return 0


def _check_traffic(bundle: Bundle, reports: Sequence[Report]) -> None:
    for entry, report in zip(bundle.document["devices"], reports, strict=True):
        planned = entry["sent_bytes"], entry["received_bytes"]
        if planned != (report.sent_bytes, report.received_bytes):
            raise PlanError(
                f"rank {entry['rank']} sent and received {report.sent_bytes} and "
                f"{report.received_bytes} bytes, but plan.json says {planned[0]} and {planned[1]}: "
                "it was changed by hand, or damaged; write it again with `rewrite`"
            )


def _document(bundle: Bundle, inference: Inference, best: Sequence[Best]) -> dict[str, Any]:
    return {
        "engine": inference.kernels,
        "fingerprint": bundle.document["fingerprint"],
        "outputs": outputs_document(bundle.document, inference.outputs, best),
        "devices": [
            {
                "rank": entry["rank"],
                "arena_bytes": entry["arena_bytes"],
                "host_arena_bytes": _host_arena_bytes(bundle, entry["rank"]),
                "sent_bytes": report.sent_bytes,
                "received_bytes": report.received_bytes,
            }
            for entry, report in zip(bundle.document["devices"], inference.devices, strict=True)
        ],
    }


def _host_arena_bytes(bundle: Bundle, rank: int) -> int | None:
    with naming(str(bundle.folder)):
        measured = measure_arena(bundle.devices[rank].graph)
    return None if measured is None else measured.total_bytes


def _print(bundle: Bundle, inference: Inference, best: Sequence[Best]) -> None:
    print_outputs(bundle.document, best)
    rows = [
        [
            str(entry["rank"]),
            kib(entry["arena_bytes"]),
            kib(_host_arena_bytes(bundle, entry["rank"])),
            str(report.sent_bytes),
            str(report.received_bytes),
        ]
        for entry, report in zip(bundle.document["devices"], inference.devices, strict=True)
    ]
    columns = ["rank", "arena (32-bit)", "arena (this host)", "bytes sent", "bytes received"]
    title = f"{counted(len(rows), 'device')} on {inference.kernels}; as plan.json says"
    table(title, columns, rows)
