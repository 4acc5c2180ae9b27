# SPDX-License-Identifier: Apache-2.0
"""What the writer makes of a graph, read back by the package's own accessors."""

from typing import Any

import numpy as np
import pytest
import tflite
from numpy.typing import NDArray

from tests.tflite.raw import dense_model
from tflsplit.errors import InternalError
from tflsplit.ir import Attrs, DType, Graph, Node, Quantization, Value
from tflsplit.tflite import read_model, write_model

Q = Quantization((0.5,), (0,))


def activation(name: str, *shape: int) -> Value:
    return Value(name, shape, DType.INT8, Q)


def constant(name: str, data: NDArray[Any]) -> Value:
    return Value(name, data.shape, DType.of(data.dtype), Q, data)


def accessors(graph: Graph) -> tflite.SubGraph:
    return tflite.Model.GetRootAs(write_model(graph)).Subgraphs(0)


def adds(*constants: Value) -> Graph:
    """x + c for each constant."""
    x = activation("x", 2, 3)
    nodes = [Node("ADD", (x, c), (activation(f"y{i}", 2, 3),)) for i, c in enumerate(constants)]
    return Graph("main", (x,), tuple(node.output for node in nodes), nodes)


def buffers(graph: Graph) -> list[int]:
    """The buffer numbers of the constants, in order."""
    subgraph = accessors(graph)
    operators = [subgraph.Operators(i) for i in range(subgraph.OperatorsLength())]
    return [subgraph.Tensors(operator.Inputs(1)).Buffer() for operator in operators]


def test_the_file_is_a_tflite_file_of_version_3():
    data = write_model(adds(constant("c", np.ones((2, 3), np.int8))))
    assert data[4:8] == b"TFL3"
    assert tflite.Model.GetRootAs(data).Version() == 3


def test_equal_graphs_give_equal_bytes():
    data = dense_model()
    assert write_model(read_model(data)) == write_model(read_model(data))


def test_buffer_0_is_empty_and_the_others_are_aligned_for_tflm():
    data = write_model(adds(*(constant(f"c{n}", np.ones((2, 3), np.int8)) for n in range(5))))
    model = tflite.Model.GetRootAs(data)
    assert model.Buffers(0).DataLength() == 0
    assert model.BuffersLength() == 6
    for number in range(1, 6):
        start = model.Buffers(number)._tab.Vector(model.Buffers(number)._tab.Offset(4))
        assert start % 16 == 0
        assert model.Buffers(number).DataLength() == 6


def test_the_same_array_is_written_once():
    array = np.ones((2, 3), np.int8)
    assert buffers(adds(constant("a", array), constant("b", array))) == [1, 1]
    assert buffers(adds(constant("a", array[:]), constant("b", array[:]))) == [1, 1]


def test_equal_contents_are_not_merged():
    one, other = np.ones((2, 3), np.int8), np.ones((2, 3), np.int8)
    assert buffers(adds(constant("a", one), constant("b", other))) == [1, 2]


def test_parts_of_one_array_keep_their_own_contents():
    both = np.arange(12, dtype=np.int8).reshape(4, 3)
    graph = adds(constant("a", both[:2]), constant("b", both[2:]), constant("c", both[:, ::-1][:2]))
    read = read_model(write_model(graph))
    for before, after in zip(graph.constants(), read.constants(), strict=True):
        assert np.array_equal(before.data, after.data)  # type: ignore[arg-type]


def test_sharing_survives_the_round_trip():
    array = np.ones((2, 3), np.int8)
    graph = read_model(write_model(adds(constant("a", array), constant("b", array))))
    assert buffers(graph) == [1, 1]


def test_operators_without_inputs_or_outputs_get_empty_vectors():
    x = activation("x", 4)
    y = activation("y", 4)
    send = Node("TFLSPLIT_SEND", (x,), (), Attrs(v=1, to=(1,)), name="send", is_custom=True)
    receive = Node("TFLSPLIT_RECV", (), (y,), Attrs(v=1), is_custom=True)
    subgraph = accessors(Graph("main", (x,), (y,), [send, receive]))
    sent, received = subgraph.Operators(0), subgraph.Operators(1)
    assert (sent.OutputsIsNone(), sent.OutputsLength()) == (False, 0)
    assert (received.InputsIsNone(), received.InputsLength()) == (False, 0)


