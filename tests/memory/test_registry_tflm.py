# SPDX-License-Identifier: Apache-2.0
"""Arenas of the registry's TFLM, against what it took on an emulated Cortex-M7, and its bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.memory.op_cases import fingerprint
from tests.memory.op_list import CASES
from tflsplit.ir import Graph
from tflsplit.memory import CORTEX_M, predict_arena
from tflsplit.memory.registry_tflm import OTHER_BITS
from tflsplit.tflite import read_model

ROWS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "measured_registry_arenas.json").read_text()
)["measurements"]
OPERATORS = [row for row in ROWS if "case" in row]
TOO_MUCH_BYTES = 64
"""What the moment of AllocateTensors may be predicted too high."""


def check(case: Graph, row: dict[str, Any]) -> None:
    estimate = predict_arena(case, CORTEX_M, "registry")
    assert estimate.total_bytes == row["total_bytes"]
    assert 0 <= estimate.required_bytes - row["smallest_arena_bytes"] <= TOO_MUCH_BYTES


@pytest.mark.parametrize("row", OPERATORS, ids=lambda row: row["case"])
def test_an_operators_arena_is_what_was_measured(row: dict[str, Any]):
    case = CASES[row["case"]]()
    assert fingerprint(case) == row["fingerprint"], "the case changed: measure it again"
    check(case, row)


def test_whole_networks_take_what_was_measured(shared_models: Path):
    for row in ROWS[len(OPERATORS) :]:
        check(read_model(shared_models / row["model"]), row)
        assert row["same_bits"]


def test_kernels_with_other_bits_are_those_that_were_found():
    assert {row["case"] for row in OPERATORS if row.get("same_bits") is False} == OTHER_BITS
    assert sum("same_bits" in row for row in OPERATORS) == 67


def test_without_the_dsp_extension_fewer_kernels_ask_for_scratch():
    plain = {
        name: predict_arena(CASES[name](), CORTEX_M, "registry_plain").head_bytes
        for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D")
    }
    dsp = {name: predict_arena(CASES[name](), CORTEX_M, "registry").head_bytes for name in plain}
    assert plain["CONV_2D"] == dsp["CONV_2D"]
    assert plain["DEPTHWISE_CONV_2D"] < dsp["DEPTHWISE_CONV_2D"]
    assert plain["AVERAGE_POOL_2D"] < dsp["AVERAGE_POOL_2D"]
