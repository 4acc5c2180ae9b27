# SPDX-License-Identifier: Apache-2.0
"""FlexBuffer maps: what goes in comes out, and damaged ones do no harm."""

import random
import time
from typing import Any

import pytest
from flatbuffers import flexbuffers
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.errors import InternalError
from tflsplit.ir import Attrs
from tflsplit.tflite.flexmap import decode_map, encode_map

INTEGERS = st.integers(-(2**63), 2**63 - 1)
PLAIN = st.one_of(
    st.booleans(), INTEGERS, st.floats(allow_nan=False), st.text(), st.binary(),
    st.lists(INTEGERS).map(tuple), st.lists(st.floats(allow_nan=False)).map(tuple),
)  # fmt: skip
KEYS = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)
MAPS = st.dictionaries(KEYS, PLAIN, max_size=8)
PIECE = Attrs({"channel": 3, "box": (0, 1, 0, 70_000), "from": 2})
OPTIONS: dict[str, Any] = {
    "v": 1,
    "to": (1, 2),
    "empty": (),
    "tensor": "Conv2d_0/Relu6",
    "pieces": (PIECE, PIECE),
    "raw": b"\0\1",
    "scale": 0.1,
    "mixed": (1, 2.5, "three"),
    "yes": True,
}


@given(MAPS)
def test_plain_maps_come_back(options: dict[str, Any]):
    assert dict(decode_map(encode_map(options)) or {}) == options


@given(st.dictionaries(KEYS, st.lists(MAPS.map(Attrs), max_size=3).map(tuple), max_size=3))
def test_nested_maps_come_back(options: dict[str, Any]):
    assert dict(decode_map(encode_map(options)) or {}) == options


def test_the_order_of_keys_does_not_matter():
    assert encode_map(OPTIONS) == encode_map(dict(reversed(OPTIONS.items())))
    assert list(decode_map(encode_map(OPTIONS)) or ()) == sorted(OPTIONS)


@pytest.mark.parametrize("box", [(), (1,), (0, 5, 0, 300)])
def test_tuples_of_integers_are_typed_integer_vectors(box: tuple[int, ...]):
    ref = flexbuffers.GetRoot(encode_map({"box": box})).AsMap["box"]
    assert ref.IsTypedVector
    assert ref._type == flexbuffers.Type.VECTOR_INT
    assert tuple(ref.AsTypedVector.Value) == box


@given(st.lists(INTEGERS | st.integers(-300, 300), min_size=1, max_size=300))
def test_integers_at_once_are_stored_as_one_by_one(values: list[int]):
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key("box")
        with builder.TypedVector():
            for value in values:
                builder.Add(value)
    assert encode_map({"box": tuple(values)}) == bytes(builder.Finish())


def test_values_take_the_smallest_width():
    small, large = (len(encode_map({"box": (value,) * 100})) for value in (1, 70_000))
    assert (small < 120, large > 400) == (True, True)


def test_what_flexbuffers_cannot_hold_is_a_bug_of_the_caller():
    with pytest.raises(InternalError, match="cannot hold None"):
        encode_map({"x": None})  # type: ignore[dict-item]
    with pytest.raises(InternalError, match="cannot hold 18446744073709551616"):
        encode_map({"x": (2**64,)})
    with pytest.raises(InternalError, match="the key 'ö'"):
        encode_map({"ö": 1})


@pytest.mark.parametrize("data", [b"", b"\0", b"not a map", flexbuffers.Dumps([1]), b"\xff" * 9])
def test_other_bytes_are_no_map(data: bytes):
    assert decode_map(data) is None


def test_null_is_no_attribute():
    assert decode_map(bytes(flexbuffers.Dumps({"a": None}))) is None


def test_damaged_maps_neither_crash_nor_hang():
    rng = random.Random(5)
    sound = encode_map(OPTIONS)
    start = time.process_time()
    outcomes = set()
    for _ in range(2000):
        data = bytearray(sound)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        result = decode_map(bytes(data[: rng.randint(len(data) - 3, len(data))]))
        outcomes.add(type(result))
        if result is not None:
            encode_map(result)
    assert outcomes == {type(None), Attrs}
    assert time.process_time() - start < 20


def test_a_map_that_contains_itself_is_refused():
    # A vector whose only element is an offset of zero: itself.
    loop = bytes([1, 0, 0x28, 2, 0x28, 1])
    assert decode_map(loop) is None
