# SPDX-License-Identifier: Apache-2.0
"""Recorded runs of an output folder: ``runs/*.json`` (docs/report.md is the contract)."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.plan_schema import MAX_WORLD_SIZE
from tflsplit.bundle.schema import ListOf, Nullable, Number, Record, Shape, Text, Truth, Whole
from tflsplit.bundle.strict_json import strict_loads
from tflsplit.errors import PlanError, UserError
from tflsplit.untrusted import MAX_TEXT_FILE_BYTES, read_file

RUNS = "runs"
FORMAT = "tflsplit-run"
VERSION = 1
_FIGURE = Nullable(Number(0, 1e18))
_SHORT = Text(most=255)
_RANK = Whole(0, MAX_WORLD_SIZE)
_DEVICE: dict[str, Shape] = {
    "rank": _RANK,
    "board": _SHORT,
    **dict.fromkeys(
        ("arena_used_bytes", "sent_bytes", "received_bytes", "graph_us", "wait_us", "compute_us"),
        _FIGURE,
    ),
    "compute_instructions": _FIGURE,
}
_WIRE: dict[str, Shape] = {
    "a": _RANK,
    "b": _RANK,
    **dict.fromkeys(("bytes", "frames", "resent"), _FIGURE),
}
_RUN = Record(
    {},
    {
        "kind": _SHORT,
        "recorded_at": _SHORT,
        "same_bits": Nullable(Truth()),
        "inferences": Nullable(Whole(0, 1 << 53)),
        "seconds": Nullable(ListOf(Number(0, 1e9))),
        "devices": ListOf(Record({}, _DEVICE)),
        "wires": ListOf(Record({}, _WIRE)),
    },
)


def write_run(
    folder: Path, kind: str, fingerprint: str, figures: Json, same_bits: bool | None = None
) -> Path:
    """Record what was measured; returns the new file.

    kind: what ran: ``cluster``, ``emulate``, …
    figures: ``inferences``, ``seconds``, ``devices`` and ``wires``, as far as they are known.
    same_bits: whether the output was compared with the unsplit model's, and equal.
    Raises PlanError if it cannot be written.
    """
    now = datetime.now(timezone.utc)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "recorded_at": now.isoformat(timespec="seconds"),
        "fingerprint": fingerprint,
        "same_bits": same_bits,
        **figures,
    }
    runs = folder / RUNS
    try:
        runs.mkdir(exist_ok=True)
        handle, fresh = tempfile.mkstemp(prefix=".run.", dir=runs)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        path = runs / f"{now:%Y%m%dT%H%M%S}.{now.microsecond:06d}Z-{kind}.json"
        Path(fresh).chmod(0o644)
        Path(fresh).replace(path)
    except OSError as error:
        raise PlanError(f"cannot record the run in {runs}: {error.strerror or error}") from None
    return path


def read_runs(folder: Path, fingerprint: str) -> tuple[list[Json], list[str]]:
    """The recorded runs of this plan, oldest first, and why other files there were left out.

    Every run has ``name`` beside what was recorded.
    """
    runs, left_out = [], []
    for path in sorted((folder / RUNS).glob("*.json")):
        try:
            document = strict_loads(read_file(path, MAX_TEXT_FILE_BYTES))
        except (UserError, ValueError) as error:
            left_out.append(f"{path.name}: not JSON ({error})")
            continue
        problem = _problem(document, fingerprint)
        if problem:
            left_out.append(f"{path.name}: {problem}")
        else:
            runs.append({**document, "name": path.stem})
    return runs, left_out


def _problem(document: object, fingerprint: str) -> str:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return "no recorded run"
    if document.get("version") != VERSION:
        return f"of version {document.get('version')}, this program reads {VERSION}"
    if document.get("fingerprint") != fingerprint:
        return "of another plan"
    return next(_RUN.problems(document, ""), "")
