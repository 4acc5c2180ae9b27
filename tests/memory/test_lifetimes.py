# SPDX-License-Identifier: Apache-2.0
"""Lifetimes as TFLM's AllocationInfoBuilder sees them, on graphs worked out by hand."""

from hypothesis import given

from tests.memory.measuring import graphs
from tests.memory.op_cases import integers, tensor
from tflsplit.ir import DType, Graph, Node
from tflsplit.memory import lifetimes, live_bytes_over_time, peak_live_bytes
from tflsplit.memory.lifetimes import planned_buffers


def chain():
    """x -> a -> b -> c with a residual from x to the last node, and a tensor nobody reads."""
    x, a, b, c, unread = (tensor((size,)) for size in (10, 20, 30, 40, 5))
    nodes = [
        Node("FLOOR", (x,), (a, unread), name="n0"),
        Node("FLOOR", (a,), (b,), name="n1"),
        Node("FLOOR", (b, x), (c,), name="n2"),
    ]
    return Graph("chain", (x,), (c,), nodes), (x, a, b, c, unread)


def test_a_value_lives_from_its_producer_to_its_last_reader():
    graph, (x, a, b, c, unread) = chain()
    assert lifetimes(graph) == {x: (0, 3), a: (1, 2), b: (2, 3), c: (3, 3), unread: (1, 1)}


def test_outputs_live_to_the_end_and_unread_inputs_at_the_start_only():
    x, y, early, late = (tensor((8,)) for _ in range(4))
    nodes = [Node("FLOOR", (x,), (early,)), Node("FLOOR", (x,), (late,))]
    assert lifetimes(Graph("g", (x, y), (early, late), nodes)) == {
        x: (0, 2), y: (0, 0), early: (1, 2), late: (2, 2),
    }  # fmt: skip


def test_an_input_that_is_an_output_lives_throughout():
    x, y = tensor((8,)), tensor((8,))
    assert lifetimes(Graph("g", (x,), (x, y), [Node("FLOOR", (x,), (y,))]))[x] == (0, 1)


def test_a_graph_without_nodes():
    x = tensor((8,))
    assert lifetimes(Graph("g", (x,), (x,), [])) == {x: (0, 0)}
    assert live_bytes_over_time(Graph("g", (x,), (x,), [])) == []


def test_constants_variables_and_empty_tensors_are_not_in_the_head():
    x, state, empty = tensor((8,)), tensor((8,)), tensor((0,))
    state.is_variable = True
    node = Node("FLOOR", (x, integers(1), state), (tensor((4,)), empty))
    assert set(lifetimes(Graph("g", (x,), (), [node]))) == {x, node.outputs[0]}


def test_live_bytes_over_time_and_the_peak():
    graph, _ = chain()
    assert live_bytes_over_time(graph) == [10 + 20 + 5, 10 + 20 + 30, 10 + 30 + 40]
    assert peak_live_bytes(graph) == 80


def test_int4_counts_a_byte_an_element_as_in_tflm():
    x = tensor((10,), DType.INT4)
    y = tensor((1,))
    graph = Graph("g", (x,), (y,), [Node("FLOOR", (x,), (y,))])
    assert live_bytes_over_time(graph) == [11]


def test_scratch_buffers_live_with_their_node_and_come_after_the_tensors():
    graph, (x, a, b, c, unread) = chain()
    order = [c, x, a, unread, b]
    buffers = planned_buffers(graph, {graph.nodes[1]: (1, 33)}, order, {})
    assert [buffer.value for buffer in buffers] == [*order, None, None]
    assert [(b.size_bytes, b.first, b.last) for b in buffers[-2:]] == [(16, 2, 2), (48, 2, 2)]


def test_a_tensor_that_no_node_mentions_gets_room_before_the_start():
    graph, (x, a, b, c, unread) = chain()
    stray = tensor((100,))
    (*_, buffer) = planned_buffers(graph, {}, [x, a, b, c, unread, stray], {})
    assert (buffer.value, buffer.size_bytes, buffer.first, buffer.last) == (stray, 112, -1, -1)


@given(graphs())
def test_live_bytes_are_the_sum_over_the_lifetimes(graph):
    spans = lifetimes(graph)
    assert live_bytes_over_time(graph) == [
        sum(value.size_bytes for value, (first, last) in spans.items() if first <= time <= last)
        for time in range(1, len(graph.nodes) + 1)
    ]
