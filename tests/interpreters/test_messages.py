# SPDX-License-Identifier: Apache-2.0
"""What command and child say to each other arrives whole, or not at all."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
import pytest

from tflsplit.interpreters import messages


def sent(header: dict[str, Any], *arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    messages.write(stream, header, arrays)
    return stream.getvalue()


def test_arrays_of_every_kind_and_shape_arrive():
    arrays = [
        np.arange(24, dtype=np.int8).reshape(2, 3, 4),
        np.array(7, np.int32),
        np.zeros((0, 5), np.float32),
        np.array([True, False]),
        np.arange(12, dtype=np.int64).reshape(3, 4).T,
    ]
    answer = messages.read(io.BytesIO(sent({"do": "run", "number": 3}, *arrays)))
    assert answer is not None
    header, got = answer
    assert (header["do"], header["number"]) == ("run", 3)
    for one, other in zip(arrays, got, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_half_a_message_is_a_hang_up():
    whole = sent({"a": 1}, np.arange(100))
    for length in range(len(whole)):
        assert messages.read(io.BytesIO(whole[:length])) is None


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        "{}",
        json.dumps({"parts": [{"dtype": "O", "shape": [1]}]}),
        json.dumps({"parts": [{"dtype": "nonsense", "shape": [1]}]}),
        json.dumps({"parts": [{"dtype": "|i1", "shape": [-1]}]}),
        json.dumps({"parts": [{"dtype": "|i1", "shape": ["1"]}]}),
        json.dumps({"parts": [{"dtype": "|i1"}]}),
    ],
)
def test_what_is_no_message(text: str):
    data = struct.pack("<I", len(text)) + text.encode() + bytes(100)
    with pytest.raises(messages.BrokenMessageError):
        messages.read(io.BytesIO(data))


def test_a_length_that_nobody_would_send():
    with pytest.raises(messages.BrokenMessageError):
        messages.read(io.BytesIO(b"\xff" * 8))
