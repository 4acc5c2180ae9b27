# SPDX-License-Identifier: Apache-2.0
"""``tflsplit run DIR --input x.npy``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli.console import STDOUT, Commands, kib, print_json, progress, table
from tflsplit.devices import tensor_labels
from tflsplit.errors import PlanError, UserError
from tflsplit.ir import Value
from tflsplit.memory.twin import measure_arena
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.runtime.engines import Array, engine
from tflsplit.runtime.load import load_inputs
from tflsplit.runtime.local import LocalCluster, assemble
from tflsplit.runtime.processes import ProcessCluster, Report


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "run",
        help="run a set of device graphs on this computer",
        description="Run every device's graph here, on TFLM's own kernels, and print the result.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
    command.add_argument(
        "--input",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help=".npy or an image; repeat it for a model with several inputs",
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="save the result as .npy")
    command.add_argument("--top", type=int, default=5, metavar="K", help="print the K best (5)")
    command.add_argument("--labels", type=Path, metavar="FILE", help="one class name per line")
    command.add_argument(
        "--processes", action="store_true", help="one process per device, joined by sockets"
    )
    command.add_argument("--engine", choices=["tflm", "litert"], help="kernels to run on (tflm)")
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    with progress("reading"):
        bundle = read_bundle(arguments.folder)
    inputs = load_inputs(bundle.model, arguments.input)
    labels = _labels(arguments.labels)
    engine_name, _ = engine(arguments.engine)
    with progress("running"):
        reports = _infer(bundle, inputs, engine_name, arguments.processes)
    _check_traffic(bundle, reports)
    whole = fold_constants(bundle.model)
    results = assemble(
        whole, tensor_labels(whole), bundle.devices, [report.outputs for report in reports]
    )
    if arguments.output:
        _save(arguments.output, results)
    best = [
        _best(value, array, arguments.top, labels)
        for value, array in zip(whole.outputs, results, strict=True)
    ]
    if arguments.json:
        print_json(_document(bundle, engine_name, reports, results, best))
    else:
        _print(bundle, engine_name, reports, best)
    return 0


def _infer(
    bundle: Bundle, inputs: dict[str, Array], engine_name: str, processes: bool
) -> list[Report]:
    if processes:
        with ProcessCluster(bundle.devices, engine_name) as cluster:
            return cluster.infer(inputs)
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


def _labels(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None


def _save(path: Path, results: Sequence[Array]) -> None:
    """One output as .npy under the given name, several as name.0.npy, name.1.npy, …"""
    for index, array in enumerate(results):
        target = path if len(results) == 1 else path.with_suffix(f".{index}{path.suffix}")
        try:
            with target.open("wb") as file:
                np.save(file, array)
        except OSError as error:
            raise UserError(f"{target}: {error.strerror}") from None


def _best(value: Value, array: Array, count: int, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The largest elements of an output that is a vector of scores."""
    if array.size != array.shape[-1] if array.ndim else True:
        return []
    scores = array.reshape(-1)
    order = np.argsort(-scores.astype(np.float64), kind="stable")[: max(0, count)]
    quantization = value.quantization
    result = []
    for index in map(int, order):
        stored = scores[index].item()
        real = stored
        if quantization and quantization.scales and array.dtype.kind != "f":
            real = (stored - quantization.zero_point) * quantization.scale
        label = labels[index] if index < len(labels) else ""
        result.append({"index": index, "label": label, "stored": stored, "score": real})
    return result


def _document(
    bundle: Bundle,
    engine_name: str,
    reports: Sequence[Report],
    results: Sequence[Array],
    best: Sequence[list[dict[str, Any]]],
) -> dict[str, Any]:
    return {
        "engine": engine_name,
        "fingerprint": bundle.document["fingerprint"],
        "outputs": [
            {
                "tensor": entry["tensor"],
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "top": top,
            }
            for entry, array, top in zip(bundle.document["outputs"], results, best, strict=True)
        ],
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
    measured = measure_arena(bundle.devices[rank].graph)
    return None if measured is None else measured.total_bytes


def _print(
    bundle: Bundle,
    engine_name: str,
    reports: Sequence[Report],
    best: Sequence[list[dict[str, Any]]],
) -> None:
    for entry, top in zip(bundle.document["outputs"], best, strict=True):
        if top:
            rows = [
                [str(t["index"]), t["label"], str(t["stored"]), f"{t['score']:.4g}"] for t in top
            ]
            table(entry["tensor"], ["class", "<label", "stored", "score"], rows)
        else:
            STDOUT.print(f"{entry['tensor']}: {entry['dtype']}{entry['shape']}")
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
    table(f"{len(reports)} devices on {engine_name}; as plan.json says", columns, rows)
