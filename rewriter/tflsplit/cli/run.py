# SPDX-License-Identifier: Apache-2.0
"""``tflsplit run DIR --input x.npy``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli.console import Commands, counted, kib, note, print_json, progress, table
from tflsplit.cli.results import (
    Best,
    add_result_options,
    best_classes,
    outputs_document,
    print_outputs,
    read_labels,
    save_outputs,
)
from tflsplit.errors import LinkError, PlanError
from tflsplit.interpreters import naming
from tflsplit.memory.twin import measure_arena
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import Array, engine
from tflsplit.runtime.load import load_inputs
from tflsplit.runtime.local import LocalCluster, assemble
from tflsplit.runtime.processes import ProcessCluster, Report
from tflsplit.split.devices import tensor_labels


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
        bundle = read_bundle(arguments.folder)
    inputs = load_inputs(bundle.model, arguments.input, note)
    labels = read_labels(arguments.labels)
    engine_name, _ = engine(arguments.engine)
    with progress("running"), naming(str(arguments.folder)):
        reports = _infer(bundle, inputs, engine_name, arguments.processes)
    _check_traffic(bundle, reports)
    whole = prepare(bundle.model)
    results = assemble(
        whole, tensor_labels(whole), bundle.devices, [report.outputs for report in reports]
    )
    if arguments.output:
        save_outputs(arguments.output, results)
    best = best_classes(whole, results, arguments.top, labels)
    if arguments.json:
        print_json(_document(bundle, engine_name, reports, results, best))
    else:
        _print(bundle, engine_name, reports, best)
    return 0


def _infer(
    bundle: Bundle, inputs: dict[str, Array], engine_name: str, processes: bool
) -> list[Report]:
    if processes:
        try:
            with ProcessCluster(bundle.devices, engine_name) as cluster:
                return cluster.infer(inputs)
        except LinkError as error:
            raise LinkError(f"{bundle.folder}: {error}") from None
    local = LocalCluster(bundle.devices, engine(engine_name)[1])
    local.infer(inputs)
    return [
        Report(device.outputs, device.sent_bytes, device.received_bytes) for device in local.devices
    ]


def _check_traffic(bundle: Bundle, reports: Sequence[Report]) -> None:
    for entry, report in zip(bundle.document["devices"], reports, strict=True):
        planned = entry["sent_bytes"], entry["received_bytes"]
        if planned != (report.sent_bytes, report.received_bytes):
            raise PlanError(
                f"rank {entry['rank']} sent and received {report.sent_bytes} and "
                f"{report.received_bytes} bytes, but plan.json says {planned[0]} and {planned[1]}: "
                "it was changed by hand, or damaged; write it again with `rewrite`"
            )


def _document(
    bundle: Bundle,
    engine_name: str,
    reports: Sequence[Report],
    results: Sequence[Array],
    best: Sequence[Best],
) -> dict[str, Any]:
    return {
        "engine": engine_name,
        "fingerprint": bundle.document["fingerprint"],
        "outputs": outputs_document(bundle.document, results, best),
        "devices": [
            {
                "rank": entry["rank"],
                "arena_bytes": entry["arena_bytes"],
                "host_arena_bytes": _host_arena_bytes(bundle, entry["rank"]),
                "sent_bytes": report.sent_bytes,
                "received_bytes": report.received_bytes,
            }
            for entry, report in zip(bundle.document["devices"], reports, strict=True)
        ],
    }


def _host_arena_bytes(bundle: Bundle, rank: int) -> int | None:
    with naming(str(bundle.folder)):
        measured = measure_arena(bundle.devices[rank].graph)
    return None if measured is None else measured.total_bytes


def _print(
    bundle: Bundle,
    engine_name: str,
    reports: Sequence[Report],
    best: Sequence[Best],
) -> None:
    print_outputs(bundle.document, best)
    rows = [
        [
            str(entry["rank"]),
            kib(entry["arena_bytes"]),
            kib(_host_arena_bytes(bundle, entry["rank"])),
            str(report.sent_bytes),
            str(report.received_bytes),
        ]
        for entry, report in zip(bundle.document["devices"], reports, strict=True)
    ]
    columns = ["rank", "arena (32-bit)", "arena (this host)", "bytes sent", "bytes received"]
    table(f"{counted(len(reports), 'device')} on {engine_name}; as plan.json says", columns, rows)
