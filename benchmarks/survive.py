# SPDX-License-Identifier: Apache-2.0
"""Boards that die at every point of an inference and of a deployment: right bits, and how soon.

Native generic firmware in a ring, driven by ``tflsplit.serving``. Each rank is killed while it is
idle; after each ``--step`` bytes that any of its ports sends in an inference, and after each that
come to it (a step shorter than a frame meets every GRANT, DATA, output and report, and the kernels
between them); and after parts of the bytes of its own deployment. The inference must end with the
unsplit model's bits; then the board gets its power back, and all must compute again.

    python -m benchmarks.survive MODEL.tflite [-n 4] [--step 30] [--survive 1] [--seconds 3600]

Prints the table of docs/verified.md; 1 if an output was wrong, or none came.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks.survive_desk import Desk, Questions, desk, questions
from benchmarks.survive_table import Row, table
from tflsplit.emulate.wiring import Port as End
from tflsplit.errors import LinkError
from tflsplit.firmware import FirmwareOptions, write_firmware
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.serving import ServeOptions, Service

_GATEWAY_OFF_SECONDS = 1.0
_DEPLOYMENT_PARTS = 8
_HANG_SECONDS = 60.0
_BACK_SECONDS = 60.0
PHASES = ("idle", "sending", "receiving", "deployment")


@dataclass(frozen=True)
class Kill:
    """One of them.

    end: the port whose bytes are counted, None: at once.  is_gateway: its death is only survived by
    its return.
    """

    phase: str
    rank: int
    end: End | None = None
    after_bytes: int = 0

    @property
    def is_gateway(self) -> bool:
        """Whether the host reaches the others through it."""
        return self.rank == 0


def kills(running: Desk, sent: dict[End, int], step: int) -> Iterator[Kill]:
    """Of an inference.  sent: by each port in one that nothing happens to."""
    ranks = range(len({end.rank for end in running.cluster.plugs if end.rank >= 0}))
    for rank in ranks:
        yield Kill("idle", rank)
        for own in running.plugs_of(rank):
            for phase, end in (("sending", own), ("receiving", running.peer_of(own))):
                for after in range(1, sent.get(end, 0) + 1, step):
                    yield Kill(phase, rank, end, after)


def inflict(running: Desk, service: Service, asked: Questions, kill: Kill, row: Row) -> None:
    """One kill, the inference that it meets, and the board's return."""
    row.kills += 1
    if kill.end is None:
        running.cluster.kill(kill.rank)
    else:
        running.kill_after(kill.end, kill.after_bytes, kill.rank)
    back = _comes_back(running, kill.rank) if kill.is_gateway else None
    try:
        served, is_right = running.infer(service, asked, _HANG_SECONDS)
    except LinkError as error:
        row.none += 1
        print(f"no answer: {kill}: {error}", file=sys.stderr)
    else:
        row.right += is_right
        row.wrong += not is_right
        if served.repeated:
            row.met += 1
            (row.gateway_seconds if kill.is_gateway else row.seconds).append(served.seconds)
    running.cluster.proxy.forget_alarms()
    if back is not None:
        back.join()
    _revive(running, kill.rank)
    row.not_back += not _is_back(running, service, asked)


def _comes_back(running: Desk, rank: int) -> threading.Thread:
    """The gateway's power returns a while after it failed."""

    def wait() -> None:
        deadline = time.monotonic() + _HANG_SECONDS / 2
        while not running.is_dead(rank) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(_GATEWAY_OFF_SECONDS)
        _revive(running, rank)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def _revive(running: Desk, rank: int) -> None:
    if running.is_dead(rank):
        running.cluster.restart(rank)


def _is_back(running: Desk, service: Service, asked: Questions) -> bool:
    """Whether all boards compute again, with the right bits, within a while."""
    deadline = time.monotonic() + _BACK_SECONDS
    while time.monotonic() < deadline:
        try:
            served, is_right = running.infer(service, asked, _BACK_SECONDS)
        except LinkError:
            continue
        if not is_right:
            return False
        if served.boards == len(asked.bundle.devices):
            return True
    return False


def in_inferences(
    folder: Path, asked: Questions, options: ServeOptions, step: int, until: float
) -> Iterator[Row]:
    """A row of each phase."""
    rows = {phase: Row(phase) for phase in PHASES[:-1]}
    with (
        tempfile.TemporaryDirectory() as stores,
        desk(Path(stores), _size(asked)) as running,
        running.serve(folder, options) as service,
    ):
        before = running.sent()
        running.infer(service, asked)
        sent = {end: count - before[end] for end, count in running.sent().items()}
        for kill in kills(running, sent, step):
            if time.monotonic() < until:
                inflict(running, service, asked, kill, rows[kill.phase])
    yield from rows.values()


