# SPDX-License-Identifier: Apache-2.0
"""Graphs with tflsplit's own operators, measured through their memory twin."""

import sys

import pytest

from tests.memory.measuring import measured
from tests.memory.op_cases import convolution, filters, graph, integers, tensor
from tflsplit.errors import EngineError, InternalError
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory import (
    HOST_64,
    custom,
    lifetimes,
    measure_arena,
    memory_twin,
    offline_metadata,
    plan_violations,
    predict_arena,
    recorder,
    tensor_order,
)
from tflsplit.memory.kernels import Prepared
from tflsplit.memory.offline import METADATA_NAME
from tflsplit.ops.own.custom import conv_2d
from tflsplit.ops.own.packed import packed
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import read_model
from tflsplit.wire import custom_ops as wire


def named(value: Value, name: str) -> Value:
    value.name = name
    return value


def exchange() -> Graph:
    """RECV from nothing -> conv -> SEND -> conv -> a pure wait; no graph inputs.

    Options of transfers play no part in memory and are left out.
    """
    x, y, z = (named(tensor((1, 4, 4, 8)), name) for name in "xyz")
    nodes = [
        own(wire.RECV, [], [x]),
        convolve(x, "1", y),
        own(wire.SEND, [y], []),
        convolve(y, "2", z),
        own(wire.RECV, [y], []),
    ]
    for number, node in enumerate(nodes):
        node.name = f"n{number}"
    return Graph("exchange", (), (z,), nodes)


def own(op: str, inputs: list[Value], outputs: list[Value]) -> Node:
    return Node(op, tuple(inputs), tuple(outputs), is_custom=True)


def convolve(x: Value, name: str, y: Value) -> Node:
    weights, bias, multiplier, shift = tables(name)
    return packed(conv_2d(x, weights, bias, multiplier, shift, y, pads=(1, 1, 1, 1)))


def tables(name: str) -> list[Value]:
    """Weights, bias, multipliers and shifts."""
    weights = named(filters((8, 3, 3, 8), 8, 0), f"w{name}")
    return [weights, *(named(integers(*range(8)), f"{part}{name}") for part in "bms")]


def test_the_twin_has_the_same_tensors_and_lifetimes():
    case = exchange()
    twin = memory_twin(case)
    scratch = {v for node in twin.nodes for v in node.outputs if "/scratch" in v.name}
    assert len(scratch) == 2
    assert [v for v in tensor_order(twin) if v not in scratch] == list(tensor_order(case))
    assert {v: life for v, life in lifetimes(twin).items() if v not in scratch} == lifetimes(case)
    assert {node.op for node in twin.nodes} == {"FLOOR"}
    assert sum(node.is_custom for node in case.nodes) == 5, "the graph itself is untouched"


def test_a_send_keeps_its_tensor_until_the_recv_that_waits_for_it():
    case = exchange()
    y = case.nodes[1].output
    assert lifetimes(case)[y] == (2, 5)


def test_tflm_takes_operators_without_operands_and_without_results():
    case = exchange()
    measurement = measured(case)
    estimate = predict_arena(case, HOST_64, recording=True)
    assert measurement.is_twin
    assert measurement.head_bytes == estimate.head_bytes == predict_arena(case).head_bytes
    assert measurement.tail_bytes == estimate.tail_bytes
    assert measurement.total_bytes == measurement.head_bytes + measurement.tail_bytes


def test_our_operators_are_counted_exactly():
    estimate = predict_arena(exchange())
    assert estimate.exact
    assert estimate.notes == ()
    assert 2 * 16 <= estimate.parts["op_data"] < 3 * 16, "two convolutions, nothing for transfers"


@pytest.fixture
def scratchy(monkeypatch):
    """Our convolution asks for two scratch buffers, as a future kernel may."""
    monkeypatch.setitem(custom.PREPARE, wire.CONV_2D, lambda node, abi: Prepared((), (500, 100)))


def test_scratch_of_our_operators_is_measured_as_results_nobody_reads(scratchy):
    case = exchange()
    twin = memory_twin(case)
    extra = set(lifetimes(twin)) - set(lifetimes(case))
    assert sorted((value.size_bytes, *lifetimes(twin)[value]) for value in extra) == [
        (100, 2, 2), (100, 4, 4), (500, 2, 2), (500, 4, 4),
    ]  # fmt: skip
    estimate = predict_arena(case, HOST_64, recording=True)
    measurement = measured(case)
    assert measurement.head_bytes == estimate.head_bytes
    assert measurement.tail_bytes == estimate.tail_bytes


def test_offline_offsets_follow_into_the_twin(scratchy):
    case = exchange()
    x, y, z = case.nodes[0].output, case.nodes[1].output, case.outputs[0]
    plan = predict_arena(case).plan
    moved = type(plan)({b: {x: 1024, y: 2048, z: 4096}[b.value] for b in plan.offsets if b.value})
    case.metadata[METADATA_NAME] = offline_metadata(moved, tensor_order(case))
    assert predict_arena(case).head_bytes == 4096 + z.size_bytes
    assert measured(case).head_bytes == 4096 + z.size_bytes


def test_a_graph_of_stock_operators_is_measured_as_it_is():
    case = convolution()
    measurement = measured(case)
    assert not measurement.is_twin
    assert measurement.parts["tail"] == measurement.tail_bytes


def test_without_the_wheel_there_is_no_measurement(monkeypatch):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    assert measure_arena(convolution()) is None


def test_tflms_refusal_is_passed_on_in_its_own_words():
    measured(convolution())
    wrong = graph("SOFTMAX", [tensor((1, 4))], [tensor((1, 4), scale=0.3)], beta=1.0)
    with pytest.raises(EngineError, match=r"SOFTMAX .* failed to prepare"):
        measure_arena(wrong)


def test_the_recorders_lines_stay_out_of_standard_error(capfd):
    measured(convolution())
    assert capfd.readouterr() == ("", "")


def test_output_that_is_not_understood_is_an_error():
    with pytest.raises(InternalError, match="not understood"):
        recorder.parse_allocations("Arena allocation total 5 bytes")


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("name", ["mlperf_kws_dscnn", "mlperf_resnet8", "mlperf_ad_fc"])
def test_device_graphs_of_real_models(shared_models, name, world_size):
    model = read_model(shared_models / f"{name}.tflite")
    for device in split_model(model, Wishes(world_size)).devices:
        estimate = predict_arena(device.graph, HOST_64, recording=True)
        measurement = measured(device.graph)
        assert measurement.head_bytes == estimate.head_bytes
        assert measurement.tail_bytes == estimate.tail_bytes
        assert predict_arena(device.graph).head_bytes == measurement.head_bytes
        assert plan_violations(device.graph, estimate.plan, estimate.head_bytes) == []
