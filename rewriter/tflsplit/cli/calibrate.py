# SPDX-License-Identifier: Apache-2.0
"""``tflsplit calibrate DIR…``: cycles per multiply-accumulate from recorded runs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tflsplit.bundle import read_bundle
from tflsplit.bundle.runs import read_runs
from tflsplit.cli.console import STDERR, STDOUT, Commands, print_json, table
from tflsplit.cluster import Family, known_board
from tflsplit.cluster.boards import board_names
from tflsplit.errors import ClusterError, counted
from tflsplit.host.figures import NS_PER_INSTRUCTION
from tflsplit.plan.cost.calibrate import (
    Measurement,
    calibrate,
    calibration_toml,
    relative_errors,
    scaled,
)
from tflsplit.plan.cost.work import work_of


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "calibrate",
        help="fit the cost model to measured runs",
        description="Read the runs that `cluster` or `emulate` recorded in output folders "
        "(--record), fit cycles per multiply-accumulate of each kind of operator to the times of "
        "the devices, and print them as [device.cycles_per_mac] for cluster.toml. Several folders "
        "(models, numbers of devices) tell kinds of operators apart.",
    )
    command.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="what `rewrite` wrote"
    )
    command.add_argument("--board", metavar="NAME", help="only devices of this board")
    command.add_argument(
        "--clock", type=float, metavar="HZ", help="their clock (of a known board: the table's)"
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    measured = [found for folder in arguments.folders for found in measurements_in(folder)]
    boards = sorted({board for board, _, _ in measured})
    board = arguments.board or (boards[0] if len(boards) == 1 else None)
    if board is None:
        raise ClusterError(
            f"runs of {', '.join(boards) or 'no board at all'} are recorded there; name one with "
            "--board, or record runs with `cluster DIR --record` or `emulate DIR --record`"
        )
    runs = [(name, run) for each, name, run in measured if each == board]
    if not runs:
        raise ClusterError(
            f"no run of {board!r} is recorded there, only of {', '.join(boards) or 'nothing'}"
        )
    clock_hz = _clock_hz(arguments.clock, board)
    cycles, note = _cycles([run for _, run in runs], clock_hz, board)
    errors = relative_errors([run for _, run in runs], clock_hz, cycles)
    source = f"measured: {counted(len(runs), 'run')} of {board} at {clock_hz / 1e6:g} MHz{note}"
    if arguments.json:
        print_json(_document(board, clock_hz, cycles, runs, errors) | {"source": source})
        return 0
    rows = [
        [name, f"{run.us / 1000:.2f}", f"{100 * error:+.1f} %"]
        for (name, run), error in zip(runs, errors, strict=True)
    ]
    table("how well they explain the runs", ["<run", "ms", "predicted"], rows)
    STDOUT.print(calibration_toml(cycles, source), end="", soft_wrap=True)
    return 0


_PROPORTIONS = "mps2_an500"


def _cycles(
    runs: Sequence[Measurement], clock_hz: int, board: str
) -> tuple[dict[Family, float], str]:
    """Of every family, and what to say of them.

    A factor for each kind of operator; of a board that is not known, to the instructions of
    split_kernels on a Cortex-M7.  Where the runs do not determine each kind, a known board's own
    cycles, times one factor.
    """
    is_known = board in board_names()
    table_of_board = known_board(board if is_known else _PROPORTIONS).cycles
    known = {family: table_of_board.of(family) for family in Family}
    try:
        return calibrate(runs, clock_hz, known), ""
    except ClusterError as error:
        if not is_known:
            raise
        cycles = scaled(runs, clock_hz, known)
        factor = cycles[Family.CONV] / known[Family.CONV]
        return cycles, f"\nthe board's own cycles, all times {factor:.3g}, because\n{error}"


def measurements_in(folder: Path) -> list[tuple[str, str, Measurement]]:
    """(board, name of the run and rank, what ran and how long) of all runs of a folder.

    Raises PlanError or ModelError if the folder is none of ours.  Devices that computed nothing,
    and runs that do not say how long, are left out.
    """
    bundle = read_bundle(folder)
    runs, left_out = read_runs(folder, bundle.document["fingerprint"])
    for text in left_out:
        STDERR.print(f"left out: {text}")
    work = [tuple(w for n in device.graph.nodes for w in work_of(n)) for device in bundle.devices]
    return [
        (
            str(device.get("board", "")),
            f"{folder.name}/{run['name']} rank {device['rank']}",
            Measurement(work[device["rank"]], us),
        )
        for run in runs
        for device in run.get("devices", ())
        if device.get("rank") in range(len(work))
        and work[device["rank"]]
        and (us := computing_us(device)) > 0
    ]


def computing_us(device: Mapping[str, Any]) -> float:
    """How long a device of a recorded run computed; 0 if the run does not say.

    Where instructions were counted (emulated boards), these: their clock's time also passes while
    this computer is busy with something else.
    """
    counted = device.get("compute_instructions")
    if counted:
        return float(counted) * NS_PER_INSTRUCTION / 1000
    graph_us, wait_us = device.get("graph_us"), device.get("wait_us")
    if graph_us is None or wait_us is None:
        return 0.0
    return float(graph_us) - float(wait_us)


def _clock_hz(given: float | None, board: str) -> int:
    if given is not None:
        if not 1e3 <= given <= 1e11:
            raise ClusterError(f"--clock {given:g} is no clock in Hz")
        return int(given)
    if board not in board_names():
        raise ClusterError(f"the clock of {board!r} is not known; give --clock HZ")
    return known_board(board).clock_hz


def _document(
    board: str,
    clock_hz: int,
    cycles: dict[Any, float],
    runs: list[tuple[str, Measurement]],
    errors: list[float],
) -> dict[str, Any]:
    return {
        "board": board,
        "clock_hz": clock_hz,
        "cycles_per_mac": {family.value: each for family, each in cycles.items()},
        "runs": [
            {"run": name, "us": run.us, "relative_error": error}
            for (name, run), error in zip(runs, errors, strict=True)
        ],
    }
