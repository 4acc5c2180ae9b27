# SPDX-License-Identifier: Apache-2.0
"""Options of custom operators as FlexBuffer maps.

A map's keys become attributes.  Nested maps become ``Attrs``, vectors of any kind tuples, blobs
bytes.  Encoding is deterministic: keys sorted, the smallest widths; tuples of integers (and empty
ones) become typed integer vectors, tuples of floats typed float vectors, other tuples untyped
vectors.

Reading never trusts the bytes: sizes, depth and the number of elements are bounded, since offsets
of a damaged map may lead in circles.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from tflsplit.errors import InternalError
from tflsplit.ir import Attrs, AttrValue

_MAX_DEPTH = 8
# Finding a key's end copies the rest of the map; this bounds the bytes copied that way.
_MAX_KEY_WORK_BYTES = 1 << 30
# What the flexbuffers package raises on bytes that are no FlexBuffer.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def encode_map(options: Mapping[str, AttrValue]) -> bytes:
    """The FlexBuffer of a map; InternalError for a value that FlexBuffers cannot hold."""
    _check_holdable(options)
    builder = flexbuffers.Builder()
    _add(builder, options)
    return bytes(builder.Finish())


def decode_map(data: bytes) -> Attrs | None:
    """The map in ``data``; None if there is none, or if it holds what is no attribute (null)."""
    try:
        value = _Reader(len(data)).value(flexbuffers.GetRoot(data), 0)
    except _DAMAGE:
        return None
    return value if isinstance(value, Attrs) else None


def _check_holdable(value: Any) -> None:
    # Beforehand, because the builder hides what is raised while one of its maps is open.
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not key.isascii() or "\0" in key:
                raise InternalError(f"custom options cannot have the key {key!r}")
            _check_holdable(item)
    elif isinstance(value, (tuple, list)):
        if not _are_integers(value):
            for item in value:
                _check_holdable(item)
    elif not isinstance(value, (bool, float, str, bytes)) and not _is_integer(value):
        raise InternalError(f"custom options cannot hold {value!r}")


def _is_integer(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**64


def _are_integers(values: Sequence[Any]) -> bool:
    """Whether values, if there are any, are integers of at most 64 bits and a sign."""
    return set(map(type, values)) <= {int} and (
        not values or (min(values) >= -(2**63) and max(values) < 2**63)
    )


def _add(builder: flexbuffers.Builder, value: Any) -> None:
    if isinstance(value, Mapping):
        with builder.Map():
            for key in sorted(value):
                builder.Key(key)
                _add(builder, value[key])
    elif isinstance(value, bytes):
        builder.Blob(value)
    elif isinstance(value, float):
        builder.Float(value, _float_bytes(value))
    elif type(value) is int and value >= 2**63:
        builder.UInt(value)
    elif isinstance(value, (bool, int, str)):
        builder.Add(value)
    else:
        _add_vector(builder, value)


def _add_vector(builder: flexbuffers.Builder, values: Sequence[Any]) -> None:
    if _are_integers(values):
        # At once, and empty ones too: element by element, large clusters' receives take seconds,
        # and of nothing the builder would make a vector of keys.
        builder.TypedVectorFromElements(array(_typecode(values), values))
        return
    is_floats = all(isinstance(value, float) for value in values)
    with builder.TypedVector() if is_floats else builder.Vector():
        for value in values:
            _add(builder, value)


def _typecode(values: Sequence[int]) -> str:
    """Of the narrowest array that holds signed values and the unsigned number of them."""
    low, high = min(values, default=0), max(values, default=0)
    for code, bits in (("b", 8), ("h", 16), ("i", 32)):
        end = 1 << (bits - 1)
        if -end <= low and high < end and len(values) < 2 * end:
            return code
    return "q"


def _float_bytes(value: float) -> int:
    # The builder's own choice fails on numbers that float32 would round to infinity.
    with np.errstate(over="ignore"):
        return 4 if float(np.float32(value)) == value else 8


class _Reader:
    def __init__(self, size: int) -> None:
        # Every element takes at least a byte, so a sound map cannot have more of them.
        self._elements_left = size
        self._key_cost = size
        self._key_work_left = _MAX_KEY_WORK_BYTES

    def value(self, ref: flexbuffers.Ref, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        if ref.IsBool:
            return ref.AsBool
        if ref.IsInt:
            return ref.AsInt
        if ref.IsFloat:
            return ref.AsFloat
        if ref.IsKey or ref.IsString:
            return self._counted(ref.AsString)
        if ref.IsBlob:
            return self._counted(bytes(ref.AsBlob))
        return self._container(ref, depth)

    def _container(self, ref: flexbuffers.Ref, depth: int) -> Any:
        if ref.IsMap:
            keys = self._items(ref.AsMap.Keys)
            values = self._items(ref.AsMap.Values)
            pairs = zip(keys, values, strict=True)
            return Attrs({self._key(key): self.value(item, depth + 1) for key, item in pairs})
        return tuple(self.value(item, depth + 1) for item in self._items(_vector(ref)))

    def _key(self, ref: flexbuffers.Ref) -> str:
        self._key_work_left -= self._key_cost
        if self._key_work_left < 0:
            raise ValueError("too many keys")
        return str(ref.AsKey)

    def _items(self, vector: Any) -> list[Any]:
        self._spend(len(vector))
        return [vector[index] for index in range(len(vector))]

    def _counted(self, text: Any) -> Any:
        self._spend(len(text))
        return text

    def _spend(self, elements: int) -> None:
        self._elements_left -= elements
        if self._elements_left < 0:
            raise ValueError("more elements than bytes")


def _vector(ref: flexbuffers.Ref) -> Any:
    if ref.IsVector:
        return ref.AsVector
    if ref.IsTypedVector:
        return ref.AsTypedVector
    if ref.IsFixedTypedVector:
        return ref.AsFixedTypedVector
    raise ValueError("no plain value")
