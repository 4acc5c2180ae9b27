# SPDX-License-Identifier: Apache-2.0
"""``tflsplit simulate DIR``."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli.console import STDOUT, Commands, print_json, progress, table
from tflsplit.cli.planning import planner_of
from tflsplit.cli.sweeps import KEYS, Setting, parse_sweep
from tflsplit.cluster import Cluster, LinkKind, default_cluster, read_cluster
from tflsplit.devices import DeviceGraph
from tflsplit.errors import ClusterError
from tflsplit.rewrite import split_model
from tflsplit.sim import SimResult, simulate

_DASH = "–"


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
        "--cluster", type=Path, metavar="FILE", help="cluster.toml (Teensy 4.1 in a ring)"
    )
    command.add_argument(
        "--link", choices=[kind.value for kind in LinkKind], help="without --cluster (uart)"
    )
    command.add_argument("--inputs", type=int, default=1, metavar="K", help="one by one (1)")
    command.add_argument(
        "--in-flight",
        type=int,
        default=1,
        metavar="K",
        help="inputs under way at one time; the firmware's host has one (1)",
    )
    command.add_argument(
        "--error-rate", type=float, default=0.0, metavar="P", help="of bytes damaged (0)"
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of the errors (0)")
    command.add_argument(
        "--sweep",
        metavar="KEY=VALUES",
        help="again for each value, as n=1..16 or baud=1e6,6e6; n splits the model anew, as "
        f"`rewrite -n` does; KEY is one of {', '.join(KEYS)}",
    )
    command.add_argument("--csv", type=Path, metavar="FILE", help="save the sweep's table")
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    sweep = parse_sweep(arguments.sweep) if arguments.sweep else None
    if arguments.csv and not sweep:
        raise ClusterError("--csv saves the table of a --sweep")
    with progress("reading"):
        bundle = read_bundle(arguments.folder)
    setting = Setting(
        _cluster(arguments, bundle),
        arguments.inputs,
        arguments.in_flight,
        arguments.error_rate,
        arguments.seed,
    )
    if sweep is None:
        with progress("simulating"):
            result = _simulate(bundle.devices, setting)
        if arguments.json:
            print_json(result.document())
        else:
            _print(result, setting)
        return 0
    rows = _sweep(bundle, setting, *sweep)
    if arguments.csv:
        _save(arguments.csv, rows)
    if arguments.json:
        print_json(rows)
    else:
        _print_sweep(rows)
    return 0


def _cluster(arguments: argparse.Namespace, bundle: Bundle) -> Cluster:
    if arguments.cluster is None:
        return default_cluster(len(bundle.devices), arguments.link or "uart")
    if arguments.link is not None:
        raise ClusterError("--link describes the default cluster; --cluster names its own")
    return read_cluster(arguments.cluster)


def _simulate(devices: Sequence[DeviceGraph], setting: Setting) -> SimResult:
    return simulate(
        devices,
        setting.cluster,
        setting.inputs,
        setting.error_rate,
        setting.seed,
        setting.in_flight,
    )


def _sweep(
    bundle: Bundle, setting: Setting, key: str, values: Sequence[float]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with progress("simulating") as stage:
        for value in values:
            stage(f"{key} = {value:g}")
            changed = KEYS[key](setting, value)
            devices = bundle.devices
            if len(devices) != changed.cluster.world_size:
                devices = _split_anew(bundle, changed.cluster)
            rows.append({key: value, **_figures(_simulate(devices, changed))})
    return rows


def _split_anew(bundle: Bundle, cluster: Cluster) -> tuple[DeviceGraph, ...]:
    """The model for another number of devices, as ``rewrite -n`` splits it."""
    plain = argparse.Namespace(plan=None, objective=None, cluster=None, max_weights=None)
    return split_model(bundle.model, planner_of(plain, cluster)).devices


def _figures(result: SimResult) -> dict[str, float | None]:
    """One row of a sweep."""
    wires = result.between_devices()
    return {
        "latency_us": result.latency_us,
        "graph_us": result.graph_us[0],
        "throughput_per_s": result.throughput_per_s,
        "compute_us": max(device.compute_us for device in result.devices),
        "payload_bytes": wires.payload_bytes,
        "wire_bytes": wires.wire_bytes,
        "frames": wires.frames,
        "resent_frames": wires.resent_frames,
        "energy_mj": result.energy_mj,
    }


def _save(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise ClusterError(f"{path}: {error.strerror}") from None


def _ms(us: float) -> str:
    return f"{us / 1000:.2f}"


def _energy(energy_mj: float | None) -> str:
    return _DASH if energy_mj is None else f"{energy_mj:.1f}"


def _print(result: SimResult, setting: Setting) -> None:
    link = setting.cluster.link
    STDOUT.print(
        f"{len(result.devices)} devices, {setting.cluster.topology.value} of {link.kind.value} at "
        f"{link.bit_rate / 1e6:g} Mbit/s: {_ms(result.latency_us)} ms from the host and back, "
        f"{_ms(result.graph_us[0])} ms of it the graph; {result.throughput_per_s:.2f} a second",
        soft_wrap=True,
    )
    rows = [
        [str(rank), setting.cluster.devices[rank].name, *map(_ms, times), _energy(energy)]
        for rank, *times, energy in (
            (d.rank, d.compute_us, d.send_us, d.wait_us, d.input_us, d.output_us, d.energy_mj)
            for d in result.devices
        )
    ]
    columns = ["rank", "<device", "compute ms", "send ms", "wait ms", "input ms", "output ms", "mJ"]
    table("devices, all inputs together", columns, rows)
    wires = [
        [
            _end(edge[0], result),
            _end(edge[1], result),
            f"{count.payload_bytes:,}",
            f"{count.wire_bytes:,}",
            f"{count.frames:,}",
            f"{count.resent_frames:,}",
            f"{count.hop_frames:,}",
            f"{100 * count.busy_us / max(result.total_us, 1):.0f} %",
        ]
        for edge, count in sorted(result.wires.items())
    ]
    columns = ["<from", "<to", "payload", "on the wire", "frames", "again", "ACKs and such", "busy"]
    table("wires", columns, wires)


def _end(rank: int, result: SimResult) -> str:
    return "host" if rank == len(result.devices) else str(rank)


def _print_sweep(rows: Sequence[dict[str, Any]]) -> None:
    key = next(iter(rows[0]))
    slowest = rows[0]["graph_us"]
    cells = [
        [
            f"{row[key]:g}",
            _ms(row["latency_us"]),
            _ms(row["graph_us"]),
            f"{slowest / row['graph_us']:.2f}",
            _ms(row["compute_us"]),
            f"{row['throughput_per_s']:.2f}",
            f"{row['payload_bytes']:,}",
            f"{row['wire_bytes']:,}",
            f"{row['resent_frames']:,}",
            _energy(row["energy_mj"]),
        ]
        for row in rows
    ]
    columns = [key, "latency ms", "graph ms", "faster", "compute ms", "a second", "payload",
               "on the wires", "again", "mJ"]  # fmt: skip
    table(f"sweep of {key}; wires between devices", columns, cells)
