# SPDX-License-Identifier: Apache-2.0
"""``tflsplit deploy DIR --port /dev/ttyACM0``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.remembered import remembered_cluster, remembered_teams
from tflsplit.cli.bars import bars
from tflsplit.cli.console import STDOUT, Commands, note, print_json, progress, table
from tflsplit.cli.deploy_model import Compared, compare, rewrite_for
from tflsplit.cli.found_boards import wiring_document
from tflsplit.cli.survey_ports import add_subject, survey_ports
from tflsplit.deploy.deploying import Deployed, Deployers, Prepared, prepare_teams
from tflsplit.deploy.explore import explore, release
from tflsplit.deploy.surveyor import Surveyor
from tflsplit.deploy.wiring import Wiring
from tflsplit.deploy.words import topology_words
from tflsplit.errors import UserError, counted
from tflsplit.firmware import FirmwareOptions, write_firmware
from tflsplit.firmware.as_built import as_built
from tflsplit.firmware.remembered import remembered_options
from tflsplit.host.coordinator import CONNECT_SECONDS
from tflsplit.host.ports import Stream
from tflsplit.planner import OBJECTIVES
from tflsplit.report.figures import kib
from tflsplit.untrusted import read_file

_MOST_KEY_BYTES = 4096
_RUNS = 3


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "deploy",
        help="give boards with the generic firmware a plan, over their own wires",
        description="Find the boards behind a port, give each the rank of its place, and send "
        "each its part of the plan: all boards at once, checked, committed on all or on none. "
        "Parts that a board holds already are not sent again. Of a model: plan it for the boards "
        "that are there first, and compare their outputs with the unsplit model's.",
    )
    add_subject(command)
    command.add_argument(
        "--key", type=Path, metavar="FILE", help="the key that was compiled into the firmware"
    )
    command.add_argument(
        "--runs", type=int, metavar="K", help="compare K inputs with the unsplit model (3 of a "
        "model, 0 of a folder)"
    )  # fmt: skip
    group = command.add_argument_group("of a model")
    group.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="output folder (build/<model name>)"
    )
    group.add_argument(
        "--force", action="store_true", help="write into DIR whatever it holds; other files stay"
    )
    group.add_argument("--objective", choices=OBJECTIVES, help="of the plan (latency)")
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    key, is_model = read_key(arguments.key), not arguments.what.is_dir()
    runs = (_RUNS if is_model else 0) if arguments.runs is None else arguments.runs
    if runs < 0:
        raise UserError("--runs must be 0 or more")
    if not is_model and (arguments.output or arguments.force or arguments.objective):
        raise UserError("-o, --force and --objective are for a model, not for a folder")
    bundle = None if is_model else read_bundle(arguments.what)
    if bundle is not None:
        remembered_options(bundle, ())  # before any board is asked to stop
    with survey_ports(arguments) as streams:
        bundle = bundle or rewrite_for(arguments, streams)
        with progress("looking for boards"):
            surveyor, wiring = explore(streams)
        teams = deploy_to(arguments, bundle, streams, key, surveyor, wiring)
        names = [stream.name for stream in streams]
        compared = None
        if runs:
            ends = [[streams[place] for place in team.streams] for team in teams]
            with progress("comparing with the unsplit model"):
                compared = compare(bundle, ends, runs, surveyor.stretched(CONNECT_SECONDS))
    if arguments.json:
        more = {"compared": None if compared is None else vars(compared)}
        print_json(document_of(bundle, wiring, teams, names) | more)
    else:
        for number, team in enumerate(teams):
            print_deployed(wiring, team, f"team {number}: " if len(teams) > 1 else "")
        if compared is not None:
            _print_compared(compared)
        ports = " ".join(f"--port {names[place]}" for team in teams for place in team.streams)
        STDOUT.print(f"next: tflsplit cluster {bundle.folder} {ports} --input FILE", soft_wrap=True)
    return 1 if compared is not None and compared.differing else 0


def _print_compared(compared: Compared) -> None:
    if not compared.inputs:
        return
    of = f"of {counted(compared.elements, 'output element')}"
    verdict = (
        f"{compared.differing:,} {of} DIFFER from" if compared.differing else "the same bits as"
    )
    STDOUT.print(
        f"{counted(compared.inputs, 'input')}: {verdict} the unsplit model on {compared.engine}"
        f"{'' if compared.differing else f' ({of[3:]})'}; the slowest took {compared.seconds:.2f} s"
    )


def deploy_to(
    arguments: argparse.Namespace,
    bundle: Bundle,
    streams: Sequence[Stream],
    key: bytes | None,
    surveyor: Surveyor,
    wiring: Wiring,
) -> list[Deployed]:
    """Give boards that were found the folder's plan, whose firmware.json is then for their wires.

    Raises ClusterError, and lets the boards go back to what they hold, if it does not fit them.
    """
    wanted = remembered_teams(bundle.document, bundle.folder)
    try:
        with progress("making images"):
            options = remembered_options(bundle, ())
            teams = prepare_teams(bundle, options, wiring, wanted)
            _rewire(bundle, options, teams[0])
    except UserError:
        release(surveyor, wiring)
        raise
    if len(teams) < wanted:
        note(f"there are boards and ports for {len(teams)} of the {wanted} teams of the plan")
    slots = min(one.options.rx_slots for one in teams)
    if slots < options.rx_slots:
        note(
            f"{slots} frames in transit on each link instead of {options.rx_slots}: no more fit "
            "into the rings that the boards' firmware was built with"
        )
    deployers = Deployers(teams, surveyor, streams, wiring, key)
    for team, one in enumerate(teams):
        sizes, quiet = [len(image) for image in one.images], arguments.quiet or arguments.json
        with bars(_names(wiring, one), sizes, quiet) as advance:
            deployers.prepare(team, advance)
    return deployers.finish()


def _rewire(bundle: Bundle, options: FirmwareOptions, prepared: Prepared) -> None:
    """Where the plan is deployed to other wires than its folder was made for."""
    if prepared.options.topology is options.topology:
        return
    planned = remembered_cluster(bundle.document, bundle.folder)
    cluster = None if planned is None else as_built(planned, prepared.options)
    write_firmware(bundle.folder, prepared.options, False, cluster)
    note(
        f"the plan leaves boards of the {options.topology.value} out: it is deployed to a "
        f"{prepared.options.topology.value} of the others, and {bundle.folder} is for that from "
        "now on"
    )


def read_key(path: Path | None) -> bytes | None:
    """The key of a file, without the line end behind it; None without a file.

    Raises UserError if it is empty, longer than 4 KB, or cannot be read.
    """
    if path is None:
        return None
    key = read_file(path, _MOST_KEY_BYTES, UserError).rstrip(b"\r\n")
    if not key:
        raise UserError(f"{path} is empty: a key has at least one byte")
    return key


def print_deployed(wiring: Wiring, deployed: Deployed, team: str = "") -> None:
    """What each board got, and how long it took."""
    done = deployed.deployment
    rows = [
        [
            str(rank),
            wiring.name(board),
            wiring.boards[board].kind,
            kib(done.image_bytes[rank]),
            kib(done.sent_bytes[rank]) if done.sent_bytes[rank] else "had it",
        ]
        for rank, board in enumerate(deployed.placement.boards)
    ]
    size = len(rows)
    those = f"{size} of " if size < len(wiring.boards) else ""
    title = f"{team}deployed to {those}{topology_words(wiring)}"
    table(title, ["rank", "<", "<board", "image", "sent"], rows)
    STDOUT.print(
        f"{kib(sum(done.sent_bytes))} sent and checked in {done.prepare_seconds:.1f} s, running "
        f"after {done.seconds:.1f} s; {kib(done.wire_bytes)} over the port",
        soft_wrap=True,
    )


def document_of(
    bundle: Bundle, wiring: Wiring, teams: Sequence[Deployed], ports: list[str]
) -> dict[str, Any]:
    """For programs; of several teams, the first one's figures, and those of all by team."""
    figures = [_figures(wiring, team, ports) for team in teams]
    return {
        "fingerprint": bundle.document["fingerprint"],
        **figures[0],
        "teams": figures if len(figures) > 1 else None,
        "wiring": wiring_document(wiring, ports),
    }


def _figures(wiring: Wiring, deployed: Deployed, ports: list[str]) -> dict[str, Any]:
    done = deployed.deployment
    return {
        "deployment": done.deployment.hex(),
        "port": ports[deployed.stream],
        "ports": [ports[place] for place in deployed.streams],
        "ranks": [
            {
                "rank": rank,
                "board": wiring.name(board),
                "image_bytes": done.image_bytes[rank],
                "sent_bytes": done.sent_bytes[rank],
            }
            for rank, board in enumerate(deployed.placement.boards)
        ],
        "prepare_seconds": done.prepare_seconds,
        "seconds": done.seconds,
        "wire_bytes": done.wire_bytes,
    }


def _names(wiring: Wiring, prepared: Prepared) -> list[str]:
    return [
        f"rank {rank}, board {wiring.name(board)}"
        for rank, board in enumerate(prepared.placement.boards)
    ]
