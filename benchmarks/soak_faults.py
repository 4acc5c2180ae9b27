# SPDX-License-Identifier: Apache-2.0
"""What is done to boards, cables and the host in a soak, and how it is repaired."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

from benchmarks.soak_desk import Desk, Kit, Outcome
from tflsplit.emulate import interventions
from tflsplit.emulate.session import wires_of
from tflsplit.emulate.wiring import HOST, Port

_LONGEST_SECONDS = 0.02
"""Of an inference without faults, roughly: until then something happens to it."""
_PHASES = 24

_KINDS = (
    ("was reset", "reset"),
    ("runs another plan", "another plan"),
    ("in each other's ports", "swapped cables"),
    ("do not hear each other", "cut cable"),
    ("does not answer", "silent"),
    ("did not deliver in time", "time-out"),
    ("program has ended", "host gone"),
    ("is wired to port", "wrong board"),
)


def kind_of(error: str) -> str:
    """A few words for an error's table."""
    return next((kind for text, kind in _KINDS if text in error), error)


@dataclass(frozen=True)
class Injury:
    """Something that is done to a desk.

    ranks: of which an error must name one.  inflict: do it, in or before an inference, and how that
    ended.
    """

    name: str
    ranks: tuple[int, ...]
    inflict: Callable[[Desk], Outcome]
    repair: Callable[[Desk], None]

    def is_named_by(self, error: str) -> bool:
        """Whether an error tells whose fault it was."""
        return any(re.search(rf"\brank {rank}\b", error) for rank in self.ranks) or not self.ranks

    def __str__(self) -> str:
        return f"{self.name}, rank {', '.join(map(str, self.ranks))}"


def all_injuries(kit: Kit, random: Random) -> dict[str, Iterator[Injury]]:
    """By kind; each without end, except that phases come in order."""
    return {
        "a rank reset at every phase": resets(kit, random),
        "a rank reset between two inferences": idle_resets(kit, random),
        "a cable cut and joined": cuts(kit, random),
        "cables of a rank swapped": swaps(kit, random),
        "a rank silent": silences(kit, random),
        "another plan's firmware": strangers(kit, random),
        "the host gone and back": hosts(random),
    }


def _nothing(_: Desk) -> None:
    """No repair is needed."""


def resets(kit: Kit, random: Random) -> Iterator[Injury]:
    """At every phase: after each part of what each port sends in an inference, power fails.

    A port sends GRANTs in RECVs, DATA in SENDs, inputs' GRANTs at the beginning, outputs at the
    end, and nothing in kernels: the parts stand for all of them.
    """
    ports = [port for wire in wires_of(kit.setup) for port in (wire.a, wire.b) if port != HOST]
    while True:
        for phase in range(_PHASES):
            for port in ports:
                yield _reset_at(port, (phase + random.random()) / _PHASES)


def _reset_at(port: Port, part: float) -> Injury:
    def inflict(desk: Desk) -> Outcome:
        after_bytes = max(1, int(part * desk.sent_bytes[port]))
        happened = threading.Event()

        def fail() -> None:
            desk.cluster.signal(port.rank, 9)
            happened.set()

        def come_back() -> None:
            if happened.wait(5):
                desk.cluster.restart(port.rank)

        desk.cluster.proxy.when_sent(desk.cluster.plugs[port], after_bytes, fail)
        back = threading.Thread(target=come_back)
        back.start()
        outcome = desk.infer()
        if not happened.is_set():
            desk.cluster.proxy.forget_alarms()
            fail()
        back.join()
        return outcome

    return Injury(
        f"reset after {part:.0%} of what leaves by {port}", (port.rank,), inflict, _nothing
    )


def idle_resets(kit: Kit, random: Random) -> Iterator[Injury]:
    """Just before an inference, while the host takes the device for ready."""
    while True:
        rank = random.randrange(len(kit.devices))

        def inflict(desk: Desk, rank: int = rank) -> Outcome:
            desk.cluster.restart(rank)
            return desk.infer()

        yield Injury("reset", (rank,), inflict, _nothing)


def _do(action: Callable[..., None], *ranks: int) -> Callable[[Desk], None]:
    """One of ``interventions`` on a desk."""
    return lambda desk: action(desk.cluster, *ranks)


def _put_back(rank: int, desk: Desk) -> None:
    desk.cluster.restart(rank, desk.kit.devices[rank])


def _during(action: Callable[[Desk], None], delay: float) -> Callable[[Desk], Outcome]:
    """An inference into which something falls."""

    def inflict(desk: Desk) -> Outcome:
        timer = threading.Timer(delay, action, [desk])
        timer.start()
        outcome = desk.infer()
        timer.join()
        if outcome.is_right:  # it came too late: the next one meets it
            outcome = desk.infer()
        return outcome

    return inflict


def cuts(kit: Kit, random: Random) -> Iterator[Injury]:
    """A cable between devices."""
    pairs = [(w.a.rank, w.b.rank) for w in wires_of(kit.setup) if HOST not in (w.a, w.b)]
    while True:
        pair = random.choice(pairs)
        yield Injury(
            f"cut {pair}",
            pair,
            _during(_do(interventions.cut, *pair), _when(random)),
            _do(interventions.join, *pair),
        )


def swaps(kit: Kit, random: Random) -> Iterator[Injury]:
    """Both cables of a rank."""
    while True:
        rank = random.randrange(len(kit.devices))
        yield Injury(
            "swap",
            (rank,),
            _during(_do(interventions.swap, rank), _when(random)),
            _do(interventions.swap, rank),
        )


def silences(kit: Kit, random: Random) -> Iterator[Injury]:
    """A rank that stops, and goes on after all have given it up."""
    while True:
        rank = random.randrange(len(kit.devices))
        yield Injury(
            "silent",
            (rank,),
            _during(_do(interventions.pause, rank), _when(random)),
            _do(interventions.resume, rank),
        )


def strangers(kit: Kit, random: Random) -> Iterator[Injury]:
    """A board with the firmware of another plan of the same model."""
    while True:
        rank = random.randrange(len(kit.devices))

        def inflict(desk: Desk, rank: int = rank) -> Outcome:
            desk.cluster.restart(rank, kit.strangers[rank])
            return desk.infer()

        yield Injury(
            "stranger",
            (rank,),
            inflict,
            partial(_put_back, rank),
        )


def hosts(random: Random) -> Iterator[Injury]:
    """The host's program ends in an inference; another one takes its place."""
    while True:
        turns = random.randrange(1, 60)

        def inflict(desk: Desk, turns: int = turns) -> Outcome:
            desk.stream.turns_left = turns
            return desk.infer()

        yield Injury("host gone", (), inflict, lambda desk: desk.begin_host_anew())


def _when(random: Random) -> float:
    return random.random() * _LONGEST_SECONDS
