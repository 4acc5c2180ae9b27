# SPDX-License-Identifier: Apache-2.0
"""What is timed is the whole command."""

from __future__ import annotations

from benchmarks.rewrite_seconds import main
from tests.splits import tiny
from tflsplit.tflite import write_model


def test_every_model_is_a_row_and_what_is_none_is_refused(tmp_path, capsys):
    path = tmp_path / "tiny.tflite"
    path.write_bytes(write_model(tiny("mobilenet")))
    assert main([str(path), "-n", "1", "--objectives", "latency"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "| tiny |" in line)
    assert float(row.split("|")[3]) > 0.1
    assert main([str(tmp_path / "none.tflite"), "-n", "1"]) == 2