def in_deployments(folder: Path, asked: Questions, options: ServeOptions, until: float) -> Row:
    """Each rank dies after parts of what comes to it while blank boards are given the plan."""
    row = Row(PHASES[-1])
    sizes = [(folder / f"node{rank}.tflite").stat().st_size for rank in range(_size(asked))]
    for rank in range(1, _size(asked)):
        for part in range(_DEPLOYMENT_PARTS):
            if time.monotonic() > until:
                return row
            with tempfile.TemporaryDirectory() as stores, desk(Path(stores), _size(asked)) as one:
                row.kills += 1
                end = one.peer_of(End(rank, 0))
                one.kill_after(end, 1 + part * sizes[rank] // _DEPLOYMENT_PARTS, rank)
                begun = time.monotonic()
                with one.serve(folder, options) as service:
                    _, is_right = one.infer(service, asked)
                    row.right += is_right
                    row.wrong += not is_right
                    if one.is_dead(rank):
                        row.met += 1
                        row.seconds.append(time.monotonic() - begun)
                    one.cluster.proxy.forget_alarms()
                    _revive(one, rank)
                    if not _is_back(one, service, asked):
                        row.not_back += 1
                        print(f"not back: rank {rank}, part {part}: {one.events}", file=sys.stderr)
    return row


def times(folder: Path, asked: Questions, options: ServeOptions) -> list[str]:
    """Seconds of each step behind a death in mid-inference, the median of all ranks but 0's.

    Until it was noticed; until the others were found; until they ran; until the right output.
    """
    found: list[tuple[float, ...]] = []
    with (
        tempfile.TemporaryDirectory() as stores,
        desk(Path(stores), _size(asked)) as running,
        running.serve(folder, options) as service,
    ):
        for rank in range(1, _size(asked)):
            running.infer(service, asked)
            running.events.clear()
            running.kill_after(running.peer_of(End(rank, 0)), 200, rank)
            begun = time.monotonic()
            served, is_right = running.infer(service, asked)
            if not is_right or not served.repeated:
                raise LinkError(f"rank {rank}: the inference was not met, or not right")
            at = {event.kind: moment - begun for moment, event in running.events}
            marks = [0.0, at["failed"], at["lost"], at["running"], served.seconds]
            found.append(tuple(after - before for before, after in pairwise(marks)))
            _revive(running, rank)
            if not _is_back(running, service, asked):
                raise LinkError(f"rank {rank} was not taken in again")
    return [f"{statistics.median(step):.2f}" for step in zip(*found, strict=True)]


def _size(asked: Questions) -> int:
    return len(asked.bundle.devices)


def folder_of(model: Path, world_size: int, build: Path) -> Path:
    """A plan by rows for boards of this computer: every rank has its part of every layer."""
    folder = build / f"{model.stem}-{world_size}"
    if not (folder / "plan.json").is_file():
        rewrite(model, folder, Wishes(world_size, "rows"))
        write_firmware(folder, FirmwareOptions(boards=("host",), tflm_dir=None))
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.survive", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("-n", "--devices", type=int, default=4)
    parser.add_argument("--step", type=int, default=30, help="bytes between two kills (30)")
    parser.add_argument("--survive", type=int, default=0, help="as of `tflsplit serve` (0)")
    parser.add_argument("--patience", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=3600.0, help="at most (3600)")
    parser.add_argument("--phases", nargs="+", choices=("inference", "deployment", "times"),
                        default=["inference", "deployment"])  # fmt: skip
    parser.add_argument("--build", type=Path, default=Path("build") / "survive")
    given = parser.parse_args(arguments)
    folder = folder_of(given.model, given.devices, given.build)
    asked = questions(folder)
    options = ServeOptions(
        patience_seconds=given.patience, look_seconds=0.05, objective="ram", survive=given.survive
    )
    if "times" in given.phases:
        steps = times(folder, asked, options)
        print(f"| {given.model.stem}, {given.devices}, {given.survive} | {' | '.join(steps)} |")
    until = time.monotonic() + given.seconds
    rows: list[Row] = []
    if "inference" in given.phases:
        rows += in_inferences(folder, asked, options, given.step, until)
    if "deployment" in given.phases:
        rows.append(in_deployments(folder, asked, options, until))
    if rows:
        print(table(rows))
    return 0 if all(row.is_sound for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
