# SPDX-License-Identifier: Apache-2.0
"""JSON as RFC 8259 has it, for files that others may have written.

Python's reader also takes NaN and Infinity, keeps the last of two equal keys, turns ``1e999`` into
infinity, passes lone surrogates on (which no encoding takes afterwards), and ends deep nesting with
a RecursionError.  Here each of them is a ValueError.
"""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 16
"""A plan.json has six levels, a recorded run three."""


def strict_loads(text: str | bytes) -> Any:
    """The document; ValueError, saying why, if it is none."""
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        document = json.loads(
            text, object_pairs_hook=_record, parse_constant=_no_number, parse_float=_float
        )
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} deep") from None
    _check(document)
    return document


def _record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!a} stands twice in one object")
    return record


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number


def _check(document: Any) -> None:
    """Depth and text of everything, level by level: no recursion that a document could exhaust."""
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str):
                _check_text(item)
        if not below:
            return
        level = below
    raise ValueError(f"nested more than {MAX_DEPTH} deep")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text[:40]!a} holds half a character (a lone surrogate)") from None
