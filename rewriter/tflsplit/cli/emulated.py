# SPDX-License-Identifier: Apache-2.0
"""What `emulate` starts: the firmware of a folder, and a cluster of it for each team."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace

from tflsplit.bundle import Bundle
from tflsplit.bundle.remembered import remembered_cluster, remembered_teams
from tflsplit.cli.boards_to_emulate import DEFAULT_BOARD, boards_of_cluster, boards_of_folder
from tflsplit.cli.console import Stage, note
from tflsplit.cluster import read_cluster
from tflsplit.emulate import FaultModel
from tflsplit.emulate.firmware_build import BuiltFirmware, build_firmware, take_firmware
from tflsplit.emulate.interventions import Event, impatient
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import Session, core_only, whole_firmware
from tflsplit.errors import ClusterError
from tflsplit.firmware import FirmwareOptions, board_named, options_of_cluster
from tflsplit.wire.topology import Topology

_PATIENT_MS = 120_000


def sessions(
    arguments: argparse.Namespace,
    bundle: Bundle,
    engine_name: str,
    stage: Stage,
    events: Sequence[Event] = (),
) -> list[AbstractContextManager[Session]]:
    """One for each team; cables and boards can be meddled with if there are events."""
    teams = range(remembered_teams(bundle.document, bundle.folder))
    options, rate = options_of(arguments, bundle), arguments.faults
    faults = FaultModel(rate, rate, rate) if rate else None
    if arguments.core_only:
        if arguments.firmware:
            raise ClusterError("--core-only runs no firmware: leave --firmware out")
        if any(event.word == "hang" for event in events):
            raise ClusterError("--core-only runs no firmware that could hang: use --native")
        stage("building the links")
        pluggable = bool(events)
        wired = options.topology, options.direct
        return [
            core_only(bundle, engine_name, faults, arguments.seed + team, *wired, pluggable)
            for team in teams
        ]
    if arguments.firmware:
        built = take_firmware(bundle, arguments.firmware)
    else:
        built = _build(bundle, options, stage)
    return [
        whole_firmware(
            bundle,
            built.setup,
            impatient(built.devices, events),
            faults,
            arguments.seed + team,
            count_instructions=not arguments.native,
            pluggable=bool(events),
        )
        for team in teams
    ]


def options_of(arguments: argparse.Namespace, bundle: Bundle) -> FirmwareOptions:
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
    if arguments.board:
        options = replace(options, baud=None)  # theirs, not that of the boards it was made for
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
