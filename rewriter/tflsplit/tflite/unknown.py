# SPDX-License-Identifier: Apache-2.0
"""Fields that a newer schema added to a table that we know.

Such a field has a slot behind the last known one, and nothing tells its type.  What must not
happen is that it is dropped silently, or that an offset is copied as if it were a number.  It is
kept as its raw bytes if it *cannot* be an offset: fewer than four bytes wide, or a value that
leads outside the file or to an odd place (flatbuffers align what offsets lead to).  Bytes that
might be an offset are refused with a clear error.
"""

from __future__ import annotations

from tflsplit.errors import ModelError
from tflsplit.tflite.schema import TableSchema

_WIDTHS = (8, 4, 2, 1)


def slot_key(slot: int) -> str:
    """The key that an unknown field has in a record and in attributes."""
    return f"slot_{slot}"


def slot_number(key: str) -> int | None:
    """The slot of an unknown field's key; None for any other key."""
    number = key.removeprefix("slot_")
    return int(number) if number != key and number.isdigit() else None


def unknown_scalars(
    data: bytes, table: TableSchema, position: int, offsets: tuple[int, ...], inline_size: int
) -> dict[str, bytes]:
    """The raw bytes of the fields behind the known slots, by ``slot_key``.

    position: of the table in ``data``; offsets: of its fields, by slot; inline_size: its bytes.
    Raises ModelError for a field that may be an offset.
    """
    ends = sorted({*offsets, inline_size})
    found = {}
    for slot in range(table.slots, len(offsets)):
        if not offsets[slot]:
            continue
        start = position + offsets[slot]
        end = position + next(end for end in ends if end > offsets[slot])
        raw = _scalar_bytes(data, start, end)
        if raw is None:
            raise ModelError(
                f"{table.name} has a field in slot {slot} that is newer than the known schema; "
                "update the 'tflite' package, or write the model with an older converter"
            )
        found[slot_key(slot)] = raw
    return found


def _scalar_bytes(data: bytes, start: int, end: int) -> bytes | None:
    """The field's bytes without the padding behind it; None if it may be an offset."""
    width = next(width for width in _WIDTHS if start % width == 0 and start + width <= end)
    if width >= 4 and _may_be_offset(data, start):
        return None
    return data[start : start + width] if not any(data[start + width : end]) else None


def _may_be_offset(data: bytes, start: int) -> bool:
    offset = int.from_bytes(data[start : start + 4], "little")
    target = start + offset
    return offset >= 4 and target % 4 == 0 and target + 4 <= len(data)
