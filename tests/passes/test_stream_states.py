# SPDX-License-Identifier: Apache-2.0
"""Resource variables of streaming layers become state that one device keeps, with TFLM's bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.resource_variables import starting, stream
from tests.splits import compared, needs_tflm
from tests.support import node, tensor
from tflsplit.errors import ModelError
from tflsplit.ir import DType, Graph, Value
from tflsplit.memory.arena import predict_arena
from tflsplit.ops.declared import check_declared
from tflsplit.passes.stream_states import stream_states
from tflsplit.passes.write_states import write_states
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import read_model, write_model


def listening(holds_window: bool = False) -> Graph:
    """Two layers of 3 and of 2 remembered steps, with a RELU behind each."""
    x = tensor("x", (1, 3, 1, 8), scale=0.1, zero_point=-20)
    first, window = stream(x, 3, "first", holds_window)
    relu = node("RELU", [window], tensor("relu", window.shape, scale=0.05, zero_point=-128))
    second, wider = stream(relu.output, 2, "second", holds_window)
    last = node("RELU", [wider], tensor("y", wider.shape, scale=0.05, zero_point=-128))
    return Graph("listening", (x,), last.outputs, [*first, relu, *second, last])


def constant_like(value: Value, number: int) -> Value:
    data = np.full(value.shape, number, np.int8)
    return Value("start", value.shape, DType.INT8, value.quantization, data)


def started(graph: Graph, number: int) -> Graph:
    """The graph with its first variable set to ``number`` by a CALL_ONCE."""
    read = next(n for n in graph.nodes if n.op == "READ_VARIABLE").output
    return starting(graph, {"first": constant_like(read, number)})


@needs_tflm
@pytest.mark.parametrize("holds_window", [False, True])
@pytest.mark.parametrize("world_size", [1, 3])
def test_inferences_in_a_row_give_the_bits_of_the_unsplit_model(
    holds_window: bool, world_size: int
):
    model = read_model(write_model(started(listening(holds_window), -20)))
    split = split_model(model, Wishes(world_size, split="rows"))
    verdict = compared(split)
    assert verdict.passed
    assert verdict.has_state
    keepers = [d for d in split.devices if any(v.is_variable for v in d.graph.values())]
    assert keepers


@needs_tflm
def test_state_that_begins_otherwise_differs():
    """What ``verify`` sees if the state were not kept as the model keeps it."""
    model = listening()
    split = split_model(model, Wishes(1))
    forgetful = [replace(device, graph=_forgetful(device.graph)) for device in split.devices]
    assert not compared(replace(split, devices=tuple(forgetful))).passed


def _forgetful(graph: Graph) -> Graph:
    nodes = [n for n in graph.nodes if not any(v.is_variable for v in n.outputs)]
    return replace(graph, nodes=nodes, metadata={})


def test_nothing_of_the_variables_is_left_and_state_is_written_once():
    whole = stream_states(started(listening(), -20))
    assert [n.op for n in whole.nodes] == ["CONCATENATION", "RELU", "CONCATENATION", "RELU"]
    assert "subgraphs" not in whole.file_extra
    written = write_states(whole)
    assert [n.op for n in written.nodes][:3] == ["CONCATENATION", "SLICE", "RELU"]
    assert written.nodes[1].output is written.nodes[0].input(0)
    assert write_states(written) is written
    check_declared(written)
    assert predict_arena(written).parts["variables"] == 32 + 16


def test_a_state_that_another_operator_writes_is_refused():
    written = write_states(stream_states(listening()))
    written.nodes[1] = replace(written.nodes[2], outputs=written.nodes[1].outputs)
    written.nodes[1].inputs = written.nodes[0].inputs[:1]
    with pytest.raises(ModelError, match="variable tensor and an operator's result at once"):
        check_declared(written)


def other_start(graph: Graph) -> Graph:
    return started(graph, 5)


def read_twice(graph: Graph) -> Graph:
    read = next(n for n in graph.nodes if n.op == "READ_VARIABLE")
    more = node("RELU", [read.output], tensor("more", read.output.shape))
    return replace(graph, nodes=[*graph.nodes, more], outputs=(*graph.outputs, more.output))


def first_part(graph: Graph) -> Graph:
    """The variable keeps the first steps of the window, not the last."""
    cut = next(n for n in graph.nodes if n.op == "STRIDED_SLICE")
    begin = replace(cut.input(1), data=np.array([0, 0, 0, 0], np.int32))
    end = replace(cut.input(2), data=np.array([1, 3, 1, 8], np.int32))
    attrs = cut.attrs.replace(begin_mask=0, end_mask=0)
    other = replace(cut, inputs=(cut.input(0), begin, end, cut.input(3)), attrs=attrs)
    return replace(graph, nodes=[other if n is cut else n for n in graph.nodes])


def new_before_old(graph: Graph) -> Graph:
    join = next(n for n in graph.nodes if n.op == "CONCATENATION")
    turned = replace(join, inputs=join.inputs[::-1])
    return replace(graph, nodes=[turned if n is join else n for n in graph.nodes])


def assigned_before_it_is_read(graph: Graph) -> Graph:
    nodes = list(graph.nodes)
    nodes.insert(1, replace(nodes[4], inputs=(nodes[0].output, constant_like(nodes[1].output, 0))))
    return replace(graph, nodes=nodes)


@pytest.mark.parametrize(
    "other", [other_start, read_twice, first_part, new_before_old, assigned_before_it_is_read]
)
def test_variables_of_other_uses_are_refused(other):
    graph = other(listening())
    assert stream_states(graph) is graph
    with pytest.raises(ModelError, match=r"keeps state in a resource variable .* hand the state"):
        split_model(graph, Wishes(2))
