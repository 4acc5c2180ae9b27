# SPDX-License-Identifier: Apache-2.0
"""Boards that die at every point of an inference and of a deployment: right bits, and how soon.

Generic firmware in a ring, native or on emulated boards, driven by ``tflsplit.serving``. Each rank
is killed while it is idle; at every frame that it sends in an inference, and at every one that
comes to it; while it computes what lies between them; and after parts of the bytes of its own
deployment (``survive_points``). The inference must end with the unsplit model's bits; then the
board gets its power back, and all must compute again.

    python -m benchmarks.survive MODEL.tflite [-n 4] [--survive 1] [--points 20] [--jobs 4]
        [--board mps3_an547]

Prints the table of docs/verified.md; 1 if an output was wrong, or none came.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import active_children, get_context
from pathlib import Path

from benchmarks.survive_desk import Desk, Questions, desk, folder_of, questions
from benchmarks.survive_points import PHASES, Kill, kills
from benchmarks.survive_table import Row, table, total
from tflsplit.emulate.builders import ended_by_sigterm
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.emulate.wiring import Port as End
from tflsplit.errors import LinkError
from tflsplit.serving import ServeOptions, Service

_GATEWAY_OFF_SECONDS = 1.0
_DEPLOYMENT_PARTS = 8
_HANG_SECONDS = 120.0
_BACK_SECONDS = 120.0
_SLOW_SECONDS = 20.0  # longer is told of; on native boards a few seconds are what it takes


def inflict(running: Desk, service: Service, asked: Questions, kill: Kill, row: Row) -> None:
    """One kill, the inference that it meets, and the board's return."""
    row.kills += 1
    running.events.clear()
    if kill.end is None:
        running.cluster.kill(kill.rank)
    else:
        running.kill_after(kill.end, kill.after_bytes, kill.rank, kill.after_seconds)
    with _back_soon(running, kill):
        try:
            served, is_right = running.infer(service, asked, _HANG_SECONDS)
        except LinkError as error:
            row.none += 1
            _tell(running, "no answer", kill, str(error))
        else:
            row.right += is_right
            row.wrong += not is_right
            if served.seconds > _SLOW_SECONDS:
                _tell(running, f"{served.seconds:.1f} s", kill, "")
            if served.repeated:
                row.met += 1
                (row.gateway_seconds if kill.is_gateway else row.seconds).append(served.seconds)
    running.calm()
    _revive(running, kill.rank)
    if not _is_back(running, service, asked):
        row.not_back += 1
        _tell(running, "not back", kill, "")


def _tell(running: Desk, what: str, kill: Kill, why: str) -> None:
    """Of something that should not be, with all that the service said."""
    first = running.events[0][0] if running.events else 0.0
    said = [f"{at - first:.2f} {event.kind}: {event.text}" for at, event in running.events[:20]]
    print("\n  ".join([f"{what}: {kill} {why}", *said]), file=sys.stderr, flush=True)


@contextmanager
def _back_soon(running: Desk, kill: Kill) -> Iterator[None]:
    """Where it is the gateway, its power returns a while after it failed."""
    over = threading.Event()

    def wait() -> None:
        while not running.is_dead(kill.rank) and not over.wait(0.05):
            pass
        if not over.wait(_GATEWAY_OFF_SECONDS):
            _revive(running, kill.rank)

    thread = threading.Thread(target=wait, daemon=True)
    if kill.is_gateway:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if kill.is_gateway:
            thread.join()


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


