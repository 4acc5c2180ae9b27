# SPDX-License-Identifier: Apache-2.0
"""The decoder's budget: files whose parts overlap cannot cost more than their size allows."""

import struct
import time
import tracemalloc

import pytest

from tests.tflite.raw import dense_model
from tflsplit.errors import ModelError
from tflsplit.tflite.decode import Decoder


def repeated(data: bytes, table: bytes, element: int, count: int) -> bytes:
    """A model whose vector in slot 4 (buffers) has ``count`` elements, all the same table.

    table: the element's bytes; element: where in them the table starts.
    """
    header = struct.pack("<I4s", 24, b"TFL3")
    vtable = struct.pack("<8H", 14, 8, 0, 0, 0, 0, 4, 0)
    model = struct.pack("<iI", 16, 4)  # the vtable 16 bytes before, the vector 4 behind
    start = 8 + len(vtable) + len(model) + 4
    target = start + 4 * count + element
    offsets = [target - (start + 4 * number) for number in range(count)]
    vector = struct.pack(f"<{count + 1}I", count, *offsets)
    return header + vtable + model + vector + table + data


def buffer_table(size: int) -> tuple[bytes, int]:
    """A Buffer whose contents are the ``size`` bytes behind it."""
    vtable = struct.pack("<4H", 6, 8, 4, 0)
    return vtable + struct.pack("<iII", 8, 4, size), 8


def test_the_crafted_file_is_sound_when_it_is_small():
    table, element = buffer_table(8)
    record = Decoder(repeated(b"contents", table, element, 1)).root()
    assert record["buffers"][0]["data"].tobytes() == b"contents"


def test_a_table_listed_many_times_is_refused_before_it_costs():
    table, element = buffer_table(100_000)
    data = repeated(bytes(100_000), table, element, 50_000)
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ModelError, match=r"Buffer\.data overlaps other parts of the file"):
        Decoder(data).root()
    assert time.process_time() - start < 5
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * len(data)


def test_a_vector_longer_than_the_file_is_refused():
    table, element = buffer_table(2**32 - 1)
    with pytest.raises(ModelError, match=r"buffers\[0\]: Buffer\.data points outside the file"):
        Decoder(repeated(b"contents", table, element, 1)).root()


def test_a_vtable_outside_the_file_is_refused():
    data = bytearray(dense_model())
    root = struct.unpack_from("<I", data)[0]
    for offset in (-(2**31), 2**31 - 1, root + 1):
        struct.pack_into("<i", data, root, offset)
        with pytest.raises(ModelError, match="Model points outside the file"):
            Decoder(bytes(data)).root()
