# SPDX-License-Identifier: Apache-2.0
"""Inferences in the thousands while wires, boards and the host fail: right bits, or a name.

Native full firmware: the devices' programs, wired through a proxy that harms what passes, driven
by the host's program.  Each kind of fault runs in clusters of its own.  Where a fault ends an
inference, the host must say which rank it was and why; once it is repaired, the next inference must
be right.  Seeded; bounded by ``--inferences`` and ``--seconds``.

    python -m benchmarks.soak MODEL.tflite [-n 4] [--inferences 10000] [--seconds 3600] [--seed 0]

Prints the table of docs/verified.md; 1 if an output was wrong, an inference hung, an error named
no rank, or the one behind a repair was not right.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import soak_faults
from benchmarks.soak_desk import HANG_SECONDS, Kit, Outcome, desk, make_kit
from benchmarks.soak_faults import Injury
from tflsplit.emulate.faults import FaultModel
from tflsplit.errors import UserError

NOISE = {
    "none": FaultModel(),
    **{
        f"{rate:g} of each a byte": FaultModel(rate, rate, rate)
        for rate in (1e-5, 1e-4, 3e-4, 1e-3)
    },
    "stalls, 1e-4 a byte": FaultModel(stalls_per_byte=1e-4, stall_us=3_000),
}
SHARES = {
    "none": 30, "1e-05 of each a byte": 15, "0.0001 of each a byte": 30,
    "0.0003 of each a byte": 5, "0.001 of each a byte": 3, "stalls, 1e-4 a byte": 3,
}  # fmt: skip
"""Of a hundred inferences."""
_A_CLUSTER = 100
"""Inferences; then another cluster, with another seed."""


@dataclass
class Row:
    """What came of one kind of fault."""

    name: str
    seconds: list[float] = field(default_factory=list)
    injected: int = 0
    right: int = 0
    wrong: int = 0
    hung: int = 0
    unnamed: int = 0
    not_healed: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def inferences(self) -> int:
        """All of them."""
        return len(self.seconds)

    @property
    def is_sound(self) -> bool:
        """Whether everything was as it should be."""
        return not (self.wrong or self.hung or self.unnamed or self.not_healed)

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self.seconds.append(outcome.seconds)
        self.right += outcome.is_right
        self.wrong += outcome.is_wrong
        self.hung += outcome.seconds > HANG_SECONDS
        if outcome.error:
            self.errors[soak_faults.kind_of(outcome.error)] += 1

    def cells(self, clean: float) -> list[str]:
        """Of the table; times over the median without faults."""
        errors = ", ".join(f"{count} {kind}" for kind, count in self.errors.most_common())
        median = statistics.median(self.seconds) if self.seconds else 0.0
        worst = max(self.seconds, default=0.0)
        numbers = (self.inferences, self.injected, self.right, self.wrong, self.hung)
        return [
            self.name, *(f"{number:,}" for number in numbers), errors or "none",
            str(self.unnamed), str(self.not_healed), f"{median / clean:.2f}",
            f"{worst / clean:.1f}",
        ]  # fmt: skip


HEAD = [
    "faults", "inferences", "injected", "right", "wrong", "hung", "errors", "naming no rank",
    "not right behind the repair", "median : clean", "worst : clean",
]  # fmt: skip


def noisy(kit: Kit, name: str, count: int, seed: int, until: float) -> Row:
    """Inferences while the wires harm what passes."""
    row = Row(name)
    while row.inferences < count and time.monotonic() < until:
        with desk(kit, NOISE[name], seed + row.inferences) as running:
            for _ in range(min(_A_CLUSTER, count - row.inferences)):
                outcome = running.infer()
                row.add(outcome)
                row.unnamed += bool(outcome.error) and "rank " not in outcome.error
            counts = running.cluster.fault_counts().values()
            row.injected += sum(a.events + b.events for a, b in counts)
    return row


def injured(
    kit: Kit, name: str, injuries: Iterator[Injury], count: int, seed: int, until: float
) -> Row:
    """An inference with each injury, and the next one behind its repair."""
    row = Row(name)
    with desk(kit, seed=seed) as running:
        running.measure()
        for injury in injuries:
            if row.inferences >= count or time.monotonic() > until:
                break
            row.injected += 1
            outcome = injury.inflict(running)
            row.add(outcome)
            if outcome.error and not injury.is_named_by(outcome.error):
                row.unnamed += 1
                print(f"named no culprit: {injury}: {outcome.error}", file=sys.stderr)
            injury.repair(running)
            after = running.infer()
            row.add(after)
            if not after.is_right:
                row.not_healed += 1
                print(f"not healed: {injury}: {after.error}", file=sys.stderr)
    return row


def soak(
    kit: Kit, inferences: int, seconds: float, seed: int, kinds: Sequence[str] = ("",)
) -> Iterator[Row]:
    """Kinds of which a part of the name is given, the one without faults first in any case."""
    until = time.monotonic() + seconds
    for name, share in SHARES.items():
        if name == "none" or any(kind in name for kind in kinds):
            yield noisy(kit, name, max(1, inferences * share // 100), seed, until)
    injuries = soak_faults.all_injuries(kit, random.Random(seed))
    each = max(2, inferences * (100 - sum(SHARES.values())) // 100 // len(injuries))
    for name, some in injuries.items():
        if any(kind in name for kind in kinds):
            yield injured(kit, name, some, each, seed, until)


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    clean = statistics.median(rows[0].seconds)
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells(clean) for row in rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    total = sum(row.inferences for row in rows)
    return (
        f"{text}\n\n{total:,} inferences, {sum(row.injected for row in rows):,} faults; without "
        f"faults {clean * 1000:.1f} ms"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("-n", "--devices", type=int, default=4)
    parser.add_argument("--inferences", type=int, default=10_000, help="in all (10000)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="at most (3600)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=[""], help="parts of their names (all)")
    parser.add_argument("--build", type=Path, default=Path("build") / "soak")
    chosen = parser.parse_args(arguments)
    rows = []
    try:
        kit = make_kit(chosen.model, chosen.devices, chosen.build)
        for row in soak(kit, chosen.inferences, chosen.seconds, chosen.seed, chosen.kinds):
            rows.append(row)
            print(" | ".join(row.cells(statistics.median(rows[0].seconds))), file=sys.stderr)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(table(rows))
    return int(not all(row.is_sound for row in rows))


if __name__ == "__main__":
    sys.exit(main())
