# SPDX-License-Identifier: Apache-2.0
"""The devices of a plan behind this computer's ports: one cluster, or each of several teams."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.bundle import Bundle
from tflsplit.bundle.remembered import remembered_teams
from tflsplit.cli.console import note
from tflsplit.errors import LinkError, counted
from tflsplit.host import Coordinator, FirmwareSetup, open_port
from tflsplit.host.coordinator import CONNECT_SECONDS
from tflsplit.host.known_boards import read_boards
from tflsplit.host.port_ranks import ranks_of_ports
from tflsplit.host.ports import DEFAULT_BAUD, Stream
from tflsplit.host.usb import USB_IDS, ports_of

_TRY_SECONDS = 3.0


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
            cluster = _reached(bundle, setup, name, rate)
        except LinkError as error:
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


def connected_teams(
    bundle: Bundle, setup: FirmwareSetup, ports: Sequence[str] | None, baud: int | None
) -> list[Coordinator]:
    """Every team that there is a port for, checked.

    ports: of the teams' gateways, in whatever order; where each device has a port, those of a team
        after those of another.  None: every USB port that leads to such a gateway.
    Raises LinkError naming a device that is missing or wrong; says so where teams are missing.
    """
    rate = baud or setup.host_baud or DEFAULT_BAUD
    teams, size = remembered_teams(bundle.document, bundle.folder), len(setup.gateways)
    if ports is None and size > 1:
        raise LinkError(
            f"each of the {teams} teams has {size} ports, and no device knows which team it is in: "
            "name them with --port, those of a team after those of another"
        )
    if ports is not None and len(ports) % size:
        raise LinkError(f"{counted(len(ports), 'port')} for teams that have {size} each")
    hosts: list[Coordinator] = []
    try:
        if ports is None:
            hosts += _all_that_answer(bundle, setup, rate)
        for first in range(0, len(ports or ()), size):
            named = (ports or ())[first : first + size]
            hosts.append(connected(bundle, setup, named, baud))
    except BaseException:
        for host in hosts:
            host.close()
        raise
    if len(hosts) < teams:
        note(f"{len(hosts)} of the {teams} teams that the plan is for")
    return hosts


def _all_that_answer(bundle: Bundle, setup: FirmwareSetup, rate: int) -> list[Coordinator]:
    found, said = [], []
    for name in gateway_ports(bundle, setup):
        try:
            found.append(_reached(bundle, setup, name, rate))
        except LinkError as error:
            said.append(str(error))
    if not found:
        raise LinkError("no port leads to this plan's gateway: " + "; ".join(said))
    return [_checked(cluster, CONNECT_SECONDS) for cluster in found]


def _reached(bundle: Bundle, setup: FirmwareSetup, name: str, rate: int) -> Coordinator:
    """What is behind a port, if it is this plan's gateway; else LinkError."""
    cluster = Coordinator(open_port(name, rate), bundle, setup)
    try:
        cluster.reach_gateway(_TRY_SECONDS)
    except LinkError:
        cluster.close()
        raise
    return cluster
