# SPDX-License-Identifier: Apache-2.0
"""What goes before a model is planned."""

from __future__ import annotations

from dataclasses import replace

from models.pytorch_style import pytorch_style
from tests.splits import tiny
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.memory.offline import METADATA_NAME, offsets_blob
from tflsplit.memory.order import tensor_order
from tflsplit.passes.prepare import prepare


def test_offsets_that_a_file_plans_are_for_its_own_tensors():
    graph = pytorch_style(tiny("mobilenet"))  # its PADs are folded
    blob = offsets_blob({}, tensor_order(graph))
    planned = replace(graph, metadata={METADATA_NAME: blob, "of another tool": b"1"})
    assert peak_live_bytes(planned) > 0
    prepared = prepare(planned)
    assert len(prepared.nodes) < len(planned.nodes)
    assert prepared.metadata == {"of another tool": b"1"}
    assert peak_live_bytes(prepared) > 0
