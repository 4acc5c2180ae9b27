# SPDX-License-Identifier: Apache-2.0
"""``tflsplit discover --port /dev/ttyACM0``."""

from __future__ import annotations

import argparse

from tflsplit.cli.console import Commands, print_json, progress
from tflsplit.cli.found_boards import print_wiring, wiring_document
from tflsplit.cli.survey_ports import add_ports, survey_ports
from tflsplit.deploy.explore import explore, release


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "discover",
        help="find the boards behind a port, and how they are wired",
        description="Find all boards that run the generic firmware, or firmware of a plan, behind "
        "one port or several: what they are, what they hold, and the cables between them as they "
        "are. Boards that hold a plan go back to it.",
    )
    add_ports(command)
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    with survey_ports(arguments) as streams:
        with progress("looking for boards") as stage:
            surveyor, wiring = explore(streams)
            stage("letting them go")
            release(surveyor, wiring)
        names = [stream.name for stream in streams]
    if arguments.json:
        print_json(wiring_document(wiring, names))
    else:
        print_wiring(wiring, names)
    return 0
