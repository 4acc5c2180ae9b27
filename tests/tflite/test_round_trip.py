# SPDX-License-Identifier: Apache-2.0
"""Reading and writing again changes nothing that TFLM or the graph could notice."""

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.tiny import NETWORKS
from tests.tflite.edits import Record, edited, operator, tensor
from tests.tflite.oracle import all_tensors
from tests.tflite.raw import dense_model
from tflsplit.ir import DType, Graph
from tflsplit.ir.compare import differences
from tflsplit.tflite import read_model, write_model

REAL = [
    "gen_cifar_grouped_se_hswish_int8",
    "gen_tcn_dilated_2in2out_int8",
    "gen_unet_96_int8",
    "mcunet_vww_tinyengine",
    "mlperf_ad_fc",
    "mlperf_kws_dscnn",
    "mlperf_resnet8",
    "mlperf_vww_mbv1",
    "mobilenet_v1_0.25_128_tinymaix",
    "mobilenet_v2_0.35_160_cfu",
    "mobilenet_v2_1.0_224_coral_ptq",
    "pypi_silabs_kws_mbv2",
    "resnet8_int16x8",
    "tflm_person_detect",
    "tflm_person_detect_qdimfix",
    "yolo_face_nxp",
]


def random_inputs(graph: Graph) -> list[NDArray[Any]]:
    rng = np.random.default_rng(7)
    arrays = []
    for value in graph.inputs:
        if value.dtype is DType.FLOAT32:
            arrays.append(rng.standard_normal(value.shape, np.float32))
        else:
            info: Any = np.iinfo(value.dtype.numpy)
            arrays.append(
                rng.integers(info.min, info.max, value.shape, value.dtype.numpy, endpoint=True)
            )
    return arrays


def assert_same_on_tflm(before: bytes, after: bytes) -> None:
    graph = read_model(before)
    inputs = random_inputs(graph)
    numbers = [value.file_extra.integer("index") for n in graph.nodes for value in n.outputs]
    expected, found = (all_tensors(model, inputs, numbers) for model in (before, after))
    assert len(numbers) >= len(graph.nodes)
    for number, one, other in zip(numbers, expected, found, strict=True):
        assert np.array_equal(one, other), f"tensor {number}"


def assert_lossless(data: bytes) -> Graph:
    graph = read_model(data)
    again = write_model(graph)
    assert differences(graph, read_model(again)) == []
    assert write_model(read_model(again)) == again
    return read_model(again)


def test_the_comparison_notices_one_weight():
    def change(model: Record) -> None:
        model["buffers"][1]["data"] = model["buffers"][1]["data"] ^ 1

    with pytest.raises(AssertionError, match="tensor 3"):
        assert_same_on_tflm(dense_model(), edited(dense_model(), change))


@pytest.mark.parametrize("name", REAL)
def test_real_models(shared_models: Path, name: str):
    data = (shared_models / f"{name}.tflite").read_bytes()
    assert_lossless(data)
    assert_same_on_tflm(data, write_model(read_model(data)))


@pytest.mark.parametrize("name", NETWORKS)
def test_own_models(name: str):
    data = write_model(NETWORKS[name]())
    assert_lossless(data)
    assert_same_on_tflm(data, write_model(read_model(data)))


def test_a_file_that_another_writer_made():
    assert_lossless(dense_model())
    assert_same_on_tflm(dense_model(), write_model(read_model(dense_model())))


@pytest.mark.parametrize("name", NETWORKS)
def test_litert_opens_what_we_write_and_gives_the_same_bits(name: str):
    interpreter = pytest.importorskip(
        "ai_edge_litert.interpreter",
        reason="needs LiteRT, the second engine: install the extra 'host'",
    )
    before = write_model(NETWORKS[name]())
    results = []
    for data in (before, write_model(read_model(before))):
        engine = interpreter.Interpreter(
            model_content=data,
            experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF,
        )
        engine.allocate_tensors()
        details = engine.get_input_details()
        for detail, array in zip(details, random_inputs(read_model(data)), strict=True):
            engine.set_tensor(detail["index"], array)
        engine.invoke()
        results.append([engine.get_tensor(d["index"]) for d in engine.get_output_details()])
    assert all(map(np.array_equal, *results))


