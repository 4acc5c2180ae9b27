# SPDX-License-Identifier: Apache-2.0
"""``boards.json`` of an output folder: which board is which rank, by its serial number.

``tflsplit upload`` writes it; ``rewrite`` leaves it where it is: the boards stay what they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from tflsplit.bundle.plan_schema import MAX_WORLD_SIZE
from tflsplit.bundle.schema import MapOf, Record, Text, Whole
from tflsplit.bundle.strict_json import strict_loads
from tflsplit.errors import PlanError
from tflsplit.untrusted import MAX_TEXT_FILE_BYTES, read_file

FILE = "boards.json"
FORMAT = "tflsplit-boards"
VERSION = 1
_NUMBER = Text(r"[\x20-\x7e]{1,128}", "a serial number", most=128)
_RANK = Text("[0-9]{1,2}", "a rank", most=2)
_SHAPE = Record(
    {
        "format": Text(FORMAT, f"'{FORMAT}'"),
        "version": Whole(VERSION, VERSION),
        "serial_numbers": MapOf(_NUMBER, _RANK),
    }
)


def read_boards(folder: Path) -> dict[int, str]:
    """Rank -> serial number; {} if nothing was uploaded yet.  PlanError if the file is damaged."""
    path = folder / FILE
    if not os.path.lexists(path):
        return {}
    try:
        document = strict_loads(read_file(path, MAX_TEXT_FILE_BYTES))
        problems = list(islice(_SHAPE.problems(document, ""), 3))
        if not problems:
            found = {int(rank): str(n) for rank, n in document["serial_numbers"].items()}
            if all(0 <= rank < MAX_WORLD_SIZE for rank in found):
                return found
            problems = ["a rank is none"]
    except ValueError as error:
        problems = [str(error)]
    raise PlanError(f"{path} is damaged ({'; '.join(problems)}): remove it, and upload again")


def write_boards(folder: Path, serial_numbers: Mapping[int, str]) -> None:
    """Replace the file; PlanError if that cannot be."""
    numbers = {str(rank): number for rank, number in sorted(serial_numbers.items())}
    document = {"format": FORMAT, "version": VERSION, "serial_numbers": numbers}
    fresh = folder / f".{FILE}.{os.getpid()}"
    try:
        fresh.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        fresh.replace(folder / FILE)
    except OSError as error:
        raise PlanError(f"cannot write {folder / FILE}: {error.strerror}") from None
