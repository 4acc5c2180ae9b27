# SPDX-License-Identifier: Apache-2.0
"""Two output folders side by side, and what counts as a regression (docs/report.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tflsplit.bundle.plan_json import Json
from tflsplit.errors import PlanError
from tflsplit.report.documents import SIMULATED
from tflsplit.report.simulated import FIGURES
from tflsplit.report.simulated import PLAN as PLAN_SIMULATED
from tflsplit.report.simulated import SEED as SEED_SIMULATED

SUMMED = ("sent_bytes", "received_bytes", "macs", "nodes")
"""Amounts that all devices together have; of every other one the largest device counts."""

_OF = {"sum": "sum of", "max": "largest"}
_LIMIT = re.compile(r"(?:(sum|max|each):)?([a-z_]+)\+([0-9.]+)(%?)")


@dataclass(frozen=True)
class Limit:
    """What must not grow by more: ``max:arena_bytes+2%``.

    over: "sum" or "max" of the devices, "each" of them, "simulated" of all together.
    """

    over: str
    key: str
    amount: float
    percent: bool

    def __str__(self) -> str:
        return f"{self.over}:{self.key}+{self.amount:g}{'%' * self.percent}"

    def most(self, before: float) -> float:
        """The largest value that is no regression."""
        return before * (1 + self.amount / 100) if self.percent else before + self.amount


@dataclass(frozen=True)
class Pair:
    """One figure of both; ``what`` is "rank 3", "sum" or "max", or as in ``report.simulated``."""

    key: str
    what: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float | None:
        """after - before, None unless both are known."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True)
class Comparison:
    """The result.

    pairs: every figure of every device, then sum and max, keys in plan.json's order.
    layers: nodes of both that are divided in different ways: name, way before, way after.
    notes: what the two do not have in common.
    regressions: limits that were exceeded, as sentences.
    """

    pairs: tuple[Pair, ...]
    layers: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]
    regressions: tuple[str, ...]

    def of(self, key: str, what: str) -> Pair:
        """One figure; KeyError if there is none."""
        for pair in self.pairs:
            if (pair.key, pair.what) == (key, what):
                return pair
        raise KeyError(f"{what} of {key}")


def parse_limit(text: str) -> Limit:
    """``arena_bytes+2%``, ``sum:sent_bytes+1024``, ``each:weights_bytes+0``; PlanError else."""
    match = _LIMIT.fullmatch(text.strip())
    if match is None or match[3].count(".") > 1 or match[3] == ".":
        raise PlanError(
            f"--fail-on {text!r} is not KEY+LIMIT, such as arena_bytes+2% or sum:sent_bytes+1024"
        )
    usual = PLAN_SIMULATED if match[2] in FIGURES else "sum" if match[2] in SUMMED else "max"
    over = match[1] or usual
    return Limit(over, match[2], float(match[3]), bool(match[4]))


def compare(before: Json, after: Json, limits: Sequence[Limit] = ()) -> Comparison:
    """Compare two documents of plan.json.

    Raises PlanError for a limit on what is no figure of both, or on each of different numbers of
    devices.
    """
    pairs = tuple(_pairs(before, after))
    comparison = Comparison(pairs, _layers(before, after), tuple(_notes(before, after)), ())
    regressions = [text for limit in limits for text in _exceeded(comparison, limit, before, after)]
    return Comparison(pairs, comparison.layers, comparison.notes, tuple(regressions))


def figures(document: Json) -> list[str]:
    """The numbers that every device has, in order."""
    first: Json = document["devices"][0]
    return [
        key
        for key, value in first.items()
        if key != "rank" and (value is None or _is_number(value))
    ]


def _pairs(before: Json, after: Json) -> list[Pair]:
    known = figures(after)
    keys = [key for key in figures(before) if key in known]
    count = max(len(before["devices"]), len(after["devices"]))
    pairs = [
        Pair(key, f"rank {rank}", _figure(before, rank, key), _figure(after, rank, key))
        for rank in range(count)
        for key in keys
    ]
    for key in keys:
        a, b = (_all(document, key) for document in (before, after))
        pairs.append(Pair(key, "sum", sum(a) if a else None, sum(b) if b else None))
        pairs.append(Pair(key, "max", max(a, default=None), max(b, default=None)))
    return [*pairs, *_simulated(before.get(SIMULATED), after.get(SIMULATED))]


def _simulated(before: Json | None, after: Json | None) -> list[Pair]:
    """The figures that both have been simulated for: of the plans, then of the seed's scheme."""
    if before is None or after is None:
        return []
    pairs = [Pair(key, PLAN_SIMULATED, before[key], after[key]) for key in FIGURES]
    a, b = before["seed"] or {}, after["seed"] or {}
    return [*pairs, *(Pair(key, SEED_SIMULATED, a[key], b[key]) for key in a if key in b)]


def _figure(document: Json, rank: int, key: str) -> float | None:
    if rank >= len(document["devices"]):
        return None
    value = document["devices"][rank].get(key)
    return value if _is_number(value) else None


def _all(document: Json, key: str) -> list[float]:
    """The figure of every device; [] unless all have it."""
    found = [_figure(document, rank, key) for rank in range(len(document["devices"]))]
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else []


def _layers(before: Json, after: Json) -> tuple[tuple[str, str, str], ...]:
    ways = {layer["node"]: layer["way"] for layer in before["layers"]}
    return tuple(
        (layer["node"], ways[layer["node"]], layer["way"])
        for layer in after["layers"]
        if ways.get(layer["node"], layer["way"]) != layer["way"]
    )


def _notes(before: Json, after: Json) -> list[str]:
    notes = []
    if before.get("model_sha256") != after.get("model_sha256"):
        names = f"{before.get('model_name')} and {after.get('model_name')}"
        notes.append(f"the models differ ({names})")
    if len(before["devices"]) != len(after["devices"]):
        counts = f"{len(before['devices'])} and {len(after['devices'])}"
        notes.append(f"the numbers of devices differ ({counts})")
    if before.get("fingerprint") == after.get("fingerprint"):
        notes.append("both are the same plan (one fingerprint)")
    return notes


def _exceeded(comparison: Comparison, limit: Limit, before: Json, after: Json) -> list[str]:
    if limit.over == "each":
        if len(before["devices"]) != len(after["devices"]):
            raise PlanError(f"--fail-on {limit}: the numbers of devices differ")
        whats = [f"rank {rank}" for rank in range(len(before["devices"]))]
    else:
        whats = [limit.over]
    texts = []
    for what in whats:
        pair = _known(comparison, limit, what)
        most = limit.most(pair[0])
        if pair[1] > most:
            texts.append(
                f"{_OF.get(what, what)} {limit.key}: {pair[0]:,.0f} became {pair[1]:,.0f}, "
                f"more than {most:,.0f} ({limit})"
            )
    return texts


def _known(comparison: Comparison, limit: Limit, what: str) -> tuple[float, float]:
    known = list(dict.fromkeys(pair.key for pair in comparison.pairs))
    if limit.key not in known:
        if limit.key in FIGURES:
            raise PlanError(f"--fail-on {limit} needs both simulated: add --simulate")
        raise PlanError(f"--fail-on {limit}: no such figure; there are {', '.join(known)}")
    try:
        pair = comparison.of(limit.key, what)
    except KeyError:
        raise PlanError(f"--fail-on {limit}: {limit.key} is no figure of each device") from None
    if pair.before is None or pair.after is None:
        raise PlanError(f"--fail-on {limit}: {what} of {limit.key} is not known in both")
    return pair.before, pair.after


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
