# SPDX-License-Identifier: Apache-2.0
"""``tflsplit boards [MODEL]``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tflsplit.api.clusters import board_cluster
from tflsplit.cli.console import STDOUT, Commands, about_ms, print_json, progress, table
from tflsplit.cluster import LinkKind, board_names, default_cluster, known_board
from tflsplit.cluster.boards import board_title
from tflsplit.cluster.margins import margin_text, time_margin
from tflsplit.firmware.boards import BOARDS
from tflsplit.ops.rule import graph_macs
from tflsplit.planner.needed import SIZES, Needed, needed
from tflsplit.report.figures import kib, millions
from tflsplit.rewriting.rewrite import splittable
from tflsplit.tflite import load

Json = dict[str, Any]

OFF_BY = (
    "Off by: how far a time may be off, by what was published of the core (unknown: one figure or "
    "none); none was measured on these boards."
)


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "boards",
        help="the boards, and how many of each a model needs",
        description="The boards and what they have. With a model: for each board how many are "
        f"needed (up to {SIZES[-1]}), their arena, flash and time, and whether one alone would do.",
    )
    command.add_argument("model", type=Path, nargs="?", metavar="MODEL", help="an int8 .tflite")
    command.add_argument(
        "--board",
        action="append",
        metavar="NAME",
        help="only this board (repeatable); otherwise all that are not emulated",
    )
    command.add_argument("--all", action="store_true", help="emulated boards, too")
    command.add_argument(
        "--link",
        choices=[kind.value for kind in LinkKind],
        default="uart",
        help="what joins the devices to a ring (uart, at the rate that each board is trusted with)",
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    names = arguments.board or [
        name for name in board_names() if arguments.all or not _is_emulated(name)
    ]
    for name in names:
        known_board(name)
    if arguments.model is None:
        rows = [_board(name) for name in names]
        if arguments.json:
            print_json({"boards": rows})
        else:
            _print_boards(rows)
        return 0
    with progress("reading") as stage:
        graph = splittable(load(arguments.model))
        found = []
        for name in names:
            stage(f"planning for {board_title(name)}")
            kind = arguments.link
            need = needed(graph, lambda size, n=name, k=kind: board_cluster(size, n, k))  # type: ignore[misc]
            found.append(_needs(name, need))
    document = {"model": arguments.model.name, "macs": graph_macs(graph), "boards": found}
    if arguments.json:
        print_json(document)
    else:
        _print_needs(document)
    return 0


def _is_emulated(name: str) -> bool:
    return name in BOARDS and BOARDS[name].is_emulated


def _board(name: str) -> Json:
    device = known_board(name)
    board = BOARDS.get(name)
    cluster = default_cluster(1, "uart", name)
    return {
        "board": name,
        "title": board_title(name),
        "clock_hz": device.clock_hz,
        "ram_bytes": device.ram_bytes,
        "banks": {bank.name: bank.size_bytes for bank in device.banks},
        "arena_room_bytes": cluster.arena_room_bytes(0),
        "flash_bytes": device.flash_bytes,
        "weights_room_bytes": cluster.weights_room_bytes(0),
        "kernels": device.kernels,
        "uart_baud": board.baud if board else None,
        "spi_hz": board.spi_hz if board else None,
        "firmware": board is not None,
        "emulated": _is_emulated(name),
    }


def _print_boards(rows: list[Json]) -> None:
    cells = [
        [
            row["board"],
            row["title"],
            f"{row['clock_hz'] / 1e6:g} MHz",
            _ram(row),
            kib(row["arena_room_bytes"]),
            kib(row["flash_bytes"]),
            _links(row),
            margin_text(row["board"]),
        ]
        for row in rows
    ]
    columns = ["<board", "<", "clock", "RAM", "for the arena", "flash", "<links", "time off by"]
    table("boards; --board NAME takes the name in the first column", columns, cells)
    STDOUT.print(
        "Arena: what stack, program and links leave. " + OFF_BY + " Sources of every number: "
        "cluster/boards.toml."
    )


def _ram(row: Json) -> str:
    banks = (f"{kib(size)} {name}" for name, size in row["banks"].items())
    return " + ".join([kib(row["ram_bytes"]), *banks])


def _links(row: Json) -> str:
    if not row["firmware"]:
        return "no firmware yet: plans and times only"
    if row["emulated"]:
        return "emulated"
    links = [f"UART {row['uart_baud'] / 1e6:g} Mbaud"] if row["uart_baud"] else []
    links += [f"SPI {row['spi_hz'] / 1e6:g} MHz"] if row["spi_hz"] else []
    return ", ".join(links)


def _needs(name: str, need: Needed) -> Json:
    alone, planned, one = need.alone, need.planned, need.one
    cluster = one if planned is None else planned.cluster
    margin = time_margin(name)
    document: Json = {
        "board": name,
        "title": board_title(name),
        "alone_fits": alone is not None and alone.fits(one),
        "alone_arena_bytes": None if alone is None else alone.arena_bytes,
        "alone_weights_bytes": None if alone is None else max(alone.weights_bytes),
        "alone_short_bytes": _short(need),
        "arena_room_bytes": min(map(cluster.arena_room_bytes, range(cluster.world_size))),
        "weights_room_bytes": min(map(cluster.weights_room_bytes, range(cluster.world_size))),
        "devices": None,
        "time_margin": None if margin is None else list(margin),
    }
    if planned is not None:
        document |= {
            "devices": planned.plan.world_size,
            "arena_bytes": planned.arena_bytes,
            "weights_bytes": max(planned.weights_bytes),
            "latency_us": planned.latency_us,
        }
    return document


def _short(need: Needed) -> dict[str, int]:
    """What one device lacks."""
    if need.alone is None:
        return {"RAM": 0, "flash": 0}
    return {
        "RAM": sum(need.alone.arena_short_bytes(need.one)),
        "flash": sum(need.alone.flash_short_bytes(need.one)),
    }


def _print_needs(document: Json) -> None:
    rows = [
        [
            row["board"],
            _verdict(row),
            str(row["devices"]) if row["devices"] else f"more than {SIZES[-1]}",
            _of(row.get("arena_bytes"), row["arena_room_bytes"]),
            _of(row.get("weights_bytes"), row["weights_room_bytes"]),
            about_ms(row["latency_us"]) if row["devices"] else "–",
            margin_text(row["board"]) if row["devices"] else "–",
        ]
        for row in document["boards"]
    ]
    columns = [
        "<board",
        "<one alone",
        "needed",
        "arena of each",
        "weights of each",
        "time",
        "off by",
    ]
    table(f"{document['model']}: how many boards it needs", columns, rows)
    STDOUT.print(
        f"{millions(document['macs'])} MACs. More than one board: joined to a ring, by the fastest "
        "plan that was found for as few as will do; more may be faster (tflsplit rewrite -n N). "
        + OFF_BY
    )


def _of(size: int | None, room: int) -> str:
    return "–" if size is None else f"{kib(size)} of {kib(room)}"


def _verdict(row: Json) -> str:
    if row["alone_fits"]:
        return "FITS"
    if row["alone_arena_bytes"] is None:
        return "DOES NOT FIT"
    short = [
        f"{kib(row['alone_short_bytes'][what])} of {what} short"
        for what in ("RAM", "flash")
        if row["alone_short_bytes"][what]
    ]
    return "DOES NOT FIT" + (f": {', '.join(short)}" if short else "")
