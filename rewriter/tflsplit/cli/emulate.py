# SPDX-License-Identifier: Apache-2.0
"""``tflsplit emulate DIR --input x.npy``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.remembered import remembered_cluster
from tflsplit.cli.applications import emulate_application
from tflsplit.cli.boards_to_emulate import (
    DEFAULT_BOARD,
    add_boards,
    boards_of_cluster,
    boards_of_folder,
)
from tflsplit.cli.console import STDOUT, Commands, Stage, note, print_json, progress
from tflsplit.cli.figures import (
    add_record,
    figures_document,
    print_devices,
    print_rate,
    print_wires,
    record,
    save_trace,
)
from tflsplit.cli.results import (
    add_result_options,
    best_classes,
    outputs_document,
    print_outputs,
    read_labels,
    save_outputs,
)
from tflsplit.cluster import read_cluster
from tflsplit.emulate import FaultModel
from tflsplit.emulate.builders import ended_by_sigterm
from tflsplit.emulate.firmware_build import BuiltFirmware, build_firmware, take_firmware
from tflsplit.emulate.interventions import read_event
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import Session, core_only, whole_firmware
from tflsplit.emulate.trial import Trial, injected, run_trial
from tflsplit.errors import ClusterError, LinkError, UserError, counted
from tflsplit.firmware import FirmwareOptions, board_named, options_of_cluster
from tflsplit.firmware.options import TFLM_DIR_VARIABLE
from tflsplit.passes.prepare import prepare
from tflsplit.report.timeline import measured_trace
from tflsplit.runtime.engines import engine
from tflsplit.runtime.load import load_inputs
from tflsplit.verify import Case, make_cases
from tflsplit.verify.inputs import EDGES
from tflsplit.wire.topology import Topology

_CONNECT_SECONDS = 120.0
_PATIENT_MS = 120_000


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "emulate",
        help="run the devices' firmware on emulated boards, and compare with the unsplit model",
        description="Build the firmware, start one emulated board per device, wire their UARTs, "
        "run inferences through the same host program as real boards, and compare every output "
        "with the unsplit model's. Exit code 1 if a bit differs.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
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
        "'0.5 reset 2', kill, pause, resume or swap (its two cables) of a rank, 'cut 0-1' or "
        "'join 0-1'; may be repeated",
    )


def main(arguments: argparse.Namespace) -> int:
    """Run the command; SIGTERM ends what it has started, too."""
    with ended_by_sigterm():
        return _main(arguments)


def _main(arguments: argparse.Namespace) -> int:
    if arguments.runs < 0 or arguments.seed < 0 or arguments.timeout <= 0:
        raise UserError("--runs and --seed must be 0 or more, --timeout more than 0")
    with progress("reading") as stage:
        bundle = read_bundle(arguments.folder)
        if arguments.app:
            return emulate_application(arguments, bundle, _options(arguments, bundle), stage)
        cases = list(_cases(arguments, bundle))
        events = [read_event(text, len(bundle.devices)) for text in arguments.event]
        labels = read_labels(arguments.labels)
        engine_name, make = engine(None)
        with _session(arguments, bundle, engine_name, stage) as session:
            trial = run_trial(
                bundle,
                session,
                cases,
                make,
                connect_seconds=_CONNECT_SECONDS,
                infer_seconds=arguments.timeout,
                counts_instructions=not (arguments.native or arguments.core_only),
                stage=stage,
                events=events,
            )
    if not trial.inferences:
        raise LinkError(next(iter(trial.failures.values())))
    outputs = trial.inferences[0].outputs
    if arguments.output:
        save_outputs(arguments.output, outputs)
    best = best_classes(prepare(bundle.model), outputs, arguments.top, labels)
    if arguments.trace:
        save_trace(arguments.trace, measured_trace(trial.inferences, trial.devices))
    if arguments.record:
        kind = "native" if arguments.native else "core" if arguments.core_only else "emulate"
        figures = figures_document(trial.devices, trial.wires, trial.inferences)
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
    else:
        runs = max(1, runs)
    yield from islice(make_cases(whole, runs, arguments.seed), len(EDGES), None)


def _session(
    arguments: argparse.Namespace, bundle: Bundle, engine_name: str, stage: Stage
) -> AbstractContextManager[Session]:
    options, rate = _options(arguments, bundle), arguments.faults
    faults = FaultModel(rate, rate, rate) if rate else None
    if arguments.core_only:
        if arguments.firmware:
            raise ClusterError("--core-only runs no firmware: leave --firmware out")
        stage("building the links")
        pluggable = bool(arguments.event)
        wired = options.topology, options.direct
        return core_only(bundle, engine_name, faults, arguments.seed, *wired, pluggable)
    if arguments.firmware:
        built = take_firmware(bundle, arguments.firmware)
    else:
        built = _build(bundle, options, stage)
    return whole_firmware(
        bundle,
        built.setup,
        built.devices,
        faults,
        arguments.seed,
        count_instructions=not arguments.native,
        pluggable=bool(arguments.event),
    )


def _options(arguments: argparse.Namespace, bundle: Bundle) -> FirmwareOptions:
    """As the folder was made for, but on boards of this computer."""
    cluster = remembered_cluster(bundle.document, bundle.folder)
    if arguments.cluster is not None:
        cluster = read_cluster(arguments.cluster)
        boards = boards_of_cluster(cluster, arguments.cluster)
    elif arguments.native:
        boards = (HOST_BOARD,)
    elif arguments.core_only or arguments.firmware:
        boards = (DEFAULT_BOARD,)  # builds none
    else:
        boards = arguments.board or boards_of_folder(bundle)
    options = FirmwareOptions(boards=boards)
    if cluster is not None:
        with suppress(ClusterError):  # no firmware can be wired so: a bus, a camera elsewhere
            options = options_of_cluster(cluster, boards)
    if not all(board_named(board).is_emulated for board in boards):
        # The chip that one would flash, but a tenth as fast.
        options = replace(options, timeout_ms=_PATIENT_MS, peer_timeout_ms=_PATIENT_MS // 4)
    if arguments.direct is not None:
        options = replace(options, direct=arguments.direct)
    if arguments.topology is None or arguments.topology == options.topology.value:
        return options
    if cluster is not None:
        note(f"a {arguments.topology} instead of the {options.topology.value} it was made for")
    return replace(options, topology=Topology(arguments.topology))


def _build(bundle: Bundle, options: FirmwareOptions, stage: Stage) -> BuiltFirmware:
    if options.boards == (HOST_BOARD,) and options.tflm_dir is None:
        stage("building the firmware, with TFLM from its wheel")
        return build_native(bundle, options)
    stage("building the firmware (TFLM once for each board: some minutes)")
    return build_firmware(bundle, options)


def _document(bundle: Bundle, trial: Trial, engine_name: str) -> dict[str, Any]:
    document = figures_document(trial.devices, trial.wires, trial.inferences)
    for entry, wire in zip(document["wires"], trial.wires, strict=True):
        entry["faults"] = injected(trial, wire, len(bundle.devices))
    return {
        "fingerprint": bundle.document["fingerprint"],
        "engine": engine_name,
        "same_bits": trial.same_bits,
        "differing": trial.differing,
        "failures": trial.failures,
        "elements": trial.elements,
        **document,
    }


def _print(bundle: Bundle, trial: Trial, engine_name: str) -> None:
    world_size = len(bundle.devices)
    print_devices(trial.devices, f"{counted(world_size, 'device')}; bytes as plan.json says")
    print_wires(trial.wires, world_size)
    faults = [injected(trial, wire, world_size) or 0 for wire in trial.wires]
    if any(faults):
        STDOUT.print(f"{sum(faults)} faults were injected")
    print_rate(trial.inferences)
    for case, text in trial.failures.items():
        STDOUT.print(f"failed: {text}; input: {case}", markup=False)
    for case, count in trial.differing.items():
        if count:
            STDOUT.print(f"FAILED: {count} output elements differ; input: {case}", markup=False)
    if trial.same_bits:
        STDOUT.print(
            f"the same bits: {counted(world_size, 'device')} and the unsplit model on "
            f"{engine_name}, {counted(len(trial.inferences), 'input')}, "
            f"{trial.elements:,} elements compared"
        )
