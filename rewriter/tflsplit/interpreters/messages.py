# SPDX-License-Identifier: Apache-2.0
"""What command and child say to each other: a line of JSON and the bytes that it announces.

    length of the JSON, u32 | JSON: {"...": ..., "parts": [{"dtype", "shape"}, ...]} | the parts

Neither side unpickles anything: the child's memory may have been written over by the model.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_LENGTH = struct.Struct("<I")
_MAX_HEADER_BYTES = 1 << 24
_NUMBERS = "biufc"


class BrokenMessageError(Exception):
    """What arrived is no message."""


def write(stream: BinaryIO, header: dict[str, Any], arrays: Sequence[Array] = ()) -> None:
    """Send a message; ``header`` must not have a key ``parts``."""
    parts = [{"dtype": array.dtype.str, "shape": array.shape} for array in arrays]
    text = json.dumps({**header, "parts": parts}).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
    for array in arrays:
        if array.size:
            stream.write(np.asarray(array, order="C").reshape(-1).view(np.uint8).data)
    stream.flush()


def read(stream: BinaryIO) -> tuple[dict[str, Any], list[Array]] | None:
    """Wait for a message; None where the other side has hung up, even in the middle of one.

    Raises BrokenMessageError for bytes that are none.
    """
    start = stream.read(_LENGTH.size)
    if len(start) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(start)
    if length > _MAX_HEADER_BYTES:
        raise BrokenMessageError
    text = stream.read(length)
    if len(text) < length:
        return None
    header, parts = _header(text)
    arrays = []
    for dtype, shape in parts:
        data = bytearray(dtype.itemsize * math.prod(shape))
        if stream.readinto(data) < len(data):  # type: ignore[attr-defined]
            return None
        arrays.append(np.frombuffer(data, dtype).reshape(shape))
    return header, arrays


def _header(text: bytes) -> tuple[dict[str, Any], list[tuple[np.dtype[Any], tuple[int, ...]]]]:
    """The JSON, and type and shape of the parts; BrokenMessageError where it makes no sense."""
    try:
        header = json.loads(text)
        parts = [(np.dtype(part["dtype"]), tuple(part["shape"])) for part in header["parts"]]
    except (ValueError, TypeError, KeyError):
        raise BrokenMessageError from None
    for dtype, shape in parts:
        extents = all(type(extent) is int and extent >= 0 for extent in shape)
        if dtype.kind not in _NUMBERS or not extents:
            raise BrokenMessageError
    return header, parts
