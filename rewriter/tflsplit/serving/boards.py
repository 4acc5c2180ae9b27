# SPDX-License-Identifier: Apache-2.0
"""The boards behind some ports, looked for again and again; what a port or a board is called.

A board keeps its letter as long as the service lives: by its chip's id, or by its place where
it has none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tflsplit.deploy.explore import answering, explore
from tflsplit.deploy.surveyor import REPEAT_SECONDS, Surveyor
from tflsplit.deploy.wiring import NO_CHIP, FoundBoard, Wiring
from tflsplit.deploy.words import components
from tflsplit.errors import LinkError
from tflsplit.host.ports import DEFAULT_BAUD, Stream, open_port
from tflsplit.host.usb import UsbPort, moved, port_at
from tflsplit.serving.bounds import BoundedStream, Limit

Chip = tuple[bytes, int]
"""Id of a chip, and 0; or no id and the boot number."""


def chip_of(board: FoundBoard) -> Chip:
    """By which a board is known again."""
    identity = board.identity
    return identity.chip_id, identity.boot if identity.chip_id == NO_CHIP else 0


_FRESH_SECONDS = 3.0
"""Boards that nobody asks for 5 s go back to the plan that they hold."""


@dataclass(frozen=True)
class Look:
    """What one look found; the boards are in survey mode then.

    taken: when, ``time.monotonic``.  again: does it once more.
    """

    surveyor: Surveyor
    streams: Sequence[Stream]
    wiring: Wiring
    taken: float
    again: Callable[[], Look]

    @property
    def chips(self) -> tuple[Chip, ...]:
        """By place in ``wiring.boards``."""
        return tuple(map(chip_of, self.wiring.boards))

    @property
    def is_fresh(self) -> bool:
        """Whether the boards are in survey mode still."""
        return time.monotonic() - self.taken < _FRESH_SECONDS

    def renewed(self) -> Look:
        """The same, as of now.  Raises LinkError if something else is there."""
        now = self.again()
        if not now.is_like(self):
            raise LinkError("the wiring has changed while boards were given their plan")
        return now

    def is_like(self, other: Look) -> bool:
        """Whether the same boards are there, in the same places, and the same cables."""
        return (self.chips, self.cables()) == (other.chips, other.cables())

    def cables(self) -> frozenset[frozenset[tuple[Chip, int]]]:
        """What joins which port to which."""
        chips = self.chips
        return frozenset(
            frozenset((chips[board], port) for board, port in cable.ends())
            for cable in self.wiring.cables
        )


@dataclass
class Ports:
    """The host's ports, open or gone.

    names: as ``open_port`` takes them.  limit: of whatever waits at them.
    news: what became of their names, for whoever takes it from here.
    """

    names: Sequence[str]
    baud: int = DEFAULT_BAUD
    limit: Limit = field(default_factory=Limit)
    news: list[str] = field(default_factory=list)
    _usb: dict[str, UsbPort] = field(default_factory=dict)
    _open: dict[str, BoundedStream] = field(default_factory=dict)
    _letters: dict[Chip, str] = field(default_factory=dict)
    _kinds: dict[Chip, str] = field(default_factory=dict)

    @classmethod
    def of_streams(cls, streams: Sequence[Stream], baud: int = DEFAULT_BAUD) -> Ports:
        """Ports that are open already, and are opened again by their names."""
        ports = cls([stream.name for stream in streams], baud)
        ports._open |= {stream.name: BoundedStream(stream, ports.limit) for stream in streams}
        for stream in streams:
            ports._note_usb(stream.name, stream)
        return ports

    def look(self, patience_seconds: float) -> Look:
        """All boards behind the ports that answer.

        patience_seconds: for each port of each board.
        Where the ports lead to boards that are not joined, those are looked at of which most are.
        Raises LinkError if no port answers.
        """
        try:
            return self._look(patience_seconds)
        except LinkError:
            self._drop_gone()
            raise

    def _look(self, patience_seconds: float) -> Look:
        streams = self._opened()
        if len(streams) > 1:
            streams = answering(streams) or streams[:1]
        tries = max(1, round(patience_seconds / REPEAT_SECONDS))
        surveyor, wiring = explore(streams, tries, again_tries=0)
        groups = components(wiring)
        if len(groups) > 1:
            most = max(groups, key=len)
            joined = [s for s, board in zip(streams, wiring.gateways, strict=True) if board in most]
            streams = joined
            surveyor, wiring = explore(streams, tries, again_tries=0)
        for board in wiring.boards:
            self._name(board)
        return Look(
            surveyor, streams, wiring, time.monotonic(), lambda: self.look(patience_seconds)
        )

    def name(self, chip: Chip) -> str:
        """``board D (teensy41 0011…)``."""
        number = chip[0].rstrip(b"\0").hex()
        return f"board {self._letters[chip]} ({self._kinds[chip]}{' ' * bool(number)}{number})"

    def close(self) -> None:
        """Let all ports go."""
        for stream in self._open.values():
            stream.close()
        self._open.clear()

    def _name(self, board: FoundBoard) -> None:
        chip = chip_of(board)
        if chip not in self._letters:
            self._letters[chip] = Wiring((), ()).name(len(self._letters))
            self._kinds[chip] = board.kind

    def _opened(self) -> list[Stream]:
        """Those that are there; LinkError if none can be opened."""
        self._drop_gone()
        said = []
        for name in self.names:
            if name not in self._open:
                try:
                    self._open[name] = BoundedStream(self._port(name), self.limit)
                except LinkError as error:
                    said.append(str(error))
        if not self._open:
            raise LinkError("; ".join(said))
        return [self._open[name] for name in self.names if name in self._open]

    def _port(self, name: str) -> Stream:
        """By its name, or by the one that its USB device has now.  LinkError if it has none."""
        try:
            stream = open_port(name, self.baud)
        except LinkError:
            was = self._usb.get(name)
            now = was and moved(was, [one.name for one in self._open.values()])
            if was is None or now is None:
                raise
            stream = open_port(now.device, self.baud)
            self.news.append(f"the port {was.device} is {now.device} now")
        self._note_usb(name, stream)
        return stream

    def _note_usb(self, name: str, stream: Stream) -> None:
        found = port_at(stream.name)
        if found is not None:
            self._usb[name] = found

    def _drop_gone(self) -> None:
        for name, stream in list(self._open.items()):
            try:
                stream.inner.receive(0.0)
                stream.inner.send(b"")
            except LinkError:
                stream.close()
                del self._open[name]
