# SPDX-License-Identifier: Apache-2.0
"""``--record``: what `emulate` measured stands beside its predictions in the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.core_build import build_core
from tests.report.pages import content_of
from tests.splits import needs_tflm
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.emulate.core_library import LIBRARY_VARIABLE


@needs_tflm
def test_emulate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(LIBRARY_VARIABLE, str(build_core() / "libsplit_core.so"))
    folder = bundle_of(tmp_path / "out", "ds_cnn", 2)
    assert main(["emulate", str(folder), "--core-only", "--record", "--runs", "2"]) == 0
    assert "recorded" in capsys.readouterr().err
    content = content_of(read_bundle(folder))
    (run,) = content.runs
    assert (run.kind, run.same_bits, run.inferences) == ("core", True, 2)
    found = {(f.what, f.quantity): (f.predicted, f.measured) for f in run.figures}
    for rank, entry in enumerate(content.document["devices"]):
        assert found[f"rank {rank}", "sent"] == (entry["sent_bytes"], entry["sent_bytes"])
        assert (f"rank {rank}", "compute") not in found  # a program here tells nothing of a board
    predicted, measured = found["wire 0 → 1", "bytes"]
    assert predicted is not None
    assert measured == pytest.approx(predicted, rel=0.25)  # ACKs and polls depend on timing
