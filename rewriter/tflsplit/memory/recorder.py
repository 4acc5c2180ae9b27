# SPDX-License-Identifier: Apache-2.0
"""TFLM's recording allocator, through its Python interpreter."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from tflsplit.errors import EngineError, InternalError
from tflsplit.memory.abi import align_up
from tflsplit.memory.buffers import ALIGNMENT_BYTES

_TOTALS = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
_PARTS = re.compile(r"'([^']+)' used (\d+) bytes")
_STDERR = 2


def recorded_allocations(model: bytes, arena_bytes: int) -> dict[str, int] | None:
    """What TFLM allocates for a model: ``total``, ``head``, ``tail`` and the recorder's parts.

    model: a .tflite file of operators that TFLM knows.
    arena_bytes: how large the arena will about be; a larger one is offered.
    None where tflite-micro is not installed.  Raises EngineError if TFLM refuses the model.
    """
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        return None
    # The tail starts at the end of the arena and is aligned there: an odd size would cost bytes.
    offered = align_up(arena_bytes + arena_bytes // 4 + 65536, ALIGNMENT_BYTES)
    printed: list[str] = []
    try:
        with _captured_stderr(printed):
            runtime.Interpreter.from_bytes(model, arena_size=offered).print_allocations()
    except RuntimeError as error:
        raise EngineError(
            f"TFLM cannot allocate the graph: {''.join(printed).strip() or error}"
        ) from error
    return parse_allocations("".join(printed))


def parse_allocations(text: str) -> dict[str, int]:
    """The numbers in what the recorder printed; InternalError if it is not understood."""
    totals = {name: int(size) for name, size in _TOTALS.findall(text)}
    if totals.keys() != {"total", "head", "tail"}:
        raise InternalError(f"TFLM's recorder printed what is not understood: {text!r}")
    return totals | {name: int(size) for name, size in _PARTS.findall(text)}


@contextlib.contextmanager
def _captured_stderr(into: list[str]) -> Iterator[None]:
    """Everything the process writes to file descriptor 2, C++ included; one thread at a time."""
    sys.stderr.flush()
    saved = os.dup(_STDERR)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
            file.seek(0)
            into.append(file.read().decode("utf-8", "replace"))
