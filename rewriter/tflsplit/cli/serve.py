# SPDX-License-Identifier: Apache-2.0
"""``tflsplit serve DIR --port /dev/ttyACM0``: lines of JSON in, lines of JSON out."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tflsplit.cli.console import STDERR, Commands, note
from tflsplit.cli.deploy import read_key
from tflsplit.cli.survey_ports import add_subject, survey_ports
from tflsplit.planner import OBJECTIVES
from tflsplit.serving import Event, ServeOptions, Service, serve
from tflsplit.serving.boards import Ports
from tflsplit.serving.lines import (
    MOST_LINE_BYTES,
    Lines,
    Listener,
    address_of,
    lines_of_descriptor,
)
from tflsplit.serving.requests import answer, event_line, too_long

_TEND_SECONDS = 0.2
_DEFAULTS = ServeOptions()


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "serve",
        help="answer inferences on boards, and go on with the others when some are lost",
        description="Give the boards behind a port a plan, then answer requests: one JSON object a "
        "line on standard input (or from clients, with --listen), one on standard output for each. "
        "When a board dies or a cable is cut, the boards that are left are given a plan for "
        "themselves and the inference is repeated; a board that returns is taken in again.",
    )
    add_subject(command)
    command.add_argument(
        "--listen",
        metavar="[ADDRESS:]PORT",
        help="serve clients of this TCP port instead of standard input (of this computer only, "
        "unless an address is named; 0: any free port)",
    )
    command.add_argument(
        "--key", type=Path, metavar="FILE", help="the key that was compiled into the firmware"
    )
    for name, value, meaning in (
        ("patience", _DEFAULTS.patience_seconds, "a board that says nothing for so long is lost"),
        ("look", _DEFAULTS.look_seconds, "between two looks for boards that are missing"),
        ("timeout", _DEFAULTS.infer_seconds, "longest time of one try of an inference"),
    ):
        command.add_argument(
            f"--{name}", type=float, default=value, metavar="S", help=f"{meaning} ({value:g} s)"
        )
    command.add_argument(
        "--survive", type=int, choices=(0, 1), default=0, metavar="K",
        help="1: plan beforehand for the loss of each board, and keep the others' parts in their "
        "stores, so that they go on at once (0)",
    )  # fmt: skip
    command.add_argument(
        "--objective", choices=OBJECTIVES, default="latency", help="of plans (latency)"
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command; 0 when standard input ends, or at Ctrl-C."""
    options = ServeOptions(
        arguments.patience,
        arguments.look,
        arguments.timeout,
        arguments.objective,
        arguments.survive,
    )
    key = read_key(arguments.key)
    with _source(arguments.listen) as (lines, tell), survey_ports(arguments) as streams:
        ports = Ports.of_streams(streams, arguments.baud)

        def on_event(event: Event) -> None:
            tell(event_line(event))
            if not arguments.quiet:
                STDERR.print(f"{event.kind}: {event.text}", soft_wrap=True)

        with (
            _ended_by_signals(),
            serve(arguments.what, ports, options, key=key, on_event=on_event) as service,
        ):
            answer_all(service, lines)
    return 0


def answer_all(service: Service, lines: Lines) -> None:
    """Until there are no more lines."""
    while not lines.ended:
        line = lines.take(_TEND_SECONDS)
        if line is None:
            service.tend()
        elif line.data is None:
            line.write(too_long(MOST_LINE_BYTES))
        else:
            line.write(answer(service, line.data) if line.data else "")


@contextmanager
def _source(listen: str | None) -> Iterator[tuple[Lines, Callable[[str], None]]]:
    """Where requests come from, and what tells everybody of events."""
    if listen is None:
        yield lines_of_descriptor(sys.stdin.fileno(), _print), _print
        return
    with Listener(*address_of(listen)) as listener:
        note(f"clients connect to port {listener.port}; Ctrl-C ends it")
        yield listener.lines, listener.write_all


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM are how it ends, not errors."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