def test_our_custom_options_come_back_as_they_were():
    attrs = Attrs(boxes=(0, 4), channel=3, empty=(), tensor="x", v=1)
    x, y = activation("x", 4), activation("y", 4)
    node = Node("TFLSPLIT_RECV", (x,), (y,), attrs, is_custom=True)
    assert read_model(write_model(Graph("main", (x,), (y,), [node]))).nodes[0].attrs == attrs


def test_operator_codes_hold_each_operator_and_version_once():
    x = activation("x", 4)
    values = [x, *(activation(f"y{i}", 4) for i in range(4))]
    specs = [("RELU", 1, False), ("RELU", 2, False), ("RELU", 1, False), ("RELU", 1, True)]
    nodes = [
        Node(op, (values[i],), (values[i + 1],), version=version, is_custom=is_custom)
        for i, (op, version, is_custom) in enumerate(specs)
    ]
    graph = Graph("main", (x,), (values[-1],), nodes)
    model = tflite.Model.GetRootAs(write_model(graph))
    assert model.OperatorCodesLength() == 3
    assert model.OperatorCodes(2).CustomCode() == b"RELU"
    after = read_model(write_model(graph)).nodes
    assert [(node.op, node.version, node.is_custom) for node in after] == specs


def test_codes_above_127_use_the_new_field():
    x, y = activation("x", 4), activation("y", 4)
    model = tflite.Model.GetRootAs(
        write_model(Graph("main", (x,), (y,), [Node("BITCAST", (x,), (y,))]))
    )
    code = model.OperatorCodes(0)
    assert (code.DeprecatedBuiltinCode(), code.BuiltinCode()) == (
        127,
        tflite.BuiltinOperator.BITCAST,
    )


def test_the_files_own_numbers_of_tensors_are_kept():
    # The metadata OfflineMemoryAllocation gives one offset per tensor, by number.
    graph = read_model(dense_model())
    graph.nodes[0].inputs[0].file_extra = Attrs(index=4)  # type: ignore[union-attr]
    graph.outputs[0].file_extra = Attrs(index=0)
    assert [value.file_extra["index"] for value in read_model(write_model(graph)).values()] == [
        4, 1, 2, 3, 0
    ]  # fmt: skip


def test_tensors_of_two_files_are_numbered_by_first_mention():
    graph = read_model(dense_model())
    graph.outputs[0].file_extra = Attrs(index=0)
    names = [value.name for value in read_model(write_model(graph)).values()]
    assert names == ["x", "w", "b", "h", "y"]


def test_a_signature_of_the_shape_that_does_not_fit_a_shard_is_left_out():
    graph = read_model(dense_model())
    graph.inputs[0].file_extra = Attrs(shape_signature=(-1, 8))
    assert "shape_signature" not in read_model(write_model(graph)).inputs[0].file_extra


def test_a_signature_of_values_that_are_gone_is_left_out():
    graph = read_model(dense_model())
    inputs, outputs = (("x", graph.inputs[0]),), (("y", graph.outputs[0]),)
    signature = Attrs(signature_key="serve", subgraph_index=0, inputs=inputs, outputs=outputs)
    graph.file_extra = Attrs(signature_defs=(signature,))
    assert "signature_defs" in read_model(write_model(graph)).file_extra
    stranger = (("y", activation("elsewhere", 1, 3)),)
    graph.file_extra = Attrs(signature_defs=(signature.replace(outputs=stranger),))
    assert "signature_defs" not in read_model(write_model(graph)).file_extra


def test_metadata_comes_back():
    graph = read_model(dense_model())
    graph.metadata["OfflineMemoryAllocation"] = np.arange(8, dtype=np.int32).tobytes()
    assert read_model(write_model(graph)).metadata == graph.metadata


def test_an_array_that_is_not_what_its_value_claims_is_a_bug_of_the_caller():
    array = np.ones((2, 3), np.int8)
    with pytest.raises(InternalError, match="holds elements of int8"):
        write_model(adds(Value("c", (2, 3), DType.INT32, data=array)))
    with pytest.raises(InternalError, match=r"holds an array of shape \(2, 3\)"):
        write_model(adds(Value("c", (3, 2), DType.INT8, data=array)))


def test_an_operator_that_the_schema_does_not_know_is_a_bug_of_the_caller():
    x, y = activation("x", 4), activation("y", 4)
    with pytest.raises(InternalError, match="FROBNICATE is no builtin operator"):
        write_model(Graph("main", (x,), (y,), [Node("FROBNICATE", (x,), (y,))]))
