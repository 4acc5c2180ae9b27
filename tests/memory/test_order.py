# SPDX-License-Identifier: Apache-2.0
"""The order of tensors is the one in the written file."""

import tflite
from hypothesis import given

from tests.memory.measuring import graphs
from tests.memory.op_cases import tensor
from tflsplit.ir import Attrs
from tflsplit.memory import tensor_order
from tflsplit.tflite import read_model, write_model


def names_in_file(model):
    subgraph = tflite.Model.GetRootAs(model).Subgraphs(0)
    return [subgraph.Tensors(i).Name().decode() for i in range(subgraph.TensorsLength())]


@given(graphs())
def test_the_order_is_the_files(graph):
    assert [value.name for value in tensor_order(graph)] == names_in_file(write_model(graph))


@given(graphs())
def test_a_graph_that_was_read_keeps_its_order_though_its_nodes_changed(graph):
    again = read_model(write_model(graph))
    again.nodes.reverse()
    assert [value.name for value in tensor_order(again)] == names_in_file(write_model(again))


@given(graphs())
def test_tensors_that_nothing_mentions_are_counted(graph):
    stray = tensor((4,))
    stray.name = "stray"
    graph.file_extra = Attrs({"unused_tensors": (stray,)})
    order = [value.name for value in tensor_order(graph)]
    assert "stray" in order
    assert order == names_in_file(write_model(graph))


def test_real_models_keep_their_order(shared_models):
    for path in sorted(shared_models.glob("mlperf_*.tflite")):
        data = path.read_bytes()
        assert [value.name for value in tensor_order(read_model(data))] == names_in_file(data)
