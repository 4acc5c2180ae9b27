# SPDX-License-Identifier: Apache-2.0
"""plan.json as text: its format and version, written so that people can read diffs."""

from __future__ import annotations

import json
from typing import Any

from tflsplit.bundle.strict_json import strict_loads
from tflsplit.errors import PlanError

FORMAT = "tflsplit-plan"
VERSION = 1

Json = dict[str, Any]


def dump(document: Json) -> str:
    """The document as text: one line per layer and per tensor, so that people can read diffs."""
    return _lines(document, depth=3) + "\n"


def _lines(item: Any, depth: int, indent: int = 0) -> str:
    """JSON with a line for each entry down to ``depth``, and what is deeper on one line."""
    inner = "\n" + " " * (indent + 1)
    if depth and isinstance(item, dict) and item:
        entries = (
            f"{json.dumps(key, ensure_ascii=False)}: {_lines(value, depth - 1, indent + 1)}"
            for key, value in item.items()
        )
        return "{" + inner + ("," + inner).join(entries) + "\n" + " " * indent + "}"
    if depth and isinstance(item, list) and any(isinstance(entry, dict) for entry in item):
        # A list of records: the records count as the level, the list does not.
        entries = (_lines(entry, depth - 1, indent + 1) for entry in item)
        return "[" + inner + ("," + inner).join(entries) + "\n" + " " * indent + "]"
    return json.dumps(item, ensure_ascii=False)


def parse(text: str | bytes, source: str) -> Json:
    """The document of a plan.json; PlanError if it is none, or of another version."""
    try:
        document = strict_loads(text)
    except ValueError as error:
        raise PlanError(f"{source} is not JSON ({error}); write it again with `rewrite`") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise PlanError(f"{source} is not a plan.json of tflsplit")
    if type(document.get("version")) is not int or document["version"] != VERSION:
        raise PlanError(
            f"{source} is of version {document.get('version')!a:.40}, this program reads "
            f"{VERSION}; write it again with `rewrite`"
        )
    return document
