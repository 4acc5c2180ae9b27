# SPDX-License-Identifier: Apache-2.0
"""Element types of tensors."""

from __future__ import annotations

import enum

import numpy as np


class DType(enum.Enum):
    """An element type; the value is its name in the .tflite schema."""

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

    @property
    def itemsize(self) -> int:
        """Bytes per element; 0 where elements have no fixed whole number of bytes."""
        return _ITEMSIZE.get(self.value, 0)

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The NumPy type; raises KeyError for types NumPy cannot hold (INT4, STRING, ...)."""
        return _NUMPY[self]

    @classmethod
    def of(cls, array_dtype: np.dtype[np.generic]) -> DType:
        """The element type of a NumPy array; raises KeyError if there is none."""
        return _FROM_NUMPY[np.dtype(array_dtype)]


_NUMPY: dict[DType, np.dtype[np.generic]] = {
    DType.FLOAT32: np.dtype("<f4"),
    DType.FLOAT16: np.dtype("<f2"),
    DType.FLOAT64: np.dtype("<f8"),
    DType.INT8: np.dtype("i1"),
    DType.UINT8: np.dtype("u1"),
    DType.INT16: np.dtype("<i2"),
    DType.UINT16: np.dtype("<u2"),
    DType.INT32: np.dtype("<i4"),
    DType.UINT32: np.dtype("<u4"),
    DType.INT64: np.dtype("<i8"),
    DType.UINT64: np.dtype("<u8"),
    DType.BOOL: np.dtype("?"),
    DType.COMPLEX64: np.dtype("<c8"),
    DType.COMPLEX128: np.dtype("<c16"),
}
_ITEMSIZE = {dtype.value: array_dtype.itemsize for dtype, array_dtype in _NUMPY.items()}
_FROM_NUMPY = {array_dtype: dtype for dtype, array_dtype in _NUMPY.items()}
