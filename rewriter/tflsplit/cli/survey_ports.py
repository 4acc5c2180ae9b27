# SPDX-License-Identifier: Apache-2.0
"""The ports of commands that look for boards instead of for a plan."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tflsplit.deploy.explore import answering
from tflsplit.errors import LinkError
from tflsplit.host.ports import DEFAULT_BAUD, Stream, open_port
from tflsplit.host.usb import USB_IDS, ports_of


def add_subject(command: argparse.ArgumentParser) -> None:
    """What the boards are given, and the options that name their ports."""
    command.add_argument(
        "what", type=Path, metavar="DIR|MODEL", help="what `rewrite` wrote, or an int8 .tflite file"
    )
    add_ports(command)


def add_ports(command: argparse.ArgumentParser) -> None:
    """The options that name them."""
    command.add_argument(
        "--port",
        action="append",
        metavar="PORT",
        help="/dev/ttyACM0, COM5, socket://host:port, a pty; several if several boards are plugged "
        "in (the USB ports of boards that are known)",
    )
    command.add_argument(
        "--baud", type=int, default=DEFAULT_BAUD, metavar="RATE", help="of a UART that is a port"
    )


@contextmanager
def survey_ports(arguments: argparse.Namespace) -> Iterator[list[Stream]]:
    """The streams of ``--port``, or of the USB ports of boards; closed at the end."""
    names = arguments.port or [port.device for port in ports_of(USB_IDS)]
    if not names:
        raise LinkError("no board is plugged in here; name a port with --port")
    streams: list[Stream] = []
    try:
        for name in names:  # so that those that are open are closed where another cannot be
            try:
                streams += [open_port(name, arguments.baud)]
            except LinkError:
                if arguments.port:
                    raise  # of those that nobody named, another program may have one
        found = streams if arguments.port else answering(streams)
        if not found:
            raise LinkError(
                f"no board answers at {', '.join(names)}: flash the generic firmware, or name a "
                "port with --port"
            )
        yield found
    finally:
        for stream in streams:
            stream.close()
