# SPDX-License-Identifier: Apache-2.0
"""The formula of docs/wire_format.md, on a check made weak enough to be seen to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.frame_check import bound, main, try_frames
from tests.bundles import bundle_of


def test_a_check_of_few_bits_lets_the_share_through_that_the_formula_says():
    tried = try_frames(3000, 1e-3, [0, 4, 6, 32])
    assert tried.passed[0] == tried.candidates  # nothing is compared: all pass
    assert 0.75 < tried.ratio(4) < 1.25
    assert 0.5 < tried.ratio(6) < 1.5
    assert tried.passed[32] == 0


def test_few_flips_are_more_than_the_check_is_sure_to_find():
    """Those in the byte stuffing, of which zeros make more."""
    few, many = (try_frames(2000, 1e-5, zeros=zeros) for zeros in (0.0, 0.5))
    assert few.flips < 1.1 * few.frames
    assert 0.002 < few.unsure_share < 0.05
    assert few.unsure_share < many.unsure_share < 0.6


def test_the_bound():
    assert bound(0, 1e-5) == 0
    assert bound(1_000_000, 1e-5) == pytest.approx(80 / 2**32)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = bundle_of(tmp_path / "out", "autoencoder", 2)
    assert main([str(folder), "--frames", "20"]) == 0
    printed = capsys.readouterr().out
    assert "bytes on all wires in one inference" in printed
    assert "| 1e-05 | " in printed
    assert "20 frames damaged at 0.001" in printed
    assert main([str(tmp_path)]) == 2
