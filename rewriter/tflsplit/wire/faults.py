# SPDX-License-Identifier: Apache-2.0
"""A wire that misbehaves, from a seed: to put between two ends of a link in tests and clusters."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Faults:
    """Probabilities per byte; ``stall_us`` is the longest pause."""

    flip: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0  # up to 600 bytes come twice
    garbage: float = 0.0  # up to 40 random bytes are put in
    stall: float = 0.0
    stall_us: int = 3000


class FaultProxy:
    """One direction of a wire. The same seed and bytes give the same faults."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults = faults
        self._random = random.Random(seed)
        self._recent = bytearray()
        self._held = bytearray()
        self._stalled_until_us = 0
        self.fault_count = 0

    def carry(self, data: bytes, now_us: int) -> bytes:
        """What arrives now, when ``data`` is sent now; call it with b"" to let held bytes out."""
        for byte in data:
            self._carry_byte(byte, now_us)
        if now_us < self._stalled_until_us:
            return b""
        out = bytes(self._held)
        self._held.clear()
        return out

    def _carry_byte(self, byte: int, now_us: int) -> None:
        faults = self._faults
        self._recent.append(byte)
        del self._recent[:-600]
        if self._chance(faults.drop):
            return
        if self._chance(faults.flip):
            byte ^= 1 << self._random.randrange(8)
        if self._chance(faults.stall):
            pause_us = self._random.randint(1, faults.stall_us)
            self._stalled_until_us = max(self._stalled_until_us, now_us) + pause_us
        self._held.append(byte)
        if self._chance(faults.garbage):
            self._held += self._random.randbytes(self._random.randint(1, 40))
        if self._chance(faults.duplicate):
            self._held += self._recent

    def _chance(self, probability: float) -> bool:
        hit = probability > 0 and self._random.random() < probability
        self.fault_count += hit
        return hit