def rare_fields(model: Record) -> None:
    """Everything that ordinary files do not have."""
    tensor(model, 0)["has_rank"] = True
    tensor(model, 1)["sparsity"] = {
        "traversal_order": (0, 1),
        "dim_metadata": [
            {"format": 0, "dense_size": 3},
            {"format": 1, "array_segments_type": 3, "array_segments": {"values": b"\0\4"},
             "array_indices_type": 1, "array_indices": {"values": (0, 1, 2, 3)}},
        ],
    }  # fmt: skip
    tensor(model, 1)["quantization"] |= {"min": (-2.0,), "max": (float("nan"),)}
    tensor(model, 2)["quantization"] |= {"details_type": 1, "details": {"custom": b"\1\2"}}
    tensor(model, 3)["variant_tensors"] = [{"shape": (1, 2), "type": 9, "has_rank": True}]
    operator(model, 0).update(
        mutating_variable_inputs=(True, False, False), intermediates=(5, -1),
        debug_metadata_index=4,
    )  # fmt: skip
    operator(model, 1)["custom_options"] = b"of a builtin operator"
    scratch = {"name": "scratch", "shape": (2,), "type": 9}
    variable = {"name": "state", "shape": (2,), "type": 9, "is_variable": True}
    model["subgraphs"][0]["tensors"] += [scratch, variable, dict(scratch, name="dangling")]
    model["subgraphs"][0]["debug_metadata_index"] = 2
    operator(model, 0)["inputs"] = (0, 1, 2, 6)
    model["buffers"] += [{"data": b"first"}, {"data": b"second"}, {"data": b"third"}]
    model["metadata"] += [{"name": "twice", "buffer": 4}, {"name": "twice", "buffer": 5}]
    model["metadata_buffer"] = (6,)
    ends = [{"name": "in", "tensor_index": 0}], [{"name": "out", "tensor_index": 4}]
    model["signature_defs"] = [
        {"signature_key": "serve", "subgraph_index": 0, "inputs": ends[0], "outputs": ends[1]}
    ]
    body = dict(model["subgraphs"][0], name="body")
    model["subgraphs"].append(body)


def test_rare_fields():
    graph: Any = assert_lossless(edited(dense_model(), rare_fields))
    dense = graph.nodes[0]
    weights = dense.input(1)
    metadata = weights.file_extra["sparsity"]["dim_metadata"]
    assert metadata[1]["array_segments"]["values"] == b"\0\4"
    assert weights.quantization.minimum == (-2.0,)
    assert dense.input(2).quantization.details == b"\1\2"
    scratch, absent = dense.file_extra["intermediates"]
    assert (scratch.name, absent) == ("scratch", None)
    assert dense.file_extra["mutating_variable_inputs"] == (True, False, False)
    assert dense.input(3).is_variable
    assert graph.nodes[1].file_extra["custom_options"] == b"of a builtin operator"
    assert graph.metadata["twice"] == b"first"
    extra = graph.file_extra
    assert extra["repeated_metadata"] == (("twice", b"second"),)
    assert extra["metadata_buffer"] == (b"third",)
    assert extra["signature_defs"][0]["outputs"] == (("out", graph.outputs[0]),)
    assert [value.name for value in extra["unused_tensors"]] == ["scratch", "dangling"]
    assert [body.name for body in extra["subgraphs"]] == ["body"]


def test_weights_shared_by_subgraphs_stay_shared():
    def second(model: Record) -> None:
        model["subgraphs"].append(dict(model["subgraphs"][0], name="body"))

    data = edited(dense_model(), second)
    assert len(write_model(read_model(data))) < len(data) + 200
    assert_lossless(data)


def test_files_zipped_behind_the_model_stay_readable():
    archive = io.BytesIO(dense_model())
    with zipfile.ZipFile(archive, "a") as appended:
        appended.writestr("labels.txt", "cat\ndog\n")
    again = write_model(read_model(archive.getvalue()))
    assert zipfile.ZipFile(io.BytesIO(again)).read("labels.txt") == b"cat\ndog\n"
    assert_lossless(archive.getvalue())


def test_reading_and_writing_mobilenet_v2_is_fast(shared_models: Path):
    path = shared_models / "mobilenet_v2_1.0_224_coral_ptq.tflite"
    write_model(read_model(path))  # imports and learns the schema
    start = time.process_time()
    graph = read_model(path)
    middle = time.process_time()
    write_model(graph)
    end = time.process_time()
    assert middle - start < 1.0
    assert end - middle < 1.0
