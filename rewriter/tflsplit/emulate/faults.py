# SPDX-License-Identifier: Apache-2.0
"""Seeded transmission faults on a byte stream.

The faults depend on the seed and on the position in the stream only, never on how the stream
was cut into reads: the same bytes through the same seed come out the same.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass

from tflsplit.errors import ClusterError


@dataclass(frozen=True)
class FaultModel:
    """How often what happens, in expected events per transmitted byte.

    Attributes:
        flips_per_byte: one random bit of a byte is inverted.
        drops_per_byte: a run of 1 to ``max_run_bytes`` bytes vanishes.
        duplicates_per_byte: the last 1 to ``max_run_bytes`` bytes arrive once more.
        stalls_per_byte: nothing passes for ``stall_us``, then everything does.
        max_run_bytes: longest run that is dropped or duplicated.
        stall_us: length of a stall.
        first_bytes: so many bytes at the start of the stream pass unharmed.
    """

    flips_per_byte: float = 0.0
    drops_per_byte: float = 0.0
    duplicates_per_byte: float = 0.0
    stalls_per_byte: float = 0.0
    max_run_bytes: int = 16
    stall_us: int = 20_000
    first_bytes: int = 0

    def __post_init__(self) -> None:
        for name, rate in zip(KINDS, self.rates, strict=True):
            if not 0.0 <= rate <= 1.0:
                raise ClusterError(f"{name}_per_byte is {rate}; give a rate from 0 to 1")
        if sum(self.rates) > 1.0:
            raise ClusterError("the fault rates add up to more than one event per byte")
        if self.max_run_bytes < 1 or self.stall_us < 0 or self.first_bytes < 0:
            raise ClusterError("max_run_bytes must be at least 1, stall_us and first_bytes 0")

    @property
    def rates(self) -> tuple[float, float, float, float]:
        """The four rates in the order of ``KINDS``."""
        return (
            self.flips_per_byte,
            self.drops_per_byte,
            self.duplicates_per_byte,
            self.stalls_per_byte,
        )


KINDS = ("flips", "drops", "duplicates", "stalls")


@dataclass
class FaultCounts:
    """What a stream has suffered so far; bytes are counted at the sender's end."""

    bytes: int = 0
    flips: int = 0
    drops: int = 0
    dropped_bytes: int = 0
    duplicates: int = 0
    duplicated_bytes: int = 0
    stalls: int = 0

    @property
    def events(self) -> int:
        """All faults together."""
        return self.flips + self.drops + self.duplicates + self.stalls


@dataclass(frozen=True)
class Piece:
    """Bytes to pass on after a pause of ``wait_us``."""

    wait_us: int
    data: bytes


class FaultStream:
    """One direction of a wire.

    Args:
        model: rates.
        seed: two streams with equal seeds suffer equal faults.
    """

    def __init__(self, model: FaultModel, seed: int) -> None:
        self._model = model
        self._random = random.Random(seed)
        self._history: deque[int] = deque(maxlen=model.max_run_bytes)
        self._to_drop = 0
        self._until_event = model.first_bytes + self._gap()
        self.counts = FaultCounts()

    def feed(self, data: bytes) -> list[Piece]:
        """Takes what was sent; returns what arrives, in order."""
        pieces: list[Piece] = []
        wait_us, passed = 0, bytearray()
        self.counts.bytes += len(data)
        while data:
            passed_whole = int(min(self._until_event, len(data)))
            passed += self._pass(data[:passed_whole])
            self._until_event -= passed_whole
            data = data[passed_whole:]
            if not data:
                break
            event = self._next_event()
            if event == "stalls":
                pieces.append(Piece(wait_us, bytes(passed)))
                wait_us, passed = self._model.stall_us, bytearray()
            passed += self._transmit(data[0], event)
            data = data[1:]
        pieces.append(Piece(wait_us, bytes(passed)))
        return [piece for piece in pieces if piece.data or piece.wait_us]

    def _pass(self, data: bytes) -> bytes:
        """Bytes to which nothing happens, except that they may end a run that is dropped."""
        self._history.extend(data[-self._model.max_run_bytes :])
        dropped = min(self._to_drop, len(data))
        self._to_drop -= dropped
        self.counts.dropped_bytes += dropped
        return data[dropped:]

    def _transmit(self, byte: int, event: str) -> bytes:
        self._history.append(byte)
        setattr(self.counts, event, getattr(self.counts, event) + 1)
        if event == "flips":
            byte ^= 1 << self._random.randrange(8)
        elif event == "drops":
            self._to_drop = max(self._to_drop, self._run())
        elif event == "duplicates":
            again = bytes(self._history)[-self._run() :]
            self.counts.duplicated_bytes += len(again)
            return bytes([byte]) + again
        if self._to_drop > 0:
            self._to_drop -= 1
            self.counts.dropped_bytes += 1
            return b""
        return bytes([byte])

    def _run(self) -> int:
        return self._random.randint(1, self._model.max_run_bytes)

    def _next_event(self) -> str:
        self._until_event = self._gap()
        return self._random.choices(KINDS, self._model.rates)[0]

    def _gap(self) -> float:
        """Draws how many unharmed bytes come before the next event (geometric distribution)."""
        total = sum(self._model.rates)
        if total == 0.0:
            return math.inf
        if total == 1.0:
            return 0
        return math.floor(math.log(1.0 - self._random.random()) / math.log(1.0 - total))
