# SPDX-License-Identifier: Apache-2.0
"""TFLM's recording allocator, through its Python interpreter."""

from __future__ import annotations

import importlib.util
import re

from tflsplit.errors import EngineError, InternalError
from tflsplit.interpreters import RefusedError, recorded
from tflsplit.memory.abi import align_up
from tflsplit.memory.buffers import ALIGNMENT_BYTES

_TOTALS = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
_PARTS = re.compile(r"'([^']+)' used (\d+) bytes")


def recorded_allocations(model: bytes, arena_bytes: int) -> dict[str, int] | None:
    """What TFLM allocates for a model: ``total``, ``head``, ``tail`` and the recorder's parts.

    model: a .tflite file of operators that TFLM knows.
    arena_bytes: how large the arena will about be; a larger one is offered.
    None where tflite-micro is not installed.  Raises EngineError if TFLM refuses the model, or
    dies of it.
    """
    if importlib.util.find_spec("tflite_micro") is None:
        return None
    # The tail starts at the end of the arena and is aligned there: an odd size would cost bytes.
    offered = align_up(arena_bytes + arena_bytes // 4 + 65536, ALIGNMENT_BYTES)
    try:
        printed = recorded(model, offered)
    except RefusedError as error:
        first, *said = [line for line in str(error).splitlines() if line.strip()]
        why = " / ".join(said or [first])
        raise EngineError(f"TFLM cannot allocate the graph: {why}") from None
    return parse_allocations(printed)


def parse_allocations(text: str) -> dict[str, int]:
    """The numbers in what the recorder printed; InternalError if it is not understood."""
    totals = {name: int(size) for name, size in _TOTALS.findall(text)}
    if totals.keys() != {"total", "head", "tail"}:
        raise InternalError(f"TFLM's recorder printed what is not understood: {text!r}")
    return totals | {name: int(size) for name, size in _PARTS.findall(text)}
