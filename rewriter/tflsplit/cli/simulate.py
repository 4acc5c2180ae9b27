# SPDX-License-Identifier: Apache-2.0
"""``tflsplit simulate DIR``."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tflsplit.api import SplitModel, load
from tflsplit.bundle import Bundle
from tflsplit.cli.console import Commands, note, print_json, progress
from tflsplit.cli.figures import save_trace
from tflsplit.cli.folder_cluster import cluster_of_folder
from tflsplit.cli.planning import add_ahead, add_direct, refuse_host_options
from tflsplit.cli.simulate_tables import (
    figures_of,
    interrupts_of,
    print_beside,
    print_interrupts,
    print_result,
    print_sweep,
)
from tflsplit.cli.sweeps import KEYS, Setting, parse_sweep
from tflsplit.cli.why_tables import print_why
from tflsplit.cluster import Cluster, LinkKind
from tflsplit.cluster.rewired import rewired
from tflsplit.errors import ClusterError
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.report.timeline import simulation_trace
from tflsplit.rewriting.chooser import split_anew
from tflsplit.sim import SeedRun, SimResult, alone_us, simulate, simulate_seed, why
from tflsplit.split.devices import DeviceGraph


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "simulate",
        help="how long an inference takes on a cluster, frame by frame",
        description="Simulate the device graphs' own SENDs, RECVs and kernels on a cluster: time "
        "of every device, bytes and frames of every wire, energy where it is known.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
    command.add_argument(
        "--cluster", type=Path, metavar="FILE", help="cluster.toml (what DIR was made for)"
    )
    command.add_argument(
        "--link", choices=[kind.value for kind in LinkKind], help="other links than it was made for"
    )
    add_direct(command)
    add_ahead(command)
    command.add_argument(
        "--inputs", type=int, default=1, metavar="K", help="K inputs, one after the other (1)"
    )
    command.add_argument(
        "--in-flight",
        type=int,
        choices=(1, 2),
        default=1,
        help="inferences at one time: 2 sends the next one's input while one is computed (1)",
    )
    command.add_argument(
        "--error-rate",
        type=float,
        default=0.0,
        metavar="P",
        help="share of the bytes on wires that are damaged (0)",
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the damage (0)")
    command.add_argument(
        "--sweep",
        metavar="KEY=VALUES",
        help="again for each value, as n=1..16 or baud=1e6,6e6; n splits the model anew, as "
        f"`rewrite -n` does; KEY is one of {', '.join(KEYS)}",
    )
    command.add_argument(
        "--baseline",
        action="store_true",
        help="beside it flat splitting (arXiv 2605.09357) on the same devices: the output of every "
        "layer cut into N ranges, everything through a PC that each is wired to",
    )
    command.add_argument(
        "--why",
        action="store_true",
        help="where the time of the first input goes: the critical path, cause by cause",
    )
    command.add_argument("--csv", type=Path, metavar="FILE", help="save the sweep's table")
    command.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="save what happens when as a .pftrace, which ui.perfetto.dev opens",
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    sweep = parse_sweep(arguments.sweep) if arguments.sweep else None
    if arguments.csv and not sweep:
        raise ClusterError("--csv saves the table of a --sweep")
    for name in ("why", "trace"):
        if getattr(arguments, name) and sweep:
            raise ClusterError(f"--{name} is of one simulation, --sweep of many")
    with progress("reading"):
        split = load(arguments.folder)
    setting = Setting(
        _cluster(arguments, split.bundle),
        arguments.inputs,
        arguments.in_flight,
        arguments.error_rate,
        arguments.seed,
    )
    if sweep is None:
        _once(arguments, split, setting)
        return 0
    rows = _sweep(split.bundle, setting, *sweep, baseline=arguments.baseline)
    if arguments.csv:
        _save(arguments.csv, rows)
    if arguments.json:
        print_json(rows)
    else:
        print_sweep(rows)
    return 0


def _once(arguments: argparse.Namespace, split: SplitModel, setting: Setting) -> None:
    """One simulation, and what is asked for of it."""
    with progress("simulating"):
        result = split.simulate(
            setting.inputs,
            setting.cluster,
            setting.error_rate,
            setting.seed,
            setting.in_flight,
        ).result
        seed = _simulate_seed(split.bundle, setting) if arguments.baseline else None
        reasons = None
        if arguments.why or arguments.trace:
            reasons = why(result, alone_us(split.whole, setting.cluster))
    if arguments.trace:
        trace = simulation_trace(result, split.bundle.devices, setting.cluster, reasons)
        save_trace(arguments.trace, trace)
    shown = reasons if arguments.why else None
    if arguments.json:
        extra: dict[str, Any] = {"interrupts_us": interrupts_of(result, setting.cluster)}
        extra |= {"seed": seed.document()} if seed else {}
        extra |= {"why": shown.document()} if shown else {}
        print_json(result.document() | extra)
        return
    print_result(result, setting)
    print_interrupts(result, setting.cluster)
    if shown:
        print_why(shown, split.bundle.devices)
    if seed:
        print_beside(result, seed, setting)


def _cluster(arguments: argparse.Namespace, bundle: Bundle) -> Cluster:
    cluster = cluster_of_folder(bundle, arguments.cluster, arguments.link)
    if arguments.ahead is not None:
        refuse_host_options(arguments, "ahead")
        cluster = replace(cluster, ahead=arguments.ahead)
    direct = arguments.direct
    if direct is None:
        return cluster
    refuse_host_options(arguments, "direct")
    if direct and not cluster.direct:
        note("every device on a port of the host's, not the gateway alone that it was made for")
    elif cluster.direct and not direct:
        note("the gateway alone on a port of the host's, not every device that it was made for")
    return rewired(cluster, direct=direct)


def _simulate(devices: Sequence[DeviceGraph], setting: Setting) -> SimResult:
    return simulate(
        devices,
        setting.cluster,
        setting.inputs,
        setting.error_rate,
        setting.seed,
        setting.in_flight,
    )


def _simulate_seed(bundle: Bundle, setting: Setting) -> SeedRun:
    return simulate_seed(
        fold_constants(bundle.model),
        setting.cluster,
        setting.error_rate,
        setting.seed,
        setting.inputs,
    )


def _sweep(
    bundle: Bundle, setting: Setting, key: str, values: Sequence[float], baseline: bool
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with progress("simulating") as stage:
        for value in values:
            stage(f"{key} = {value:g}")
            changed = KEYS[key](setting, value)
            devices, ours = bundle.devices, changed
            if len(devices) != changed.cluster.world_size:
                devices, used = split_anew(bundle.model, changed.cluster)
                ours = replace(changed, cluster=used)
            row = {key: value, **figures_of(_simulate(devices, ours))}
            if baseline:
                seed = _simulate_seed(bundle, changed).document()
                row |= {f"seed_{name}": figure for name, figure in seed.items()}
            rows.append(row)
    return rows


def _save(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise ClusterError(f"{path}: {error.strerror}") from None
