# SPDX-License-Identifier: Apache-2.0
"""Encoding of records into a .tflite file, the inverse of ``decode.py``.

Equal records give equal bytes.  Scalars that have their default value are left out, as every
flatbuffer writer does; vectors are written as they are, so an empty one stays present (TFLM needs
the ``inputs`` and ``outputs`` of every operator, even empty).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import InternalError, ModelError
from tflsplit.tflite import schema
from tflsplit.tflite.schema import Field, TableSchema, table_schema
from tflsplit.tflite.unknown import slot_number

# TFLM reads weights in place, with loads of up to this many bytes.
BUFFER_ALIGNMENT_BYTES = 16

_PREPEND = {
    "?": "PrependBoolSlot",
    "|b1": "PrependBoolSlot",
    "|i1": "PrependInt8Slot",
    "|u1": "PrependUint8Slot",
    "<i2": "PrependInt16Slot",
    "<u2": "PrependUint16Slot",
    "<i4": "PrependInt32Slot",
    "<u4": "PrependUint32Slot",
    "<i8": "PrependInt64Slot",
    "<u8": "PrependUint64Slot",
    "<f4": "PrependFloat32Slot",
    "<f8": "PrependFloat64Slot",
}


def encode(model: Mapping[str, Any], expected_bytes: int = 1024) -> bytes:
    """The file of a ``Model`` record.

    expected_bytes: about how large it gets, so that the buffer need not grow.
    Raises InternalError for a record that the schema cannot hold, ModelError above 2 GiB.
    """
    encoder = _Encoder(flatbuffers.Builder(expected_bytes))
    try:
        root = encoder.table(table_schema("Model"), model)
        encoder.builder.Finish(root, schema.FILE_IDENTIFIER)
    except flatbuffers.builder.BuilderSizeError:
        raise ModelError("would be larger than 2 GiB, which .tflite files cannot be") from None
    return bytes(encoder.builder.Output())


class _Encoder:
    def __init__(self, builder: flatbuffers.Builder) -> None:
        self.builder = builder

    def table(self, table: TableSchema, record: Mapping[str, Any]) -> int:
        slots = {slot: key for key in record if (slot := slot_number(key)) is not None}
        strangers = [key for key in record if key not in table.names and key not in slots.values()]
        if strangers:
            raise InternalError(f"{table.name} has no field {', '.join(strangers)}")
        offsets = self._offsets(table, record)
        self.builder.StartObject(max([table.slots, *(slot + 1 for slot in slots)]))
        for field in table.fields:
            self._slot(field, table, record, offsets)
        for slot, key in slots.items():
            self._raw_slot(slot, record[key])
        return int(self.builder.EndObject())

    def _offsets(self, table: TableSchema, record: Mapping[str, Any]) -> dict[str, int]:
        return {
            field.name: self._value(table, field, record)
            for field in table.fields
            if field.kind != schema.SCALAR and field.name in record
        }

    def _slot(
        self, field: Field, table: TableSchema, record: Mapping[str, Any], offsets: dict[str, int]
    ) -> None:
        if field.name in offsets:
            self.builder.PrependUOffsetTRelativeSlot(field.slot, offsets[field.name], 0)
        elif field.kind == schema.SCALAR and field.name in record:
            assert field.dtype is not None
            prepend = getattr(self.builder, _PREPEND[field.dtype.str])
            try:
                prepend(field.slot, record[field.name], field.default)
            except (TypeError, OverflowError) as error:
                raise InternalError(f"{table.name}.{field.name}: {error}") from error

    def _raw_slot(self, slot: int, raw: bytes) -> None:
        self.builder.Prep(len(raw), 0)
        self._copy(np.frombuffer(raw, np.uint8))
        self.builder.Slot(slot)

    def _value(self, table: TableSchema, field: Field, record: Mapping[str, Any]) -> int:
        value = record[field.name]
        if field.kind == schema.SCALARS:
            alignment = BUFFER_ALIGNMENT_BYTES if table.name == "Buffer" else 1
            return self._vector(_array(table, field, value), alignment)
        if field.kind == schema.STRING:
            return int(self.builder.CreateString(value))
        if field.kind == schema.STRINGS:
            return self._offset_vector([self.builder.CreateString(text) for text in value])
        if field.kind == schema.TABLES:
            element = table_schema(field.target)
            return self._offset_vector([self.table(element, record) for record in value])
        return self.table(table_schema(_member(field, record)), value)

    def _vector(self, array: NDArray[Any], alignment: int) -> int:
        self.builder.StartVector(array.itemsize, array.size, max(array.itemsize, alignment))
        self._copy(array.reshape(-1).view(np.uint8))
        return int(self.builder.EndVector())

    def _copy(self, raw: NDArray[np.uint8]) -> None:
        """Puts bytes in front of what is written; the builder has reserved the room."""
        builder = self.builder
        builder.head = builder.head - raw.size
        builder.Bytes[builder.head : builder.head + raw.size] = raw.data

    def _offset_vector(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())


def _array(table: TableSchema, field: Field, value: Any) -> NDArray[Any]:
    """The elements as a contiguous array; no copy where it is one already."""
    if isinstance(value, bytes):
        return np.frombuffer(value, np.uint8)
    try:
        array = np.ascontiguousarray(value, field.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise InternalError(f"{table.name}.{field.name}: {error}") from error
    return array


def _member(field: Field, record: Mapping[str, Any]) -> str:
    """The table that a TABLE or a UNION field holds."""
    if field.kind == schema.TABLE:
        return field.target
    return schema.enum_names(field.target)[record[f"{field.name}_type"]]
