# SPDX-License-Identifier: Apache-2.0
"""How often a damaged frame gets through: the formula, and a check of it.

    python -m benchmarks.frame_check [DIR]

Where each bit on the wires flips with probability p, an inference that moves W bytes on all wires
together has some 8·W·p flipped bits, and as many damaged frames at most.  A frame is taken if its
CRC-32 fits what arrived, for which random damage has the chance 2^-32:

    wrong frames taken in one inference  <=  8 · W · p / 2^32        (8·W·p small in a frame)

That is the bound.  It is not reached, because the CRC finds every change of up to three bits in a
frame of at most 11 KB (Koopman, 32-Bit Cyclic Redundancy Codes for Internet Applications, 2002:
this polynomial has a distance of 4 up to 91,607 bits), and single flips are almost all there are.
What it may miss is a flip that changes the byte stuffing, as it then moves or adds zeros:

    about  8 · W · p · q / 2^32

q: the share of flips behind which more than three bits of the frame differ, or its length.
q is measured here, with frames through the decoder: the share of zeros in the payload decides it.
2^32 damaged frames cannot be tried, but the check can be made weaker: if only the lowest k bits of
the CRC are compared, 2^-k of what reaches it should pass.

DIR: an output folder, whose wires are simulated on Teensy 4.1 in a ring of 6 Mbaud UARTs.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tflsplit.bundle import read_bundle
from tflsplit.cluster import default_cluster
from tflsplit.errors import UserError
from tflsplit.sim import simulate
from tflsplit.wire.frames import (
    CRC_BYTES,
    OVERHEAD_BYTES,
    Frame,
    FrameDecoder,
    FrameType,
    encode,
    max_payload_bytes,
)

MTU_BYTES = 512
RATES = (1e-4, 1e-5, 1e-6)
ZEROS = (0.0, 0.1, 0.5)
"""Shares of zeros in a payload: int8 activations whose zero point is not 0 have few."""
_CRC_BITS = 32
_SURE_BITS = 3


class _Residues(FrameDecoder):
    """Keeps what the CRC of each candidate is off by, in place of comparing."""

    def __init__(self) -> None:
        super().__init__(MTU_BYTES)
        self.found: list[tuple[int, bytes]] = []

    def _finish(self) -> bytes | None:
        if not self._block_left and len(self._out) >= OVERHEAD_BYTES:
            raw = bytes(self._out)
            stored = int.from_bytes(raw[-CRC_BYTES:], "little")
            self.found.append((zlib.crc32(raw[:-CRC_BYTES]) ^ stored, raw))
        return None


@dataclass(frozen=True)
class Tried:
    """Damaged frames that were tried.

    frames: with at least one flipped bit.
    flips: bits that were flipped in them.
    unsure: what the decoder compared a CRC of that differs in more than three bits, or in length.
    candidates: all that it compared a CRC of.
    passed: of these, by the number of bits of the CRC that are compared.
    """

    frames: int
    flips: int
    unsure: int
    candidates: int
    passed: dict[int, int]

    def ratio(self, bits: int) -> float:
        """Passed over what the formula says: 2^-bits of what was compared."""
        return self.passed[bits] * float(2**bits) / self.candidates

    @property
    def unsure_share(self) -> float:
        """q of the formula."""
        return self.unsure / self.flips


def try_frames(
    count: int, rate: float, bits: Sequence[int] = (), zeros: float = 0.0, seed: int = 1
) -> Tried:
    """Send frames that are damaged by flips of the given rate, one at least in each.

    zeros: share of the payload's bytes that are zero, beside one in 256.
    """
    chance = random.Random(seed)
    flips = unsure = candidates = 0
    passed = dict.fromkeys(bits, 0)
    for _ in range(count):
        wire = bytearray(encode(_frame(chance, zeros)))
        sent = _compared(bytes(wire))[0][1]
        places = _flips(8 * len(wire), rate, chance)
        for at in places:
            wire[at // 8] ^= 1 << at % 8
        flips += len(places)
        for residue, arrived in _compared(bytes(wire) + b"\0"):
            if arrived == sent:
                continue  # the damage was to a delimiter: the right frame
            candidates += 1
            unsure += _distance(arrived, sent) > _SURE_BITS
            for number in bits:
                passed[number] += residue & ((1 << number) - 1) == 0
    return Tried(count, flips, unsure, candidates, passed)


def _compared(wire: bytes) -> list[tuple[int, bytes]]:
    decoder = _Residues()
    list(decoder.feed(wire))
    return decoder.found


def _distance(a: bytes, b: bytes) -> int:
    """Bits in which two frames differ; more than any, if their lengths do."""
    if len(a) != len(b):
        return 8 * max(len(a), len(b))
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).bit_count()


def _frame(chance: random.Random, zeros: float) -> Frame:
    """A full frame of DATA."""
    size = max_payload_bytes(MTU_BYTES)
    payload = bytes(0 if chance.random() < zeros else chance.randrange(256) for _ in range(size))
    return Frame(
        FrameType.DATA, chance.randrange(256), chance.randrange(256), 4, chance.randrange(8),
        chance.randrange(1000), 1 << chance.randrange(8, 16), chance.randrange(10_000), 3, payload,
    )  # fmt: skip


def _flips(length: int, rate: float, chance: random.Random) -> list[int]:
    """Places of flipped bits, at least one: the distances between them are geometric."""
    while True:
        found: list[int] = []
        at = math.floor(math.log(1.0 - chance.random()) / math.log1p(-rate))
        while at < length:
            found.append(at)
            at += 1 + math.floor(math.log(1.0 - chance.random()) / math.log1p(-rate))
        if found:
            return found


def bound(wire_bytes: int, rate: float) -> float:
    """Wrong frames taken in one inference, at most."""
    return 8 * wire_bytes * rate / float(2**_CRC_BITS)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--frames", type=int, default=20_000, help="damaged ones to try (20000)")
    arguments = parser.parse_args(argv)
    if arguments.folder is not None:
        try:
            _print_formula(arguments.folder, arguments.frames)
        except UserError as error:
            print(f"frame_check: {error}", file=sys.stderr)
            return 2
    bits = (4, 6, 8)
    tried = try_frames(arguments.frames, 1e-3, bits)
    print(f"{tried.frames} frames damaged at 0.001, {tried.candidates} of them compared; passed:")
    for number in bits:
        print(f"  {number} bits: {tried.passed[number]}, {tried.ratio(number):.2f} of 2^-{number}")
    return 0


def _print_formula(folder: Path, frames: int) -> None:
    bundle = read_bundle(folder)
    simulation = simulate(bundle.devices, default_cluster(len(bundle.devices)))
    total = sum(count.wire_bytes for count in simulation.wires.values())
    print(f"{total:,} bytes on all wires in one inference, the host's included")
    shares = {zeros: try_frames(frames, 1e-5, zeros=zeros).unsure_share for zeros in ZEROS}
    print("| bit error rate | at most | " + " | ".join(f"{z:.0%} zeros" for z in ZEROS) + " |")
    print("|---|---|" + "---|" * len(ZEROS))
    for rate in RATES:
        most = bound(total, rate)
        cells = [f"{most:.1e}", *(f"{most * share:.1e}" for share in shares.values())]
        print(f"| {rate:g} | " + " | ".join(cells) + " |")
    print("q: " + ", ".join(f"{share:.3f} at {zeros:.0%}" for zeros, share in shares.items()))


if __name__ == "__main__":
    sys.exit(main())
