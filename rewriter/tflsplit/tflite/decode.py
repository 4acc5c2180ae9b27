# SPDX-License-Identifier: Apache-2.0
"""Bounds-checked decoding of a .tflite file into plain records.

The generated accessors trust the file: offsets that lead nowhere become ``struct.error``, short
slices or garbage.  Here every offset is checked before it is followed, and a budget in proportion
to the file's size bounds the work, so that no file can make the decoder crash, hang or fill the
memory.  A *record* is a dict of a table's fields: scalars always (with their default), the rest
where the file has them; vectors of scalars are NumPy views into the file, not copies.

A field that a newer schema added is kept as ``slot_<n>`` bytes where those provably are a plain
scalar (see ``unknown.py``), and refused otherwise, because dropping it could change the result.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import ModelError
from tflsplit.tflite import schema
from tflsplit.tflite.other_files import not_tflite
from tflsplit.tflite.schema import Field, TableSchema, table_schema
from tflsplit.tflite.unknown import unknown_scalars

Record = dict[str, Any]

_U16 = struct.Struct("<H")
_I32 = struct.Struct("<i")
_U32 = struct.Struct("<I")

# A sound file refers to each of its bytes about once; sharing needs a little more.
_BUDGET_FACTOR = 2
_BUDGET_SLACK = 1 << 16


class Decoder:
    """Decodes one file; ``root()`` gives the record of its ``Model`` table."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._budget = _BUDGET_FACTOR * len(data) + _BUDGET_SLACK

    def root(self) -> Record:
        """The ``Model`` record; ModelError where the file is damaged or is no .tflite file."""
        if len(self.data) < 8 or self.data[4:8] != schema.FILE_IDENTIFIER:
            raise ModelError(not_tflite(self.data))
        return self._table(table_schema("Model"), self._follow(0, "the file's root"))

    def external(self, offset: int, size: int, what: str) -> NDArray[np.uint8]:
        """Bytes that large files keep behind the flatbuffer, by position in the file."""
        if offset + size > len(self.data):
            raise ModelError(f"{what} ends at byte {offset + size}, behind the end of the file")
        self._charge(size, what)
        return np.frombuffer(self.data, np.uint8, size, offset)

    def _charge(self, size: int, what: str) -> None:
        self._budget -= size
        if self._budget < 0:
            raise ModelError(f"{what} overlaps other parts of the file")

    def _check(self, position: int, size: int, what: str) -> None:
        if position < 0 or position + size > len(self.data):
            raise ModelError(f"{what} points outside the file")

    def _u32(self, position: int, what: str) -> int:
        self._check(position, 4, what)
        return int(_U32.unpack_from(self.data, position)[0])

    def _follow(self, position: int, what: str) -> int:
        return position + self._u32(position, what)

    def _table(self, table: TableSchema, position: int) -> Record:
        offsets, inline_size = self._vtable(table.name, position)
        self._charge(inline_size + 4, table.name)
        record: Record = {}
        for field in table.fields:
            offset = offsets[field.slot] if field.slot < len(offsets) else 0
            if field.kind == schema.SCALAR:
                record[field.name] = self._scalar(field, position, offset)
            elif offset:
                value = self._value(field, position + offset, record, f"{table.name}.{field.name}")
                if value is not None:
                    record[field.name] = value
        if len(offsets) > table.slots:
            record |= unknown_scalars(self.data, table, position, offsets, inline_size)
        return record

    def _vtable(self, what: str, position: int) -> tuple[tuple[int, ...], int]:
        """Offsets of the table's fields by slot (0 where absent) and its inline size."""
        self._check(position, 4, what)
        vtable = position - _I32.unpack_from(self.data, position)[0]
        self._check(vtable, 4, what)
        size = _U16.unpack_from(self.data, vtable)[0]
        self._check(vtable, size, what)
        if size < 4 or size % 2:
            raise ModelError(f"{what} has a damaged vtable")
        inline_size, *offsets = struct.unpack_from(f"<{size // 2 - 1}H", self.data, vtable + 2)
        self._check(position, inline_size, what)
        if any(0 < offset < 4 or offset >= inline_size for offset in offsets):
            raise ModelError(f"{what} has a damaged vtable")
        return tuple(offsets), inline_size

    def _scalar(self, field: Field, position: int, offset: int) -> Any:
        if not offset:
            return field.default
        assert field.dtype is not None
        self._check(position + offset, field.dtype.itemsize, field.name)
        return np.frombuffer(self.data, field.dtype, 1, position + offset)[0].item()

    def _value(self, field: Field, position: int, record: Record, what: str) -> Any:
        if field.kind == schema.UNION:
            return self._union(field, position, record, what)
        target = self._follow(position, what)
        if field.kind == schema.TABLE:
            return self._table(table_schema(field.target), target)
        if field.kind == schema.STRING:
            return self._string(target, what)
        if field.kind == schema.SCALARS:
            assert field.dtype is not None
            return self._vector(target, field.dtype, what)
        return self._elements(field, target, what)

    def _union(self, field: Field, position: int, record: Record, what: str) -> Record | None:
        selector = record[f"{field.name}_type"]
        member = schema.enum_names(field.target).get(selector)
        if member is None:
            raise ModelError(
                f"{what} is of kind {selector}, which this version of the schema does not know; "
                "update the 'tflite' package, or write the model with an older converter"
            )
        if selector == 0:
            return None
        return self._table(table_schema(member), self._follow(position, what))

    def _elements(self, field: Field, position: int, what: str) -> list[Any]:
        offsets = self._vector(position, np.dtype("<u4"), what).tolist()
        targets = [position + 4 + 4 * i + offset for i, offset in enumerate(offsets)]
        if field.kind == schema.STRINGS:
            return [self._string(target, what) for target in targets]
        table = table_schema(field.target)
        return [
            self._element(table, target, f"{field.name}[{i}]") for i, target in enumerate(targets)
        ]

    def _element(self, table: TableSchema, position: int, where: str) -> Record:
        try:
            return self._table(table, position)
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from None

    def _vector(self, position: int, dtype: np.dtype[Any], what: str) -> NDArray[Any]:
        length = self._u32(position, what)
        size = length * dtype.itemsize
        self._check(position + 4, size, what)
        self._charge(size, what)
        return np.frombuffer(self.data, dtype, length, position + 4)

    def _string(self, position: int, what: str) -> str:
        characters = self._vector(position, np.dtype(np.uint8), what)
        return characters.tobytes().decode("utf-8", "backslashreplace")
