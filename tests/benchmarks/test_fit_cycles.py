# SPDX-License-Identifier: Apache-2.0
"""The fit finds what made the counts; the board table says what an emulated core counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contenders import EmulatedKernels
from benchmarks.fit_cycles import fitted, lines
from benchmarks.kernel_shapes import all_cases
from benchmarks.operands import seeded
from tests.kernels.cortex_m import EMULATOR, needs
from tflsplit.cluster import Family, known_board
from tflsplit.plan.cost import local_node_us
from tflsplit.plan.cost.work import work_of

CASES = list(all_cases())
M7 = known_board("mps2_an500")


def instructions(node) -> float:
    return local_node_us(M7, node) * M7.clock_hz / 1e6


def test_the_fit_finds_what_made_the_counts():
    found, ratios = fitted(CASES, [round(1000 * instructions(node)) for _, node in CASES])
    occurring = {work.family for _, node in CASES for work in work_of(node)}
    assert found.keys() == occurring
    assert {Family.OTHER, Family.COPY, Family.TFLM}.isdisjoint(occurring)
    for family, each in found.items():
        assert each == pytest.approx(1000 * M7.cycles.of(family), rel=1e-3)
    assert ratios == pytest.approx([1.0] * len(CASES), abs=1e-4)


def test_a_family_that_would_be_negative_is_nothing():
    """What makes values as if these cost minus five."""
    counts = [
        round(100 * sum(w.amount * (-5 if w.family is Family.MADE else 10) for w in work_of(node)))
        for _, node in CASES
    ]
    found, _ = fitted(CASES, counts)
    assert found[Family.MADE] == 0.0
    assert min(found.values()) >= 0


def test_what_is_printed_is_a_table_of_boards_toml():
    counts = [round(instructions(node)) for _, node in CASES]
    printed = list(lines(CASES, counts, "cortex-m7", "ours", 2.0))
    assert printed[0].startswith(f"# cortex-m7, ours: {len(CASES)} cases")
    assert "[<board>.cycles_per_mac]" in printed
    line = next(line for line in printed if line.startswith("pointwise"))
    assert float(line.split(" = ")[1]) == pytest.approx(2 * M7.cycles.pointwise, rel=0.01)


FEW = ("1x1 10x10x96 to 16", "3x3/1 8x8, 64 to 64", "depthwise/2 24x24x16", "dense 640 to 128",
       "block (1, 10, 10, 16, 96, 16)", "block (1, 12, 24, 32, 0, 32)",
       "sums 5x5x84 to 112", "requantize 20x20x8")  # fmt: skip


def test_the_board_table_is_what_an_emulated_core_counts(tmp_path: Path):
    """A schedule that changes by more than this asks for ``python -m benchmarks.fit_cycles``."""
    needs(EMULATOR)
    board = EmulatedKernels("cortex-m7", "ours", tmp_path)
    for name, node in CASES:
        if name in FEW:
            _, counted, _ = board.run(node, seeded(node))
            assert 0.88 <= instructions(node) / counted <= 1.12, name
