# SPDX-License-Identifier: Apache-2.0
"""An arena in several memories: which planned offset lies where.

TFLM adds an offset of its planner to the begin of the arena, and looks at nothing else.  So the
planned offsets of a device graph stay what they are in one piece, and are cut: what begins below
the first *start* lies in the main RAM, what begins at it or above in the first bank, and so on::

    planned    0 ............. start 1 ............. start 2 .........
    main RAM   | head          |             tail |
    bank 1                     | activations          |
    bank 2                                           | activations   |

Nothing crosses a start: of tensors that is planned so, and scratch buffers, which TFLM places, meet
a *wall* there, an empty buffer that is always live.  A TFLM that knows nothing of this runs the
same graph in one piece.  The starts are metadata of the graph: little-endian int32 version, number
of banks, and the start of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from tflsplit.errors import ModelError
from tflsplit.ir import Graph, Value
from tflsplit.memory.buffers import ALIGNMENT_BYTES, ArenaPlan, Buffer
from tflsplit.memory.offline import offline_offsets
from tflsplit.memory.order import tensor_order

BANKS_NAME = "TFLSPLIT_BANKS"
_VERSION, _HEADER = 1, 2
_NEVER, _ALWAYS = -1, (1 << 31) - 1


def starts_blob(starts: Sequence[int]) -> bytes:
    """The metadata."""
    return np.array([_VERSION, len(starts), *starts], "<i4").tobytes()


def bank_starts(graph: Graph) -> tuple[int, ...]:
    """The planned offset at which each bank begins; () of an arena in one piece.

    Raises ModelError for metadata that cannot be read.
    """
    blob = graph.metadata.get(BANKS_NAME)
    if blob is None:
        return ()
    words = np.frombuffer(blob[: len(blob) // 4 * 4], "<i4").tolist()
    starts = tuple(words[_HEADER : _HEADER + words[1]]) if len(words) >= _HEADER else ()
    ascend = all(a <= b for a, b in pairwise((0, *starts)))
    aligned = all(start % ALIGNMENT_BYTES == 0 for start in starts)
    if not starts or words[0] != _VERSION or len(starts) != words[1] or not ascend or not aligned:
        raise ModelError(
            f"metadata {BANKS_NAME} is damaged, or of a newer tflsplit; write the graph again"
        )
    return starts


def walls(starts: Sequence[int]) -> list[Buffer]:
    """Empty buffers that nothing may lie across, as the firmware's planner adds them first."""
    return [
        Buffer(0, _NEVER, _ALWAYS, None, f"begin of bank {k}", start)
        for k, start in enumerate(starts, 1)
    ]


def bank_of(offset_bytes: int, starts: Sequence[int]) -> int:
    """0 of the main RAM, else the number of the bank in which a planned offset lies."""
    return sum(offset_bytes >= start for start in starts)


def bank_sizes(plan: ArenaPlan, starts: Sequence[int]) -> tuple[int, ...]:
    """What each bank must hold; a bank that is not the last has all up to the next start."""
    ends = [*starts[1:], max(plan.head_bytes, *starts)] if starts else []
    return tuple(end - start for start, end in zip(starts, ends, strict=True))


def banked_values(graph: Graph) -> Mapping[Value, int]:
    """The tensors that do not lie in the main RAM, by bank, from 1 on."""
    starts = bank_starts(graph)
    if not starts:
        return {}
    offsets = offline_offsets(graph, tensor_order(graph))
    banks = {value: bank_of(at, starts) for value, at in offsets.items()}
    return {value: bank for value, bank in banks.items() if bank}


def crossings(plan: ArenaPlan, starts: Sequence[int]) -> list[str]:
    """Buffers that lie across the start of a bank, so that their end is in another memory."""
    return [
        f"{buffer.label} [{at}, {at + buffer.size_bytes}) lies across bank {k}'s start {start}"
        for buffer, at in plan.offsets.items()
        for k, start in enumerate(starts, 1)
        if at < start < at + buffer.size_bytes
    ]
