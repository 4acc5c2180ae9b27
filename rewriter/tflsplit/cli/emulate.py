# SPDX-License-Identifier: Apache-2.0
"""``tflsplit emulate DIR --input x.npy``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.remembered import remembered_teams
from tflsplit.cli.applications import emulate_application
from tflsplit.cli.blank_boards import add_blank, emulate_blank
from tflsplit.cli.boards_to_emulate import add_boards
from tflsplit.cli.console import STDOUT, Commands, note, print_json, progress
from tflsplit.cli.emulated import options_of, sessions
from tflsplit.cli.figures import (
    add_record,
    figures_document,
    print_devices,
    print_rate,
    print_wires,
    record,
    save_trace,
    teams_line,
)
from tflsplit.cli.in_flight import add_in_flight, in_flight_of, refuse_in_flight
from tflsplit.cli.results import (
    add_result_options,
    best_classes,
    outputs_document,
    print_outputs,
    read_labels,
    save_outputs,
)
from tflsplit.emulate.builders import ended_by_sigterm
from tflsplit.emulate.interventions import read_event
from tflsplit.emulate.team_trial import run_teams
from tflsplit.emulate.trial import Trial, injected, run_trial
from tflsplit.errors import LinkError, UserError, counted
from tflsplit.firmware.options import TFLM_DIR_VARIABLE
from tflsplit.passes.prepare import prepare
from tflsplit.report.timeline import measured_trace
from tflsplit.runtime.engines import engine
from tflsplit.runtime.load import load_inputs
from tflsplit.verify import Case, make_cases
from tflsplit.verify.inputs import EDGES

_CONNECT_SECONDS = 120.0


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "emulate",
        help="run the devices' firmware on emulated boards, and compare with the unsplit model",
        description="Build the firmware, start one emulated board per device, wire their UARTs, "
        "run inferences through the same host program as real boards, and compare every output "
        "with the unsplit model's. Exit code 1 if a bit differs.",
    )
    command.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="what `rewrite` wrote")
    add_result_options(command, input_required=False)
    kind = command.add_mutually_exclusive_group()
    add_boards(kind)
    kind.add_argument(
        "--native",
        action="store_true",
        help="the firmware as programs of this computer: needs a C++ compiler; TFLM is its wheel's "
        f"unless {TFLM_DIR_VARIABLE} names its sources",
    )
    kind.add_argument(
        "--core-only",
        action="store_true",
        help="the firmware's links alone, one process per device; kernels from TFLM's wheel: needs "
        "no TFLM sources",
    )
    add_blank(command)
    command.add_argument(
        "--firmware", type=Path, metavar="DIR", help="take the firmware that was built there"
    )
    command.add_argument(
        "--topology", choices=["ring", "line", "star"], help="wiring (what DIR was made for)"
    )
    command.add_argument(
        "--direct",
        action=argparse.BooleanOptionalAction,
        help="every device has a port to the host and takes its own part of the input over it "
        "(what DIR was made for)",
    )
    command.add_argument(
        "--app",
        type=Path,
        metavar="FOLDER",
        help="with --native: an application of your own on the gateway, which drives the cluster "
        "without a host, --runs times; what it prints is shown",
    )
    command.add_argument(
        "--runs", type=int, default=0, metavar="K", help="K seeded inputs beside --input (0)"
    )
    add_in_flight(command)
    _add_faults(command)
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of inputs, faults (0)")
    command.add_argument(
        "--timeout", type=float, default=600.0, metavar="S", help="of an inference (600)"
    )
    add_record(command)
    return command


def _add_faults(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--faults",
        type=float,
        default=0.0,
        metavar="RATE",
        help="on every wire, so many flipped bits, dropped and repeated runs a byte, e.g. 1e-4 (0)",
    )
    command.add_argument(
        "--event",
        action="append",
        default=[],
        metavar="TEXT",
        help="something that happens, so many seconds after the first inference begins: "
        "'0.5 reset 2', kill, hang, pause, resume or swap (its two cables) of a rank, 'cut 0-1' or "
        "'join 0-1'; may be repeated",
    )


def main(arguments: argparse.Namespace) -> int:
    """Run the command; SIGTERM ends what it has started, too."""
    with ended_by_sigterm():
        return _main(arguments) if arguments.blank is None else emulate_blank(arguments)


def _refuse_nonsense(arguments: argparse.Namespace) -> None:
    if arguments.runs < 0 or arguments.seed < 0 or arguments.timeout <= 0:
        raise UserError("--runs and --seed must be 0 or more, --timeout more than 0")
    if arguments.folder is None:
        raise UserError("name the folder that `tflsplit rewrite` wrote, or --native --blank N")


def _main(arguments: argparse.Namespace) -> int:
    _refuse_nonsense(arguments)
    with progress("reading") as stage:
        bundle = read_bundle(arguments.folder)
        if arguments.app:
            return emulate_application(arguments, bundle, options_of(arguments, bundle), stage)
        cases = list(_cases(arguments, bundle))
        events = [read_event(text, len(bundle.devices)) for text in arguments.event]
        labels = read_labels(arguments.labels)
        engine_name, make = engine(None)
        teams = sessions(arguments, bundle, engine_name, stage, events)
        with ExitStack() as stack:
            running = [stack.enter_context(team) for team in teams]
            wanted: dict[str, Any] = {
                "connect_seconds": _CONNECT_SECONDS,
                "infer_seconds": arguments.timeout,
                "counts_instructions": not (arguments.native or arguments.core_only),
                "stage": stage,
                "events": events,
            }
            if len(running) > 1:
                refuse_in_flight(arguments)
                trial = run_teams(bundle, running, cases, make, **wanted)
            else:
                wanted["in_flight"] = in_flight_of(arguments, running[0].coordinator.setup)
                trial = run_trial(bundle, running[0], cases, make, **wanted)
    if not trial.inferences:
        raise LinkError(next(iter(trial.failures.values())))
    outputs = trial.inferences[0].outputs
    if arguments.output:
        save_outputs(arguments.output, outputs)
    best = best_classes(prepare(bundle.model), outputs, arguments.top, labels)
    if arguments.trace:
        of_one = trial.of_teams[0] if trial.of_teams else trial.inferences
        save_trace(arguments.trace, measured_trace(of_one, trial.devices))
    if arguments.record:
        kind = "native" if arguments.native else "core" if arguments.core_only else "emulate"
        figures = figures_document(trial.devices, trial.wires, trial.inferences, trial.seconds)
        record(bundle, kind, figures, trial.same_bits)
    if arguments.json:
        head = {"outputs": outputs_document(bundle.document, outputs, best)}
        print_json(head | _document(bundle, trial, engine_name))
    else:
        print_outputs(bundle.document, best)
        _print(bundle, trial, engine_name)
    return 0 if trial.same_bits else 1


def _cases(arguments: argparse.Namespace, bundle: Bundle) -> Iterator[Case]:
    whole = prepare(bundle.model)
    runs = arguments.runs
    if arguments.input:
        yield Case("--input", load_inputs(bundle.model, arguments.input, note))
    elif not runs:
        runs = remembered_teams(bundle.document, bundle.folder)
    yield from islice(make_cases(whole, runs, arguments.seed), len(EDGES), None)


def _document(bundle: Bundle, trial: Trial, engine_name: str) -> dict[str, Any]:
    document = figures_document(trial.devices, trial.wires, trial.inferences, trial.seconds)
    if trial.of_teams:
        document["teams"] = [len(done) for done in trial.of_teams]
        document["taken_over"] = [{"team": team, "why": why} for team, why in trial.taken_over]
    for entry, wire in zip(document["wires"], trial.wires, strict=True):
        entry["faults"] = injected(trial, wire, len(bundle.devices))
    return {
        "fingerprint": bundle.document["fingerprint"],
        "engine": engine_name,
        "same_bits": trial.same_bits,
        "differing": trial.differing,
        "failures": trial.failures,
        "elements": trial.elements,
        "remarks": trial.remarks,
        **document,
    }


def _print(bundle: Bundle, trial: Trial, engine_name: str) -> None:
    world_size = len(bundle.devices)
    teams = f"{len(trial.of_teams)} teams of " if trial.of_teams else ""
    print_devices(trial.devices, f"{teams}{counted(world_size, 'device')}; bytes as plan.json says")
    print_wires(trial.wires, world_size)
    faults = [injected(trial, wire, world_size) or 0 for wire in trial.wires]
    if any(faults):
        STDOUT.print(f"{sum(faults)} faults were injected")
    print_rate(trial.inferences, seconds=trial.seconds)
    if trial.of_teams:
        STDOUT.print(teams_line(trial.of_teams))
    for remark in trial.remarks:
        STDOUT.print(remark, markup=False)
    for team, text in trial.taken_over:
        STDOUT.print(f"team {team} failed: {text}; another team did its input", markup=False)
    for case, text in trial.failures.items():
        STDOUT.print(f"failed: {text}; input: {case}", markup=False)
    for case, count in trial.differing.items():
        if count:
            STDOUT.print(f"FAILED: {count} output elements differ; input: {case}", markup=False)
    if trial.same_bits:
        STDOUT.print(
            f"the same bits: {teams}{counted(world_size, 'device')} and the unsplit model on "
            f"{engine_name}, {counted(len(trial.inferences), 'input')}, "
            f"{trial.elements:,} elements compared"
        )
