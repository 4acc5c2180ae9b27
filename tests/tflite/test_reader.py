# SPDX-License-Identifier: Apache-2.0
"""What the reader makes of a file, against files built by the generated functions alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from tests.tflite.edits import Record, edited, operator, tensor
from tests.tflite.raw import RawModel, dense_model
from tflsplit.errors import ModelError
from tflsplit.ir import Attrs, DType, Quantization
from tflsplit.tflite import load, read_model
from tflsplit.tflite.flexmap import encode_map


def test_the_graph_of_a_small_file():
    graph = read_model(dense_model())
    assert graph.name == "main"
    assert [node.op for node in graph.nodes] == ["FULLY_CONNECTED", "RELU"]
    assert [node.version for node in graph.nodes] == [4, 2]
    assert [value.name for value in graph.values()] == ["x", "w", "b", "h", "y"]
    assert [value.name for value in (*graph.inputs, *graph.outputs)] == ["x", "y"]
    assert graph.metadata == {"min_runtime_version": b"1.5.0\0\0"}
    assert dict(graph.file_extra) == {"description": "raw"}


def test_options_and_their_defaults():
    dense, relu = read_model(dense_model()).nodes
    assert dense.attrs == Attrs(
        fused_activation_function=0,
        weights_format=0,
        keep_num_dims=True,
        asymmetric_quantize_inputs=False,
        quantized_bias_type=0,
    )
    assert (dict(relu.attrs), dict(relu.file_extra)) == ({}, {})


def test_tensors_with_their_contents_and_quantization():
    graph = read_model(dense_model())
    x, weights, bias = graph.nodes[0].operands
    rng = np.random.default_rng(1)
    assert weights.data is not None
    assert bias.data is not None
    assert np.array_equal(weights.data, rng.integers(-127, 128, (3, 4), np.int8))
    assert np.array_equal(bias.data, rng.integers(-500, 500, 3, np.int32))
    assert (x.dtype, x.shape, x.data) == (DType.INT8, (1, 4), None)
    assert x.quantization == Quantization((0.5,), (-3,))
    assert x.file_extra == Attrs(index=0, shape_signature=(-1, 4))


def test_constants_are_views_of_the_file():
    data = dense_model()
    graph = read_model(data)
    whole = np.frombuffer(data, np.uint8)
    assert all(np.shares_memory(value.data, whole) for value in graph.constants())


def test_no_quantization_and_an_empty_one_are_told_apart():
    def strip(model: Record) -> None:
        del tensor(model, 3)["quantization"]
        tensor(model, 4)["quantization"] = {}

    dense, relu = read_model(edited(dense_model(), strip)).nodes
    assert dense.output.quantization is None
    assert relu.output.quantization == Quantization()


def test_optional_operands_are_none():
    def drop(model: Record) -> None:
        operator(model, 0)["inputs"] = (0, 1, -1)

    assert read_model(edited(dense_model(), drop)).nodes[0].inputs[2] is None


def test_names_of_nodes_are_unique_even_where_tensors_share_one():
    def rename(model: Record) -> None:
        tensor(model, 4)["name"] = "h"

    graph = read_model(edited(dense_model(), rename))
    assert [node.name for node in graph.nodes] == ["h", "h#1"]
    assert [node.output.name for node in graph.nodes] == ["h", "h"]


def custom(name: str, options: bytes | None) -> bytes:
    raw = RawModel()
    x = raw.tensor("x", (4,), tflite.TensorType.INT8)
    y = raw.tensor("y", (4,), tflite.TensorType.INT8)
    raw.operator(tflite.BuiltinOperator.CUSTOM, (x,), (y,), custom=name, custom_options=options)
    return raw.build([x], [y])


def test_options_of_our_custom_operators_are_attributes():
    data = custom("TFLSPLIT_RECV", encode_map({"v": 1, "local": (), "boxes": (0, 2)}))
    node = read_model(data).nodes[0]
    assert (node.op, node.is_custom) == ("TFLSPLIT_RECV", True)
    assert node.attrs == Attrs(boxes=(0, 2), local=(), v=1)


@pytest.mark.parametrize("options", [encode_map({"v": 1}), b"", b"anything"])
def test_options_of_other_custom_operators_stay_bytes(options: bytes):
    assert read_model(custom("Vendor", options)).nodes[0].attrs == Attrs(custom_options=options)


def test_options_of_ours_that_are_no_map_stay_bytes():
    assert read_model(custom("TFLSPLIT_SEND", b"??")).nodes[0].attrs["custom_options"] == b"??"


def test_a_custom_operator_without_options():
    assert dict(read_model(custom("Vendor", None)).nodes[0].attrs) == {}


def test_an_axis_out_of_range_is_harmless_on_one_dimension():
    def person_detect(model: Record) -> None:
        tensor(model, 2)["quantization"] |= {
            "scale": (0.1, 0.2, 0.3), "zero_point": (0, 0, 0), "quantized_dimension": 3
        }  # fmt: skip

    bias = read_model(edited(dense_model(), person_detect)).nodes[0].input(2)
    assert bias.quantization is not None
    assert (bias.quantization.axis, len(bias.quantization.scales)) == (0, 3)


def test_contents_behind_the_flatbuffer():
    # Files above 2 GB keep contents there; "offset" counts from the start of the file.
    rest = bytes(range(12))

    def move(size: int) -> bytes:
        return edited(dense_model(), lambda m: m["buffers"].__setitem__(1, at(size)))

    def at(offset: int) -> Record:
        return {"offset": offset, "size": len(rest)}

    size = len(move(10_000))
    graph = read_model(move(size) + rest)
    weights = graph.nodes[0].input(1)
    assert weights.data is not None
    assert weights.data.tobytes() == rest
    with pytest.raises(ModelError, match=r"buffer 1 ends at byte .* behind the end of the file"):
        read_model(move(size) + rest[:-1])


def test_custom_options_behind_the_flatbuffer():
    def move(offset: int) -> bytes:
        place = {"large_custom_options_offset": offset, "large_custom_options_size": 5}
        return edited(custom("Vendor", None), lambda model: operator(model, 0).update(place))

    data = move(len(move(10_000))) + b"large"
    assert read_model(data).nodes[0].attrs == Attrs(custom_options=b"large")
    with pytest.raises(ModelError, match="large_custom_options ends at byte"):
        read_model(data[:-1])


def test_further_subgraphs_are_carried():
    def second(model: Record) -> None:
        body = dict(model["subgraphs"][0], name="body")
        model["subgraphs"].append(body)

    graph = read_model(edited(dense_model(), second))
    others: Any = graph.file_extra["subgraphs"]
    (body,) = others
    assert (body.name, len(body.nodes)) == ("body", 2)


def test_a_constant_without_elements():
    # The new shape of a RESHAPE to a scalar: no bytes, yet nothing writes it.
    raw = RawModel()
    x = raw.tensor("x", (1,), tflite.TensorType.INT8)
    shape = raw.tensor("shape", (0,), tflite.TensorType.INT32)
    y = raw.tensor("y", (), tflite.TensorType.INT8)
    raw.operator(tflite.BuiltinOperator.RESHAPE, (x, shape), (y,))
    node = read_model(raw.build([x], [y])).nodes[0]
    assert node.input(1).is_constant
    assert node.output.shape == ()


def test_load_reads_a_path_and_messages_name_the_file(tmp_path: Path):
    path = tmp_path / "net.tflite"
    path.write_bytes(dense_model())
    assert load(path).name == "main"
    path.write_bytes(dense_model()[:-100])
    with pytest.raises(ModelError, match=r"^net\.tflite: "):
        load(path)
    with pytest.raises(ModelError, match=r"^no\.tflite: no such file$"):
        load(tmp_path / "no.tflite")
    with pytest.raises(ModelError, match="is not a file"):
        load(tmp_path)
