# SPDX-License-Identifier: Apache-2.0
"""Struct layouts: known sizes of the C ABI, and Python's own of this machine."""

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.memory import structs
from tflsplit.memory.abi import CORTEX_M, ESP32, HOST_64, Abi, Layout, align_up, struct_layout


@pytest.mark.parametrize(
    ("fields", "cortex_m", "host"),
    [
        ("", (0, 1), (0, 1)),
        ("P", (4, 4), (8, 8)),
        ("e", (1, 1), (4, 4)),
        ("bi", (8, 4), (8, 4)),
        ("ib", (8, 4), (8, 4)),
        ("hhh i h i", (20, 4), (20, 4)),
        ("id", (16, 8), (16, 8)),
        ("di", (16, 8), (16, 8)),
        ("{di}i", (24, 8), (24, 8)),
        ("d ii", (16, 8), (16, 8)),
        ("iP", (8, 4), (16, 8)),
        ("{P?}?", (12, 4), (24, 8)),
        ("ic", (4, 4), (8, 4)),
        ("PPC", (8, 4), (24, 8)),
    ],
)
def test_layouts_worked_out_by_hand(fields, cortex_m, host):
    assert struct_layout(fields, CORTEX_M) == Layout(*cortex_m)
    assert struct_layout(fields, HOST_64) == Layout(*host)


@pytest.mark.skipif(sys.maxsize < 2**32, reason="Python's native layout here is not 64 bit")
@given(st.text("P?bhiqfd", min_size=1, max_size=12))
def test_layouts_are_those_of_this_machine(fields):
    native = Abi("native", struct.calcsize("P"), 4)
    assert struct_layout(fields, native).size_bytes == align_up(
        struct.calcsize("@" + fields), struct_layout(fields, native).alignment_bytes
    )


# sizeof() as arm-none-eabi-gcc 12.2 printed them for Cortex-M7 (docs/arena.md).
@pytest.mark.parametrize(
    ("fields", "size"),
    [
        (structs.EVAL_TENSOR, 12),
        (structs.TENSOR, 32),
        (structs.NODE_AND_REGISTRATION, 32),
        (structs.AFFINE_QUANTIZATION, 12),
        (structs.SUBGRAPH_ALLOCATIONS, 8),
        (structs.ALLOCATORS[0], 36),
        (structs.ALLOCATORS[2], 36),
        (structs.GREEDY_PLANNER, 44),
        (structs.RECORDING_ALLOCATORS[0], 52),
        (structs.RECORDING_ALLOCATORS[2], 124),
        (structs.SCRATCH_HANDLE, 4),
        (structs.SCRATCH_REQUEST, 12),
        (structs.ALLOCATION_INFO, 24),
        (structs.PLANNED_BUFFER, 40),
    ],
)
def test_tflms_structs_have_the_sizes_that_the_compiler_gave_them(fields, size):
    assert struct_layout(fields, CORTEX_M).size_bytes == size


def test_enums_are_what_sets_cortex_m_apart_from_other_32_bit_targets():
    assert struct_layout(structs.TENSOR, CORTEX_M).size_bytes == 32
    assert struct_layout(structs.TENSOR, ESP32).size_bytes == 40
