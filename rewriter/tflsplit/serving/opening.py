# SPDX-License-Identifier: Apache-2.0
"""From ports and a model or an output folder to a service that runs."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from tflsplit.api.planned import planned_for
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.remembered import remembered_teams
from tflsplit.errors import ClusterError, counted
from tflsplit.firmware import FirmwareOptions
from tflsplit.firmware.remembered import remembered_options
from tflsplit.host.ports import DEFAULT_BAUD
from tflsplit.serving.boards import Ports
from tflsplit.serving.events import Event, OnEvent, ServeOptions
from tflsplit.serving.plans import Plans
from tflsplit.serving.service import Service


def serve(
    what: str | PathLike[str],
    ports: str | Sequence[str] | Ports,
    options: ServeOptions | None = None,
    *,
    key: bytes | None = None,
    baud: int = DEFAULT_BAUD,
    on_event: OnEvent = lambda event: None,
) -> Service:
    """A service on the boards behind some ports: they run the model when this returns.

    what: an output folder, whose plan is taken wherever it fits the boards that are there; or a
        .tflite file, which is planned for them.
    ports: names as ``tflsplit.host.open_port`` takes them.
    key: of boards whose firmware has one.  baud: of a port that is a UART.
    on_event: is told what happens to the boards, from within the service's own calls.
    Raises ModelError, PlanError, ClusterError or LinkError, saying what is wrong.
    """
    wanted = options or ServeOptions()
    if not isinstance(ports, Ports):
        ports = Ports([ports] if isinstance(ports, str) else list(ports), baud)
    try:
        service = Service(_plans(Path(what), ports, wanted, on_event), ports, wanted, key, on_event)
        service.start()
    except BaseException:
        ports.close()
        raise
    return service


def _plans(what: Path, ports: Ports, options: ServeOptions, on_event: OnEvent) -> Plans:
    if what.is_dir():
        bundle = read_bundle(what)
        firmware = remembered_options(bundle, ())
        _refuse_teams(bundle, firmware, ports)
        return Plans(bundle, firmware, options)
    if not what.exists():
        raise ClusterError(f"{what}: no such folder or model")
    wiring = ports.look(options.patience_seconds).wiring
    on_event(Event("planning", "searching a plan for the boards that are there"))
    planned = planned_for(what, wiring, options.objective)
    return Plans(planned.split.bundle, planned.options, options)


def _refuse_teams(bundle: Bundle, firmware: FirmwareOptions, ports: Ports) -> None:
    """ClusterError for the ports of several teams: a board that is lost is looked for in one."""
    teams = remembered_teams(bundle.document, bundle.folder)
    of_one = len(firmware.gateways_of(len(bundle.devices)))
    if teams > 1 and len(ports.names) > of_one:
        raise ClusterError(
            f"the plan is for {teams} teams, and a service drives one: start `tflsplit serve` once "
            f"for each, with the {counted(of_one, 'port')} of that team (without a service, "
            "`tflsplit cluster` gives inferences to all of them)"
        )
