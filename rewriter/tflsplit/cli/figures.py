# SPDX-License-Identifier: Apache-2.0
"""Tables and documents of what a cluster did: what cluster and emulate share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tflsplit.bundle import Bundle
from tflsplit.bundle.runs import write_run
from tflsplit.cli.console import STDERR, STDOUT, table
from tflsplit.errors import UserError
from tflsplit.host.coordinator import Inference
from tflsplit.host.figures import DeviceFigures, WireFigures
from tflsplit.report.figures import kib, millions


def print_devices(devices: Sequence[DeviceFigures], title: str) -> None:
    """One line for each device: arena, times, instructions where they are counted, bytes."""
    counted = any(device.instructions is not None for device in devices)
    known = any(device.stack_bytes for device in devices)
    columns = ["rank", "<board", "arena", *(["stack"] if known else [])]
    columns += ["input", "compute", "wait", "output"]
    columns += ["instructions"] if counted else []
    rows = []
    for device in devices:
        row = [str(device.rank), device.board, _used(device.arena_used_bytes, device.arena_bytes)]
        if known:
            row.append(_used(device.stack_used_bytes, device.stack_bytes))
        times = (device.input_us, device.compute_us, device.wait_us, device.output_us)
        row += [f"{us / 1000:,.1f}" for us in times]
        if counted:
            row.append(millions(device.compute_instructions or 0))
        rows.append([*row, f"{device.sent_bytes:,}", f"{device.received_bytes:,}"])
    table(f"{title}; times in ms", [*columns, "sent", "received"], rows)


def _used(used_bytes: int | None, room_bytes: int | None) -> str:
    """``45.0 of 46.0 KiB``."""
    used, room = kib(used_bytes or None), kib(room_bytes or None)
    unit = room[room.rfind(" ") :]
    return f"{used.removesuffix(unit)} of {room}"


def print_wires(wires: Sequence[WireFigures], world_size: int) -> None:
    """One line for each direction of a wire."""

    def name(rank: int) -> str:
        return "host" if rank == world_size else str(rank)

    rows = [
        [
            f"{name(wire.a)} → {name(wire.b)}",
            f"{wire.bytes:,.0f}",
            f"{wire.frames:,.0f}",
            f"{wire.resent:.4g}",
            f"{wire.damaged:.4g}",
        ]
        for wire in wires
    ]
    title = "wires, per inference (bytes with frames, acknowledgements and control)"
    table(title, ["<from → to", "bytes", "frames", "sent again", "damaged"], rows)


def print_rate(
    inferences: Sequence[Inference], failed: int = 0, seconds: float | None = None
) -> None:
    """How long inferences took on this computer's clock; ``seconds``: all, if several at a time."""
    each = [inference.seconds for inference in inferences]
    total = sum(each) if seconds is None else seconds
    text = f"{len(each)} inferences, {len(each) / total:.2f} a second"
    if len(each) == 1:
        text = f"1 inference in {total:.3f} s"
    else:
        text += f", each {min(each):.3f} to {max(each):.3f} s"
    STDOUT.print(text + (f"; {failed} more failed and were repeated" if failed else ""))


def teams_line(of_teams: Sequence[Sequence[Inference]]) -> str:
    """Who did how many."""
    done = ", ".join(str(len(inferences)) for inferences in of_teams)
    return f"inferences of each team: {done}"


def figures_document(
    devices: Sequence[DeviceFigures],
    wires: Sequence[WireFigures],
    inferences: Sequence[Inference],
    seconds: float | None = None,
) -> dict[str, Any]:
    """The same for ``--json``."""
    each = [inference.seconds for inference in inferences]
    return {
        "inferences": len(each),
        "seconds": each,
        "inferences_per_second": len(each) / (sum(each) if seconds is None else seconds),
        "devices": [
            asdict(device) | {"compute_instructions": device.compute_instructions}
            for device in devices
        ],
        "wires": [asdict(wire) for wire in wires],
    }


def save_trace(path: Path, trace: bytes) -> None:
    """Write a trace for Perfetto and say where; UserError if that cannot be."""
    try:
        path.write_bytes(trace)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    STDERR.print(f"wrote {path}: open it in https://ui.perfetto.dev", soft_wrap=True)


def add_record(command: argparse.ArgumentParser) -> None:
    """``--record`` and ``--trace``."""
    command.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="save what each device reports of each inference as a .pftrace (ui.perfetto.dev)",
    )
    command.add_argument(
        "--record", action="store_true", help="keep the figures in DIR/runs, for `tflsplit report`"
    )


def record(
    bundle: Bundle, kind: str, figures: dict[str, Any], same_bits: bool | None = None
) -> None:
    """Write a run (``bundle.runs``) and say where."""
    path = write_run(bundle.folder, kind, bundle.document["fingerprint"], figures, same_bits)
    STDERR.print(f"recorded {path}", soft_wrap=True)