@dataclass(frozen=True)
class Trial:
    """What all boards of a run have in common.

    until: nobody is killed any more then, ``time.monotonic``.  ranks: who may be killed.
    """

    folder: Path
    board: str
    options: ServeOptions
    points: int
    until: float
    ranks: tuple[int, ...]

    def points_to_die(self) -> list[Kill]:
        """Of an inference, which is recorded on boards of its own."""
        asked = questions(self.folder)
        with (
            tempfile.TemporaryDirectory() as stores,
            desk(Path(stores), asked.world_size, self.board) as running,
            running.serve(self.folder, self.options) as service,
        ):
            running.infer(service, asked)
            frames = running.record(lambda: running.infer(service, asked))
            return self._chosen(kills(frames, running.peers, asked.world_size))

    def part(self, some: Sequence[Kill]) -> list[Row]:
        """Some of them, on other boards; a row of each phase."""
        asked = questions(self.folder)
        rows = {phase: Row(phase) for phase in PHASES[:-1]}
        with (
            ended_by_sigterm(),
            tempfile.TemporaryDirectory() as stores,
            desk(Path(stores), asked.world_size, self.board) as running,
            running.serve(self.folder, self.options) as service,
        ):
            for kill in some:
                if time.monotonic() < self.until:
                    inflict(running, service, asked, kill, rows[kill.phase])
        return list(rows.values())

    def _chosen(self, found: Iterable[Kill]) -> list[Kill]:
        """At most so many of each phase, spread over it."""
        by_phase: dict[str, list[Kill]] = {}
        for kill in found:
            if kill.rank in self.ranks:
                by_phase.setdefault(kill.phase, []).append(kill)
        return [
            some[place * len(some) // min(self.points, len(some))]
            for some in by_phase.values()
            for place in range(min(self.points, len(some)))
        ]


def in_inferences(trial: Trial, jobs: int) -> list[Row]:
    """A row of each phase, with the kills shared by so many sets of boards at a time."""
    found = trial.points_to_die()
    # spawned: a forked one would talk to this one's interpreter, over the same pipe
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        try:
            parts = list(pool.map(trial.part, [found[job::jobs] for job in range(jobs)]))
        except BaseException:  # they put their boards away, as this program does
            for process in active_children():
                process.terminate()
            raise
    return [total(rows) for rows in zip(*parts, strict=True)]


def in_deployments(trial: Trial) -> Row:
    """Each rank dies after parts of what comes to it while blank boards are given the plan."""
    row, folder, asked = Row(PHASES[-1]), trial.folder, questions(trial.folder)
    sizes = [(folder / f"node{rank}.tflite").stat().st_size for rank in range(asked.world_size)]
    for rank in range(1, asked.world_size):
        for part in range(_DEPLOYMENT_PARTS):
            if time.monotonic() > trial.until:
                return row
            with (
                tempfile.TemporaryDirectory() as stores,
                desk(Path(stores), asked.world_size, trial.board) as one,
            ):
                row.kills += 1
                end = one.peer_of(End(rank, 0))
                one.kill_after(end, 1 + part * sizes[rank] // _DEPLOYMENT_PARTS, rank)
                begun = time.monotonic()
                with one.serve(folder, trial.options) as service:
                    _, is_right = one.infer(service, asked)
                    row.right += is_right
                    row.wrong += not is_right
                    if one.is_dead(rank):
                        row.met += 1
                        row.seconds.append(time.monotonic() - begun)
                    one.calm()
                    _revive(one, rank)
                    if not _is_back(one, service, asked):
                        row.not_back += 1
                        _tell(one, "not back", Kill(row.phase, rank, end, part), "")
    return row


def times(trial: Trial) -> list[str]:
    """Seconds of each step behind a death in mid-inference, the median of all ranks but 0's.

    Until it was noticed; until the others were found; until they ran; until the right output.
    """
    found: list[tuple[float, ...]] = []
    asked = questions(trial.folder)
    with (
        tempfile.TemporaryDirectory() as stores,
        desk(Path(stores), asked.world_size, trial.board) as running,
        running.serve(trial.folder, trial.options) as service,
    ):
        for rank in range(1, asked.world_size):
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.survive", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("-n", "--devices", type=int, default=4)
    parser.add_argument("--board", default=HOST_BOARD, help="an emulated one (host)")
    parser.add_argument("--points", type=int, default=1_000_000, help="of each phase (all)")
    parser.add_argument("--ranks", type=int, nargs="+", help="that may be killed in one (all)")
    parser.add_argument("--jobs", type=int, default=1, help="sets of boards at a time (1)")
    parser.add_argument("--survive", type=int, default=0, help="as of `tflsplit serve` (0)")
    parser.add_argument("--patience", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=3600.0, help="at most (3600)")
    parser.add_argument("--phases", nargs="+", choices=("inference", "deployment", "times"),
                        default=["inference", "deployment"])  # fmt: skip
    parser.add_argument("--build", type=Path, default=Path("build") / "survive")
    given = parser.parse_args(arguments)
    trial = Trial(
        folder_of(given.model, given.devices, given.build, given.board),
        given.board,
        ServeOptions(
            patience_seconds=given.patience, look_seconds=0.05, objective="ram",
            survive=given.survive,
        ),
        given.points,
        time.monotonic() + given.seconds,
        tuple(range(given.devices) if given.ranks is None else given.ranks),
    )  # fmt: skip
    if "times" in given.phases:
        steps = times(trial)
        print(f"| {given.model.stem}, {given.devices}, {given.survive} | {' | '.join(steps)} |")
    rows: list[Row] = []
    if "inference" in given.phases:
        rows += in_inferences(trial, given.jobs)
    if "deployment" in given.phases:
        rows.append(in_deployments(trial))
    if rows:
        print(table(rows))
    return 0 if all(row.is_sound for row in rows) else 1


if __name__ == "__main__":
    with ended_by_sigterm():
        sys.exit(main())
