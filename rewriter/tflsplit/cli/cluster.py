# SPDX-License-Identifier: Apache-2.0
"""``tflsplit cluster DIR --port /dev/ttyACM0 --input cat.jpg``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli.console import STDERR, Commands, note, print_json, progress
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
    Best,
    add_result_options,
    best_classes,
    outputs_document,
    print_outputs,
    read_labels,
    save_outputs,
)
from tflsplit.errors import LinkError, UserError, counted
from tflsplit.host import Coordinator, FirmwareSetup, Inference, open_port, read_firmware_setup
from tflsplit.host.coordinator import CONNECT_SECONDS, INFER_SECONDS
from tflsplit.host.figures import check_traffic, device_figures, remarks, wire_figures
from tflsplit.host.known_boards import read_boards
from tflsplit.host.port_ranks import ranks_of_ports
from tflsplit.host.ports import DEFAULT_BAUD, Stream
from tflsplit.host.usb import USB_IDS, ports_of
from tflsplit.passes.prepare import prepare
from tflsplit.report.timeline import measured_trace
from tflsplit.runtime.engines import Array
from tflsplit.runtime.load import load_inputs

_TRY_SECONDS = 3.0


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "cluster",
        help="run inferences on real devices, through the one that is plugged in here",
        description="Find the gateway, check that every device runs this plan, send each its part "
        "of the input, collect the output.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
    command.add_argument(
        "--port",
        action="append",
        metavar="PORT",
        help="/dev/ttyACM0, COM5, socket://host:port, a pty (USB ports of its kind of board); once "
        "for each device if the input goes to all directly",
    )
    command.add_argument("--baud", type=int, metavar="RATE", help="of the gateway's host link")
    add_result_options(command)
    command.add_argument("--loop", type=int, default=1, metavar="K", help="K inferences (1)")
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
        with connected(bundle, setup, arguments.port, arguments.baud) as cluster:
            before = cluster.links()
            inferences, failed = infer_often(
                cluster, inputs, arguments.loop, arguments.retries, arguments.timeout, stage
            )
            after = cluster.links()
    check_traffic(bundle.document, inferences[-1].reports)
    whole = prepare(bundle.model)
    outputs = inferences[-1].outputs
    if arguments.output:
        save_outputs(arguments.output, outputs)
    best = best_classes(whole, outputs, arguments.top, labels)
    devices = device_figures(cluster.infos, inferences, counts_instructions=False)
    wires = wire_figures(before, after, len(inferences))
    for remark in remarks(cluster.infos, wires):
        note(remark)
    if arguments.trace:
        save_trace(arguments.trace, measured_trace(inferences, devices))
    if arguments.record:
        record(bundle, "cluster", figures_document(devices, wires, inferences))
    if arguments.json:
        head = _head(bundle, outputs, best, failed)
        print_json(head | figures_document(devices, wires, inferences))
    else:
        print_outputs(bundle.document, best)
        print_devices(devices, f"{counted(setup.world_size, 'device')}, {setup.topology.value}")
        print_wires(wires, setup.world_size)
        print_rate(inferences, failed)
    return 0


def connected(
    bundle: Bundle, setup: FirmwareSetup, ports: Sequence[str] | None, baud: int | None
) -> Coordinator:
    """The cluster behind a port, checked; without one, behind the first port that answers.

    Where every device has a port: behind all of them, in whatever order they are named.
    Raises LinkError naming the device that is missing or wrong.
    """
    rate = baud or setup.host_baud or DEFAULT_BAUD
    if setup.direct:
        streams = _streams_of_all(bundle, setup, ports, rate)
        return _checked(Coordinator(streams, bundle, setup), CONNECT_SECONDS)
    if ports and len(ports) > 1:
        raise LinkError(
            f"{len(ports)} ports are named, but the firmware of this plan has the host at rank "
            f"{setup.gateway} only: name its port, or generate the firmware with --direct"
        )
    if ports:
        return _checked(Coordinator(open_port(ports[0], rate), bundle, setup), CONNECT_SECONDS)
    return _first_that_answers(bundle, setup, rate)


def _streams_of_all(
    bundle: Bundle, setup: FirmwareSetup, ports: Sequence[str] | None, rate: int
) -> dict[int, Stream]:
    """A stream to every device; without names, among the USB ports that can be one of them."""
    streams: list[Stream] = []
    try:
        for name in ports or gateway_ports(bundle, setup):
            try:
                streams.append(open_port(name, rate))
            except LinkError:
                if ports:
                    raise
        found = ranks_of_ports(streams, setup, _TRY_SECONDS, strict=bool(ports))
    except BaseException:
        for stream in streams:
            stream.close()
        raise
    for stream in streams:
        if stream not in found.values():
            stream.close()
    return found


def _first_that_answers(bundle: Bundle, setup: FirmwareSetup, rate: int) -> Coordinator:
    ports = gateway_ports(bundle, setup)
    said = []
    for name in ports:
        try:
            cluster = Coordinator(open_port(name, rate), bundle, setup)
        except LinkError as error:
            said.append(str(error))
            continue
        try:
            cluster.reach_gateway(_TRY_SECONDS)
        except LinkError as error:
            cluster.close()
            said.append(str(error))
            continue
        return _checked(cluster, CONNECT_SECONDS)
    raise LinkError("no port leads to this plan's gateway: " + "; ".join(said))


def gateway_ports(bundle: Bundle, setup: FirmwareSetup) -> list[str]:
    """The ports that can be the gateway: nothing else of this computer is opened.

    Raises LinkError if there is none.
    """
    boards = [str(device["board"]) for device in setup.devices]
    kinds = {boards[rank] for rank in setup.gateways} if boards else set(USB_IDS)
    if not kinds & USB_IDS.keys():
        raise LinkError(
            f"the gateway is {', '.join(kinds)}, which is no board to plug in: run it with "
            f"`tflsplit emulate {bundle.folder}`, or name a port with --port"
        )
    ports = ports_of(kinds, read_boards(bundle.folder).get(setup.gateway, ""))
    if not ports:
        missing = " or ".join(sorted(kinds)) if boards else "board"
        raise LinkError(f"no {missing} is plugged in here; name the gateway's port with --port")
    return [port.device for port in ports]


def _checked(cluster: Coordinator, timeout_seconds: float) -> Coordinator:
    try:
        cluster.connect(timeout_seconds)
    except BaseException:
        cluster.close()
        raise
    return cluster


def infer_often(
    cluster: Coordinator,
    inputs: dict[str, Array],
    count: int,
    retries: int,
    timeout_seconds: float,
    stage: Callable[[str], None],
) -> tuple[list[Inference], int]:
    """The inferences that went well, and how many did not and were repeated.

    Raises LinkError when one fails more than ``retries`` times.
    """
    done: list[Inference] = []
    failed = tries = 0
    while len(done) < count:
        stage(f"inference {len(done) + 1} of {count}")
        try:
            done.append(cluster.infer(inputs, timeout_seconds))
            tries = 0
        except LinkError as error:
            if tries == retries:
                raise
            STDERR.print(f"inference {len(done) + 1}: {error}; trying again", markup=False)
            failed += 1
            tries += 1
    return done, failed


def _head(
    bundle: Bundle, outputs: Sequence[Array], best: Sequence[Best], failed: int
) -> dict[str, Any]:
    return {
        "fingerprint": bundle.document["fingerprint"],
        "outputs": outputs_document(bundle.document, outputs, best),
        "repeated": failed,
    }
