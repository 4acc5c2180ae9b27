# SPDX-License-Identifier: Apache-2.0
"""The kernels as compiled for Cortex-M give the same bits, on QEMU, and stay small."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.cortex_m import (
    COMPILER,
    CORTEX_M0PLUS,
    EMULATOR,
    board,
    build_for,
    emulate,
    needs,
)
from tests.kernels.kernel_driver import (
    FLAGS,
    KERNELS,
    WARNINGS,
    decode_answer,
    encode_case,
    message_of,
)
from tests.ops.chain_cases import chain_cases, run_chain_case
from tests.ops.custom_cases import (
    Case,
    conv_2d_cases,
    depthwise_cases,
    every_pad_cases,
    fused_block_cases,
    long_sums,
    middle_cases,
    partial_conv_2d_cases,
    partial_fully_connected_cases,
    partial_sum_cases,
    requantize_cases,
    run_case,
    window_cases,
)
from tests.ops.threshold_cases import extreme_cases, threshold_cases
from tests.ops.unweighted_cases import add_cases, mean_cases, pool_cases
from tests.ops.wide_blocks import adding_cases, strided_cases, wide_cases
from tflsplit.wire import custom_ops as wire

# Cortex-M4, M7 (both with DSP instructions), M33, M55 (with MVE), and the code of an M0+
BOARDS = ("mps2_an386", "mps2_an500", "mps2_an505", "mps3_an547")
SCHEDULES = [
    *((name, schedule) for name in BOARDS for schedule in ("own", "portable")),
    (CORTEX_M0PLUS, "own"),
    ("mps2_an500", "dual issue"),
]
FLASH_LIMIT_BYTES = 46_900


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Some hundred cases, always the same."""
    found: list[Case] = []

    @settings(max_examples=60, derandomize=True, database=None)
    @given(
        st.tuples(
            conv_2d_cases(),
            depthwise_cases(),
            partial_conv_2d_cases(),
            partial_fully_connected_cases(),
            partial_sum_cases(),
            requantize_cases(max_channels=40),
            fused_block_cases(),
            window_cases(),
            middle_cases(),
            add_cases(),
            mean_cases(),
            pool_cases(),
        )
    )
    def collect(some: tuple[Case, ...]) -> None:
        found.extend(some)

    @settings(max_examples=60, derandomize=True, database=None)
    @given(chain_cases())  # many a drawn one is none, so it would spoil the others
    def collect_chains(chain: Case) -> None:
        found.append(chain)

    collect()
    collect_chains()
    found += [*padded_cases(), *wide_cases(), *strided_cases(), *adding_cases(), *long_sums()]
    found += [*threshold_cases(), *extreme_cases()]
    return found


def padded_cases() -> Iterator[Case]:
    for op in (wire.CONV_2D, wire.DEPTHWISE_CONV_2D):
        for kernel, stride in (((1, 1), 1), ((1, 1), 2), ((3, 3), 1), ((2, 5), 2)):
            yield from every_pad_cases(op, kernel, stride)


@pytest.mark.parametrize(("name", "schedule"), SCHEDULES)
def test_the_same_bits_on_cortex_m(
    name: str, schedule: str, cases: list[Case], tmp_path: Path
) -> None:
    """Every schedule on every core that runs it, with the schedule that it has and without."""
    needs(EMULATOR)
    build_for(name, tmp_path / "driver.elf", schedule=schedule)
    messages = [encode_case(*message_of(case.node, case.arrays)) for case in cases]
    answers = io.BytesIO(emulate(name, tmp_path / "driver.elf", b"".join(messages)))
    for case in cases:
        run = run_chain_case if case.node.op == wire.CHAIN else run_case
        expected = run(case)
        y = decode_answer(answers).array(case.node)
        np.testing.assert_array_equal(y, expected, strict=True)
    assert not answers.read()


def test_the_kernels_take_little_flash(tmp_path: Path) -> None:
    """All of them for a Cortex-M7, checks and their messages included."""
    command = [needs(COMPILER), *board("mps2_an500")["cpu_flags"], "-Os", *FLAGS, *WARNINGS]
    total = 0
    for source in sorted((KERNELS / "src").glob("*.cc")):
        target = tmp_path / f"{source.stem}.o"
        arguments = [f"-I{KERNELS / 'include'}", "-c", str(source), "-o", str(target)]
        subprocess.run([*command, *arguments], check=True)
        listing = subprocess.run(
            ["arm-none-eabi-size", str(target)], capture_output=True, text=True, check=True
        )
        text, data, bss = (int(field) for field in listing.stdout.splitlines()[1].split()[:3])
        assert data == bss == 0  # no state
        total += text
    assert total <= FLASH_LIMIT_BYTES
