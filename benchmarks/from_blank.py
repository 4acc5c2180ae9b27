# SPDX-License-Identifier: Apache-2.0
"""From blank boards to a network, to another one, and through the death of a board and its return.

Boards of one kind with one firmware, wired as a ring: ``tflsplit discover``, ``tflsplit deploy`` of
two models one after the other, then a service, in one of whose inferences a board dies. Every
output is compared with the unsplit model's.

    python -m benchmarks.from_blank FIRST.tflite SECOND.tflite [--board mps3_an547] [-n 4]

Boards are programs of this computer, or emulated (``TFLSPLIT_TFLM_DIR`` names TFLM's sources then).
Prints a table of docs/verified.md; 1 if a bit was wrong, or a board is not back in time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.survive_desk import Desk, Questions, desk, questions
from tflsplit.cli import main as tflsplit
from tflsplit.emulate.wiring import Port as End
from tflsplit.errors import LinkError
from tflsplit.serving import ServeOptions, Service

_INTO_INFERENCE_BYTES = 300
_BACK_SECONDS = 300.0
_INFER_SECONDS = 300.0


@dataclass(frozen=True)
class Step:
    """One line of the table."""

    what: str
    outcome: str
    seconds: float


@dataclass(frozen=True)
class Story:
    """What happens.

    lose: the rank that dies.  build: for output folders.  runs: inputs that each model is given.
    """

    first: Path
    second: Path
    lose: int
    build: Path
    options: ServeOptions
    runs: int = 2

    def tell(self, boards: Desk) -> Iterator[Step]:
        """Step by step; LinkError where one goes wrong."""
        yield self._command("found", boards, "discover")
        for model in (self.first, self.second):
            yield self._command(
                f"{model.stem}: planned, sent, {self.runs} inputs", boards,
                "deploy", str(model), "--objective", self.options.objective,
                "--runs", str(self.runs), "-o", str(self._folder(model)), "--force",
            )  # fmt: skip
        asked = questions(self._folder(self.second))
        with boards.serve(asked.bundle.folder, self.options) as service:
            yield from self._serve(boards, service, asked)

    def _folder(self, model: Path) -> Path:
        return self.build / model.stem

    def _command(self, what: str, boards: Desk, *words: str) -> Step:
        begun = time.monotonic()
        if tflsplit([*words, "--port", boards.url]):
            raise LinkError(f"tflsplit {' '.join(words)}: something is wrong")
        seconds = time.monotonic() - begun
        return Step(what, "right" if words[0] == "deploy" else "all", seconds)

    def _serve(self, boards: Desk, service: Service, asked: Questions) -> Iterator[Step]:
        _one(boards, service, asked)  # what is compiled or planned at first is not of the next
        yield _one(boards, service, asked, "an inference")
        boards.events.clear()
        end = boards.peer_of(End(self.lose, 0))
        boards.kill_after(end, _INTO_INFERENCE_BYTES, self.lose)
        yield _one(boards, service, asked, f"rank {self.lose} dies in an inference")
        if not boards.is_dead(self.lose):
            raise LinkError("the inference ended before the board died")
        yield _one(boards, service, asked, "an inference of those that are left")
        boards.cluster.restart(self.lose)
        begun = time.monotonic()
        while (back := _one(boards, service, asked)).outcome != _right(len(asked.bundle.devices)):
            if time.monotonic() - begun > _BACK_SECONDS:
                raise LinkError(f"rank {self.lose} is not back: {back.outcome}")
        yield Step("its power is back", back.outcome, time.monotonic() - begun)
        yield _one(boards, service, asked, "an inference")


def _one(boards: Desk, service: Service, asked: Questions, what: str = "") -> Step:
    served, is_right = boards.infer(service, asked, _INFER_SECONDS)
    if not is_right:
        raise LinkError(f"{what or 'an inference'}: an output is wrong")
    return Step(what, _right(served.boards), served.seconds)


def _right(boards: int) -> str:
    return f"right, {boards} boards"


def table(steps: Sequence[Step]) -> str:
    """Markdown."""
    lines = [["what", "outputs", "s"], ["---"] * 3]
    lines += [[step.what, step.outcome, f"{step.seconds:.1f}"] for step in steps]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.from_blank", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("models", type=Path, nargs=2, metavar="MODEL")
    parser.add_argument("-n", "--devices", type=int, default=4)
    parser.add_argument("--board", default="host", help="an emulated one (host: this computer's)")
    parser.add_argument("--lose", type=int, default=2, help="rank of the board that dies (2)")
    parser.add_argument("--survive", type=int, default=0, help="as of `tflsplit serve` (0)")
    parser.add_argument("--patience", type=float, default=5.0, help="the same (5 s)")
    parser.add_argument("--objective", default="ram", help="of plans (ram)")
    parser.add_argument("--build", type=Path, default=Path("build") / "from_blank")
    given = parser.parse_args(arguments)
    options = ServeOptions(
        patience_seconds=given.patience, look_seconds=0.5, infer_seconds=_INFER_SECONDS,
        objective=given.objective, survive=given.survive,
    )  # fmt: skip
    story = Story(given.models[0], given.models[1], given.lose, given.build / given.board, options)
    steps: list[Step] = []
    with (
        tempfile.TemporaryDirectory() as stores,
        desk(Path(stores), given.devices, given.board) as boards,
    ):
        try:
            steps.extend(story.tell(boards))
        except LinkError as error:
            print(f"{error}; {[event.text for _, event in boards.events]}", file=sys.stderr)
            return 1
        finally:
            print(table(steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
