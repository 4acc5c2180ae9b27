# SPDX-License-Identifier: Apache-2.0
"""Element types of tensors."""

from __future__ import annotations

import enum

import numpy as np

_NUMPY_CODES = {
    "FLOAT32": "<f4",
    "FLOAT16": "<f2",
    "FLOAT64": "<f8",
    "INT8": "i1",
    "UINT8": "u1",
    "INT16": "<i2",
    "UINT16": "<u2",
    "INT32": "<i4",
    "UINT32": "<u4",
    "INT64": "<i8",
    "UINT64": "<u8",
    "BOOL": "?",
    "COMPLEX64": "<c8",
    "COMPLEX128": "<c16",
}


class DType(enum.Enum):
    """An element type; the value is its name in the .tflite schema.

    itemsize: bytes per element; 0 where elements have no fixed whole number of bytes.
    """

    FLOAT32 = "FLOAT32"
    FLOAT16 = "FLOAT16"
    FLOAT64 = "FLOAT64"
    BFLOAT16 = "BFLOAT16"
    INT4 = "INT4"
    INT8 = "INT8"
    UINT8 = "UINT8"
    INT16 = "INT16"
    UINT16 = "UINT16"
    INT32 = "INT32"
    UINT32 = "UINT32"
    INT64 = "INT64"
    UINT64 = "UINT64"
    BOOL = "BOOL"
    STRING = "STRING"
    COMPLEX64 = "COMPLEX64"
    COMPLEX128 = "COMPLEX128"
    RESOURCE = "RESOURCE"
    VARIANT = "VARIANT"

    def __init__(self, name: str) -> None:
        code = _NUMPY_CODES.get(name)
        self.itemsize: int = np.dtype(code).itemsize if code else 0

    # There is one of each: by identity, not by name as enums are, which a search asks a lot.
    __hash__ = object.__hash__

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The NumPy type; raises KeyError for types NumPy cannot hold (INT4, STRING, ...)."""
        return _NUMPY[self]

    @classmethod
    def of(cls, array_dtype: np.dtype[np.generic]) -> DType:
        """The element type of a NumPy array; raises KeyError if there is none."""
        return _FROM_NUMPY[np.dtype(array_dtype)]


_NUMPY: dict[DType, np.dtype[np.generic]] = {
    DType(name): np.dtype(code) for name, code in _NUMPY_CODES.items()
}
_FROM_NUMPY = {array_dtype: dtype for dtype, array_dtype in _NUMPY.items()}
