# SPDX-License-Identifier: Apache-2.0
"""What ``tflsplit simulate`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tflsplit.cli.console import STDOUT, table
from tflsplit.cli.sweeps import Setting
from tflsplit.cluster import Cluster
from tflsplit.cluster.words import cluster_words
from tflsplit.firmware.serial_load import interrupts_us
from tflsplit.sim import SeedRun, SimResult


def figures_of(result: SimResult) -> dict[str, float | None]:
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


def _ms(us: float) -> str:
    return f"{us / 1000:.2f}"


def _energy(energy_mj: float | None) -> str:
    return "not known" if energy_mj is None else f"{energy_mj:.1f}"


def print_result(result: SimResult, setting: Setting) -> None:
    """One simulation: devices and wires."""
    STDOUT.print(
        f"{cluster_words(setting.cluster)}: {_ms(result.latency_us)} ms from the host and back, "
        f"{_ms(result.graph_us[0])} ms of it the graph; {result.throughput_per_s:.2f} inferences "
        "a second"
    )
    known = any(device.energy_mj is not None for device in result.devices)
    rows = [
        [
            str(rank),
            setting.cluster.devices[rank].name,
            *map(_ms, times),
            *([_energy(energy)] if known else []),
        ]
        for rank, *times, energy in (
            (d.rank, d.compute_us, d.send_us, d.wait_us, d.input_us, d.output_us, d.energy_mj)
            for d in result.devices
        )
    ]
    columns = ["rank", "<device", "compute", "send", "wait", "input", "output"]
    columns += ["energy"] if known else []
    together = ", all inputs together" * (setting.inputs > 1)
    energy = "energy in mJ" if known else "energy not known"
    table(f"devices{together}; times in ms, {energy}", columns, rows)
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
    columns = ["<from", "<to", "payload", "on the wire", "frames", "sent again", "ACKs and such",
               "busy"]  # fmt: skip
    table("wires; payload and on the wire in bytes", columns, wires)


def interrupts_of(result: SimResult, cluster: Cluster) -> list[float | None]:
    """By rank, what its UARTs' interrupts take, in us; None where that is not known."""
    return interrupts_us(cluster, {e: count.wire_bytes for e, count in result.wires.items()})


def print_interrupts(result: SimResult, cluster: Cluster) -> None:
    """What kernels that run while bytes come and go wait for; it is in their times."""
    known = [(us, rank) for rank, us in enumerate(interrupts_of(result, cluster)) if us is not None]
    if known:
        us, rank = max(known)
        STDOUT.print(
            f"UARTs' interrupts take {_ms(us)} ms of rank {rank}, the most, "
            f"{us / max(result.total_us, 1):.1%} of all (docs/adding_a_board.md, estimated)"
        )


def print_beside(result: SimResult, seed: SeedRun, setting: Setting) -> None:
    """The plan and flat splitting (``tflsplit.baseline``), line by line."""
    figures = (figures_of(result), seed.document())
    names = ["this plan", "flat splitting"]
    rows = [[name, *_beside_cells(row)] for name, row in zip(names, figures, strict=True)]
    columns = ["<", "latency ms", "compute ms", "a second", "payload", "on the wires", "frames",
               "mJ"]  # fmt: skip
    kind = setting.cluster.link.kind.value
    table(f"beside flat splitting, each device wired to a PC by {kind}", columns, rows)


def _beside_cells(row: dict[str, Any]) -> list[str]:
    return [
        _ms(row["latency_us"]),
        _ms(row["compute_us"]),
        f"{row['throughput_per_s']:.2f}",
        f"{row['payload_bytes']:,}",
        f"{row['wire_bytes']:,}",
        f"{row['frames']:,}",
        _energy(row["energy_mj"]),
    ]


def _end(rank: int, result: SimResult) -> str:
    return "host" if rank == len(result.devices) else str(rank)


def print_sweep(rows: Sequence[dict[str, Any]]) -> None:
    """One line for each value."""
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
            *([_ms(row["seed_latency_us"])] if "seed_latency_us" in row else []),
        ]
        for row in rows
    ]
    columns = [key, "latency ms", "graph ms", "faster", "compute ms", "a second", "payload",
               "on the wires", "again", "mJ"]  # fmt: skip
    if "seed_latency_us" in rows[0]:
        columns.append("flat ms")
    table(f"sweep of {key}; wires between devices", columns, cells)
