# SPDX-License-Identifier: Apache-2.0
"""``tflsplit compare A B``."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from tflsplit.bundle import read_bundle
from tflsplit.bundle.plan_json import Json
from tflsplit.cli.console import (
    STDOUT,
    Commands,
    Stage,
    print_json,
    progress,
    shortened,
    table,
)
from tflsplit.cli.folder_cluster import cluster_of_folder
from tflsplit.errors import ClusterError, PlanError, counted
from tflsplit.report.compare import SUMMED, Comparison, compare, parse_limit
from tflsplit.report.documents import SIMULATED, read_document
from tflsplit.report.simulated import FIGURES, PLAN, SEED, simulate_bundle

_SHOWN = {
    "arena_bytes": "arena, bytes",
    "weights_bytes": "weights, bytes",
    "sent_bytes": "sent, bytes",
    "received_bytes": "received, bytes",
    "macs": "MACs",
}
"""Keys of plan.json, as a table's heads name them."""
_SIMULATED = {
    "latency_us": "latency, µs",
    "graph_us": "of it the graph, µs",
    "wire_bytes": "on wires, bytes",
    "frames": "frames",
    "energy_mj": "energy, mJ",
}


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "compare",
        help="two plans side by side; fails where one got worse",
        description="Compare two outputs, device by device and in all. Exit code 1 if a limit of "
        "--fail-on is exceeded by B.",
    )
    for name in ("A", "B"):
        command.add_argument(
            name.lower(), type=Path, metavar=name, help="output folder, plan.json or report.html"
        )
    command.add_argument(
        "--fail-on",
        action="append",
        default=[],
        metavar="KEY+LIMIT",
        help="what must not grow by more, as arena_bytes+2%% or sum:sent_bytes+1024; KEY is any "
        "number that plan.json has for a device; before it max: (the largest device), sum: or "
        f"each:, without it sum: for {', '.join(SUMMED)} and max: for others; or a simulated "
        f"figure, {', '.join(FIGURES)} (repeatable)",
    )
    command.add_argument(
        "--simulate",
        action="store_true",
        help="time, wire bytes and energy too, and those of flat splitting, of output folders "
        "on --cluster (reports know theirs)",
    )
    command.add_argument(
        "--cluster",
        type=Path,
        metavar="FILE",
        help="for --simulate: cluster.toml (what each was made for)",
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    limits = [parse_limit(text) for text in arguments.fail_on]
    if arguments.cluster and not arguments.simulate:
        raise ClusterError("--cluster is what --simulate simulates on")
    with progress("reading") as stage:
        before, after = (_read(path, arguments, stage) for path in (arguments.a, arguments.b))
    found = compare(before, after, limits)
    if arguments.json:
        print_json(_document(found))
    else:
        _print(found, bool(limits))
    return 1 if found.regressions else 0


def _read(path: Path, arguments: argparse.Namespace, stage: Stage) -> Json:
    document = read_document(path)
    if not arguments.simulate or SIMULATED in document:
        return document
    if not path.is_dir():
        raise PlanError(f"{path} holds no graphs to simulate; name an output folder or a report")
    stage(f"simulating {path}")
    bundle = read_bundle(path)
    cluster = cluster_of_folder(bundle, arguments.cluster)
    return {**document, SIMULATED: simulate_bundle(bundle, cluster)}


def _document(found: Comparison) -> dict[str, Any]:
    return {
        "passed": not found.regressions,
        "regressions": list(found.regressions),
        "notes": list(found.notes),
        "figures": [dataclasses.asdict(pair) | {"change": pair.change} for pair in found.pairs],
        "layers": [
            {"node": node, "way_before": before, "way_after": after}
            for node, before, after in found.layers
        ],
    }


def _print(found: Comparison, limited: bool) -> None:
    for note in found.notes:
        STDOUT.print(f"note: {note}")
    known = {pair.key for pair in found.pairs}
    keys = [key for key in _SHOWN if key in known]
    simulated = [what for what in (PLAN, SEED) if any(p.what == what for p in found.pairs)]
    whats = list(dict.fromkeys(pair.what for pair in found.pairs if pair.what not in simulated))
    rows = [[what, *(_cell(found, key, what) for key in keys)] for what in whats]
    table("A → B", ["<", *(_SHOWN[key] for key in keys)], rows)
    if simulated:
        rows = [[what, *(_simulated(found, key, what) for key in FIGURES)] for what in simulated]
        heads = [_SIMULATED[key] for key in FIGURES]
        table("A → B, one inference; wires between devices", ["<", *heads], rows)
    if found.layers:
        changed = [[shortened(node), before, after] for node, before, after in found.layers]
        table(f"split otherwise: {counted(len(changed), 'layer')}", ["<layer", "<A", "<B"], changed)
    for text in found.regressions:
        STDOUT.print(f"REGRESSION: {text}")
    if limited and not found.regressions:
        STDOUT.print("nothing got worse than --fail-on allows")


def _simulated(found: Comparison, key: str, what: str) -> str:
    known = any((pair.key, pair.what) == (key, what) for pair in found.pairs)
    return _cell(found, key, what) if known else ""


def _cell(found: Comparison, key: str, what: str) -> str:
    pair = found.of(key, what)
    if pair.before is None or pair.after is None:
        return " → ".join("–" if v is None else f"{v:,.0f}" for v in (pair.before, pair.after))
    if pair.before == pair.after:
        return f"{pair.before:,.0f} ="
    percent = f" {100 * (pair.after / pair.before - 1):+.1f}%" if pair.before else ""
    return f"{pair.before:,.0f} → {pair.after:,.0f}{percent}"
