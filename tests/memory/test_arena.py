# SPDX-License-Identifier: Apache-2.0
"""What an estimate says, apart from its numbers being right (test_kernels.py)."""

from itertools import pairwise

import pytest
from hypothesis import given

from tests.memory.measuring import graphs
from tests.memory.op_cases import tensor
from tests.memory.op_list import CASES
from tflsplit.errors import UserError
from tflsplit.ir import Graph, Node
from tflsplit.memory import ABIS, CORTEX_M, ESP32, HOST_64, ArenaPlan, Buffer, predict_arena


@given(graphs())
def test_the_parts_of_the_tail_add_up(graph):
    estimate = predict_arena(graph)
    parts = {name: size for name, size in estimate.parts.items() if name != "head_scratch"}
    assert sum(parts.values()) == estimate.tail_bytes
    assert estimate.total_bytes == estimate.head_bytes + estimate.tail_bytes


@given(graphs())
def test_the_head_is_the_same_on_every_target(graph):
    heads = {predict_arena(graph, abi).head_bytes for abi in ABIS.values()}
    assert len(heads) == 1


@pytest.mark.parametrize("name", CASES)
def test_the_head_of_an_operator_does_not_depend_on_the_target(name):
    case = CASES[name]()
    heads = {predict_arena(case, abi).head_bytes for abi in (CORTEX_M, ESP32, HOST_64)}
    assert len(heads) == 1


@given(graphs())
def test_the_required_arena_holds_the_total(graph):
    estimate = predict_arena(graph)
    assert estimate.required_bytes >= estimate.total_bytes
    assert estimate.required_bytes % 16 == 0


def test_many_small_tensors_need_more_room_for_planning_than_for_running():
    values = [tensor((1,)) for _ in range(100)]
    nodes = [Node("FLOOR", (a,), (b,), name=f"n{i}") for i, (a, b) in enumerate(pairwise(values))]
    estimate = predict_arena(Graph("chain", (values[0],), (values[-1],), nodes))
    assert estimate.head_bytes == 32
    # 24 bytes a tensor and 40 a planned buffer, in place of the 32.
    assert estimate.required_bytes > estimate.total_bytes + 100 * (24 + 40) - 32


def test_an_abi_goes_by_its_name_too():
    case = CASES["CONV_2D"]()
    by_name, by_value = predict_arena(case, "esp32"), predict_arena(case, ESP32)
    assert (by_name.abi, by_name.total_bytes) == ("esp32", by_value.total_bytes)
    assert by_name.total_bytes > predict_arena(case, CORTEX_M).total_bytes


@pytest.mark.parametrize(("abi", "kernels"), [("pdp11", "reference"), (CORTEX_M, "fast")])
def test_an_unknown_target_is_refused_with_the_known_ones(abi, kernels):
    with pytest.raises(UserError, match="known are"):
        predict_arena(CASES["CONV_2D"](), abi, kernels)


def test_the_peak_is_when_most_bytes_are_live():
    buffers = [(32, 0, 1, 64), (64, 1, 2, 0), (48, 2, 4, 64), (32, 4, 4, 0)]
    plan = ArenaPlan({Buffer(s, a, b, None, str(s)): at for s, a, b, at in buffers})
    assert plan.peak_step == 2


def test_bytes_that_two_buffers_share_are_live_once():
    buffers = [(64, 1, 3, 16), (80, 2, 3, 0), (96, 4, 4, 0)]
    plan = ArenaPlan({Buffer(s, a, b, None, str(s)): at for s, a, b, at in buffers})
    assert plan.peak_step == 4


def test_an_empty_plan_has_its_peak_before_the_first_node():
    assert ArenaPlan({}).peak_step == 0
