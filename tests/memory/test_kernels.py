# SPDX-License-Identifier: Apache-2.0
"""Every kernel's memory, against TFLM on this host and against what was measured on Cortex-M7."""

import json
from pathlib import Path

import pytest

from tests.memory.measuring import measured
from tests.memory.op_cases import fingerprint, graph, tensor
from tests.memory.op_list import CASES
from tflsplit.ir import Node
from tflsplit.memory import CORTEX_M, HOST_64, predict_arena, structs
from tflsplit.memory.demand import UNKNOWN_OP_BYTES
from tflsplit.tflite import read_model

TABLE = json.loads((Path(__file__).parent / "measured_arenas.json").read_text())
ON_DEVICE = TABLE["measurements"]
OP_ROWS = [row for row in ON_DEVICE if "case" in row]
MODEL_ROWS = [row for row in ON_DEVICE if "model" in row]


def name_of(row):
    return f"{row.get('case') or row['model']} {row['kernels']}"


def test_every_known_operator_has_a_case():
    assert {name.split()[0] for name in CASES} == structs.KNOWN


@pytest.mark.parametrize("name", CASES)
def test_an_operators_arena_on_this_host_is_tflms(name):
    case = CASES[name]()
    estimate = predict_arena(case, HOST_64, recording=True)
    measurement = measured(case)
    assert estimate.exact
    assert estimate.head_bytes == measurement.head_bytes
    assert estimate.tail_bytes == measurement.tail_bytes


def test_every_case_was_measured_on_the_device_or_refused_there():
    cases = {(row["case"], row["kernels"]) for row in OP_ROWS}
    missing = {(n, k) for n in CASES for k in ("reference", "cmsis_nn")} - cases
    # The CMSIS-NN kernel gives a bias back that it never took, without a bias.
    assert missing == {("TRANSPOSE_CONV int16", "cmsis_nn")}


def check_against_device(case, row):
    estimate = predict_arena(case, CORTEX_M, row["kernels"])
    recorded = predict_arena(case, CORTEX_M, row["kernels"], recording=True)
    assert estimate.exact
    assert estimate.head_bytes == row["head_bytes"]
    assert estimate.tail_bytes == row["tail_bytes"]
    assert estimate.total_bytes == row["total_bytes"]
    assert recorded.tail_bytes == row["recording_tail_bytes"]
    return estimate


@pytest.mark.parametrize("row", OP_ROWS, ids=name_of)
def test_an_operators_arena_on_cortex_m_is_what_was_measured(row):
    case = CASES[row["case"]]()
    assert fingerprint(case) == row["fingerprint"], "the case changed: measure it again"
    estimate = check_against_device(case, row)
    if row["smallest_arena_bytes"] is not None:
        assert estimate.required_bytes == row["smallest_arena_bytes"]


@pytest.mark.parametrize("row", MODEL_ROWS, ids=name_of)
def test_a_models_arena_on_cortex_m_is_what_was_measured(shared_models, row):
    estimate = check_against_device(read_model(shared_models / row["model"]), row)
    assert estimate.required_bytes == row["smallest_arena_bytes"]


def test_models_arenas_on_this_host_are_tflms(shared_models):
    for name in sorted({row["model"] for row in MODEL_ROWS}):
        model = read_model(shared_models / name)
        estimate = predict_arena(model, HOST_64, recording=True)
        measurement = measured(model)
        assert (estimate.head_bytes, estimate.tail_bytes) == (
            measurement.head_bytes,
            measurement.tail_bytes,
        ), name


@pytest.mark.parametrize("is_custom", [False, True])
def test_an_unknown_operator_is_counted_with_a_margin_and_marked(is_custom):
    x, y = tensor((16,)), tensor((16,))
    known = graph("FLOOR", [x], [y])
    unknown = graph("FLOOR", [x], [y])
    unknown.nodes[0] = Node("SOMEBODYS_OP", (x,), (y,), name="n", is_custom=is_custom)
    estimate = predict_arena(unknown)
    assert not estimate.exact
    assert estimate.margin_bytes == UNKNOWN_OP_BYTES
    assert "SOMEBODYS_OP" in estimate.notes[0]
    assert estimate.total_bytes >= predict_arena(known).total_bytes + UNKNOWN_OP_BYTES
