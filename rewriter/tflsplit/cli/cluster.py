# SPDX-License-Identifier: Apache-2.0
"""``tflsplit cluster DIR --port /dev/ttyACM0 --input cat.jpg``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.remembered import remembered_teams
from tflsplit.cli.connecting import connected, connected_teams
from tflsplit.cli.console import STDERR, STDOUT, Commands, note, print_json, progress
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
    Best,
    add_result_options,
    best_classes,
    outputs_document,
    print_outputs,
    read_labels,
    save_outputs,
)
from tflsplit.errors import UserError, counted
from tflsplit.host import Coordinator, FirmwareSetup, Inference, read_firmware_setup
from tflsplit.host.coordinator import CONNECT_SECONDS, INFER_SECONDS
from tflsplit.host.figures import (
    WireFigures,
    check_traffic,
    device_figures,
    remarks,
    wire_figures,
)
from tflsplit.host.teams import Teams, wires_of_teams
from tflsplit.passes.prepare import prepare
from tflsplit.report.timeline import measured_trace
from tflsplit.runtime.engines import Array
from tflsplit.runtime.load import load_inputs
from tflsplit.wire.control import Info


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "cluster",
        help="run inferences on real devices, through the one that is plugged in here",
        description="Find the gateway (the device at this computer), check that every device runs "
        "this plan, send each its part of the input, collect the output.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
    command.add_argument(
        "--port",
        action="append",
        metavar="PORT",
        help="/dev/ttyACM0, COM5, socket://host:port, a pty (USB ports of its kind of board); once "
        "for each device if the input goes to all directly; once for each team (throughput)",
    )
    command.add_argument("--baud", type=int, metavar="RATE", help="of the gateway's host link")
    add_result_options(command)
    command.add_argument("--loop", type=int, default=1, metavar="K", help="K inferences (1)")
    add_in_flight(command)
    command.add_argument(
        "--retries",
        type=int,
        default=0,
        metavar="R",
        help="repeat a failed inference up to R times (0)",
    )
    command.add_argument(
        "--timeout",
        type=float,
        default=INFER_SECONDS,
        metavar="S",
        help=f"longest time of an inference, in seconds ({INFER_SECONDS:g})",
    )
    add_record(command)
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.loop < 1 or arguments.retries < 0 or arguments.timeout <= 0:
        raise UserError("--loop must be at least 1, --retries 0, and --timeout more than 0")
    with progress("reading") as stage:
        bundle = read_bundle(arguments.folder)
        setup = read_firmware_setup(arguments.folder, bundle.document)
        inputs = load_inputs(bundle.model, arguments.input, note)
        labels = read_labels(arguments.labels)
        stage("looking for the devices")
        run = _run_teams if remembered_teams(bundle.document, bundle.folder) > 1 else _run
        ran = run(arguments, bundle, setup, inputs, stage)
    inferences, wires = ran.inferences, ran.wires
    check_traffic(bundle.document, inferences[-1].reports)
    whole = prepare(bundle.model)
    outputs = inferences[-1].outputs
    if arguments.output:
        save_outputs(arguments.output, outputs)
    best = best_classes(whole, outputs, arguments.top, labels)
    devices = device_figures(ran.infos, inferences, counts_instructions=False)
    for remark in remarks(ran.infos, wires):
        note(remark)
    if arguments.trace:
        of_one = max(ran.of_teams, key=len, default=inferences)
        save_trace(arguments.trace, measured_trace(of_one, devices))
    figures = figures_document(devices, wires, inferences, ran.seconds)
    if arguments.record:
        record(bundle, "cluster", figures)
    if arguments.json:
        print_json(_head(bundle, outputs, best, ran) | figures)
    else:
        print_outputs(bundle.document, best)
        teams = f"{len(ran.of_teams)} teams of " if ran.of_teams else ""
        size = counted(setup.world_size, "device")
        print_devices(devices, f"{teams}{size}, {setup.topology.value}")
        print_wires(wires, setup.world_size)
        print_rate(inferences, ran.failed, ran.seconds)
        if ran.of_teams:
            STDOUT.print(teams_line(ran.of_teams))
    return 0


@dataclass(frozen=True)
class Ran:
    """What came of it; ``failed``: inferences that were repeated.

    of_teams: with several teams, what each inferred; seconds: with them, or with several
        inferences in flight, how long all of it took.
    """

    infos: Sequence[Info]
    inferences: list[Inference]
    wires: list[WireFigures]
    failed: int
    of_teams: Sequence[Sequence[Inference]] = ()
    seconds: float | None = None


def _run(
    arguments: argparse.Namespace,
    bundle: Bundle,
    setup: FirmwareSetup,
    inputs: dict[str, Array],
    stage: Callable[[str], None],
) -> Ran:
    with connected(bundle, setup, arguments.port, arguments.baud) as cluster:
        in_flight = min(in_flight_of(arguments, setup), arguments.loop)
        before, begun = cluster.links(), time.monotonic()
        inferences, failed = infer_often(
            cluster, inputs, arguments.loop, arguments.retries, arguments.timeout, stage, in_flight
        )
        seconds = time.monotonic() - begun if in_flight > 1 else None
        wires = wire_figures(before, cluster.links(), len(inferences))
        return Ran(cluster.infos, inferences, wires, failed, seconds=seconds)


def _run_teams(
    arguments: argparse.Namespace,
    bundle: Bundle,
    setup: FirmwareSetup,
    inputs: dict[str, Array],
    stage: Callable[[str], None],
) -> Ran:
    refuse_in_flight(arguments)
    with ExitStack() as stack:
        hosts = connected_teams(bundle, setup, arguments.port, arguments.baud)
        for host in hosts:
            stack.enter_context(host)
        before = [host.links() for host in hosts]
        teams = Teams(hosts, arguments.retries)
        run = teams.infer_all([inputs] * arguments.loop, arguments.timeout, stage)
        for team, error in run.failures:
            STDERR.print(f"team {team}: {error}; another try did its input", markup=False)
        wires = wires_of_teams(hosts, before, run, CONNECT_SECONDS)
        of_teams = [run.of_team(team) for team in range(len(hosts))]
        infos = hosts[0].infos
        return Ran(infos, run.inferences, wires, len(run.failures), of_teams, run.seconds)


def infer_often(
    cluster: Coordinator,
    inputs: dict[str, Array],
    count: int,
    retries: int,
    timeout_seconds: float,
    stage: Callable[[str], None],
    in_flight: int = 1,
) -> tuple[list[Inference], int]:
    """The inferences that went well, and how many did not and were repeated.

    in_flight: as of ``Coordinator.infer_each``.

    Raises LinkError when one fails more than ``retries`` times.
    """
    done: list[Inference] = []
    failed = tries = 0
    while len(done) < count:
        wanted = [inputs] * (count - len(done))
        for outcome in cluster.infer_each(wanted, timeout_seconds, in_flight):
            if isinstance(outcome, Inference):
                done.append(outcome)
                stage(f"inference {len(done) + 1} of {count}")
                tries = 0
                continue
            if tries == retries:
                raise outcome
            STDERR.print(f"inference {len(done) + 1}: {outcome}; trying again", markup=False)
            failed += 1
            tries += 1
    return done, failed


def _head(
    bundle: Bundle, outputs: Sequence[Array], best: Sequence[Best], ran: Ran
) -> dict[str, Any]:
    return {
        "fingerprint": bundle.document["fingerprint"],
        "outputs": outputs_document(bundle.document, outputs, best),
        "repeated": ran.failed,
        **({"teams": [len(done) for done in ran.of_teams]} if ran.of_teams else {}),
    }
