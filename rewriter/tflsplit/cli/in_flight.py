# SPDX-License-Identifier: Apache-2.0
"""``--in-flight``: whether the next inference's input is sent while one is computed."""

from __future__ import annotations

import argparse

from tflsplit.cli.console import note
from tflsplit.errors import ClusterError
from tflsplit.host.firmware_json import FirmwareSetup

_NO_MEMORY = (
    "this plan's devices have no memory for the next input, so it is taken when an inference has "
    "ended; plan with --ahead (or [host] ahead = true) to have it taken meanwhile"
)


def add_in_flight(command: argparse.ArgumentParser) -> None:
    """--in-flight."""
    command.add_argument(
        "--in-flight",
        type=int,
        choices=(1, 2),
        help="inferences at one time: 2 sends the next one's input while one is computed (2 where "
        "the plan has memory for it)",
    )


def in_flight_of(arguments: argparse.Namespace, setup: FirmwareSetup) -> int:
    """How many; said, where it brings little."""
    if arguments.in_flight is None:
        return 2 if setup.ahead else 1
    if arguments.in_flight > 1 and not setup.ahead:
        note(_NO_MEMORY)
    return int(arguments.in_flight)


def refuse_in_flight(arguments: argparse.Namespace) -> None:
    """ClusterError where several teams are driven."""
    if arguments.in_flight not in (None, 1):
        raise ClusterError(
            "each of several teams has one inference at a time: leave --in-flight out"
        )
