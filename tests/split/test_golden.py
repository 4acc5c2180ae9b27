# SPDX-License-Identifier: Apache-2.0
"""Device graphs of small networks under fixed plans are, word for word, what lies in ``golden``.

A change that should change nothing is seen to; one that should is written anew by
``python -m tests.make_golden`` and read in its diff.
"""

from __future__ import annotations

import difflib

import pytest

from tests.make_golden import CASES, GOLDEN, text_of
from tflsplit.ir.printer import graph_text


@pytest.mark.parametrize("name", CASES)
def test_graphs_are_as_they_were(name: str):
    before = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    now = text_of(name).splitlines()
    changes = list(difflib.unified_diff(before, now, "golden", "now", lineterm="", n=1))
    assert not changes, "\n".join([*changes[:40], "meant?  python -m tests.make_golden"])


def test_every_file_has_its_case():
    names = {path.name.split(".")[0] for path in GOLDEN.iterdir()}
    assert names == set(CASES)


def test_every_way_of_moving_data_is_there():
    """What a reader looks for: SEND and RECV of halos, gathers, sums, and a fused block."""
    texts = {name: (GOLDEN / f"{name}.txt").read_text(encoding="utf-8") for name in CASES}
    assert all("TFLSPLIT_SEND" in text and "TFLSPLIT_RECV" in text for text in texts.values())
    assert "sum=1" in texts["autoencoder-in_channels"]
    assert "TFLSPLIT_FUSED_BLOCK" in texts["mobilenet-fused"]
    assert graph_text.__doc__
