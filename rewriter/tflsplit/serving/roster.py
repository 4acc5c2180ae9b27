# SPDX-License-Identifier: Apache-2.0
"""Which boards and cables there were, and what became of them from look to look."""

from __future__ import annotations

from collections.abc import Iterator

from tflsplit.deploy.wiring import NO_CHIP
from tflsplit.serving.boards import Chip, Look, Ports
from tflsplit.serving.events import Event

Cables = frozenset[frozenset[tuple[Chip, int]]]


class Roster:
    """Compares every look with those before."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._known: set[Chip] = set()
        self._seen: set[Chip] = set()
        self._cables: Cables = frozenset()
        self._cut: set[frozenset[tuple[Chip, int]]] = set()

    @property
    def is_complete(self) -> bool:
        """Whether all boards and cables are there that ever were."""
        return self._seen == self._known and not self._cut

    def would_miss(self, look: Look) -> bool:
        """Whether a board or cable is not in it that was in the one before."""
        return not self._seen <= set(look.chips) or not self._cables <= look.cables()

    def take(self, look: Look) -> list[Event]:
        """What is lost, and what is back or new; nothing of the first look."""
        now = set(look.chips)
        self._forget_nameless(now)
        is_first = not self._known
        events = [] if is_first else [*self._boards(now), *self._wires(look.cables(), now)]
        self._known |= now
        self._seen, self._cables = now, look.cables()
        return events

    def _forget_nameless(self, now: set[Chip]) -> None:
        """A chip without an id is another after every reset."""
        known = {chip for chip in self._known if chip[0] == NO_CHIP}
        if len([chip for chip in now if chip[0] == NO_CHIP]) >= len(known):
            self._known -= known - now
            self._seen -= known - now

    def _boards(self, now: set[Chip]) -> Iterator[Event]:
        for chip in sorted(self._seen - now):
            yield Event("lost", f"{self._ports.name(chip)} does not answer any more")
        for chip in sorted(now - self._seen):
            what = "is back" if chip in self._known else "is new"
            yield Event("back", f"{self._ports.name(chip)} {what}")

    def _wires(self, cables: Cables, now: set[Chip]) -> Iterator[Event]:
        """Of boards that are there; those of a board that is lost are lost with it."""
        for cable in sorted(self._cables - cables, key=self._cable):
            if {chip for chip, _ in cable} <= now:
                self._cut.add(cable)
                yield Event("lost", f"nothing comes over the cable between {self._cable(cable)}")
        for cable in sorted(self._cut & cables, key=self._cable):
            self._cut.discard(cable)
            yield Event("back", f"the cable between {self._cable(cable)} is whole again")

    def _cable(self, cable: frozenset[tuple[Chip, int]]) -> str:
        ends = sorted(cable, key=lambda end: (self._ports.name(end[0]), end[1]))
        return " and ".join(f"port {port} of {self._ports.name(chip)}" for chip, port in ends)
