# SPDX-License-Identifier: Apache-2.0
"""Every kind of bad file has one message that names the thing and the way out."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tflite.edits import Record, edited, operator, tensor
from tests.tflite.raw import dense_model
from tflsplit.errors import ModelError
from tflsplit.tflite import read_model

DAMAGED = "the file is damaged: download or convert it again"


def set_tensor(index: int, **fields: Any) -> Callable[[Record], None]:
    return lambda model: tensor(model, index).update(fields)


def quantize(index: int, **fields: Any) -> Callable[[Record], None]:
    return lambda model: tensor(model, index)["quantization"].update(fields)


def set_operator(index: int, **fields: Any) -> Callable[[Record], None]:
    return lambda model: operator(model, index).update(fields)


def set_graph(**fields: Any) -> Callable[[Record], None]:
    return lambda model: model["subgraphs"][0].update(fields)


def set_model(**fields: Any) -> Callable[[Record], None]:
    return lambda model: model.update(fields)


REFUSED = {
    "a dynamic batch": (
        set_tensor(0, shape=(-1, 4)),
        "tensor 0 (x) has the dynamic shape [-1, 4]; fix the input shape (batch size 1)",
    ),
    "an unknown rank": (
        set_tensor(0, shape=(), shape_signature=(-1, 4)),
        "tensor 0 (x) has the dynamic shape [-1, 4]; fix the input shape",
    ),
    "a negative dimension": (
        set_tensor(3, shape=(1, -3)),
        f"tensor 3 (h) has the impossible shape [1, -3]; {DAMAGED}",
    ),
    "a huge dimension": (
        set_tensor(3, shape=(2**30, 2**30)),
        "tensor 3 (h) has the impossible shape [1073741824, 1073741824]",
    ),
    "a dimension of zero": (set_tensor(3, shape=(1, 0)), "has no elements: a dimension is 0; fix"),
    "too many dimensions": (
        set_tensor(3, shape=(1,) * 9),
        f"tensor 3 (h) has 9 dimensions, more than 8; {DAMAGED}",
    ),
    "an unknown type": (set_tensor(3, type=77), "tensor 3 (h) has element type 77"),
    "a buffer too small": (
        set_tensor(1, shape=(4, 4)),
        f"tensor 1 (w) needs 16 bytes, but its buffer holds 12; {DAMAGED}",
    ),
    "a buffer too large": (
        set_tensor(1, shape=(2, 4)),
        "tensor 1 (w) needs 8 bytes, but its buffer holds 12",
    ),
    "a buffer that is not there": (
        set_tensor(1, buffer=9),
        f"tensor 1: there is no buffer 9 among 4; {DAMAGED}",
    ),
    "a scale of zero": (quantize(3, scale=(0.0,)), "tensor 3 (h) has the quantization scale 0.0"),
    "a negative scale": (quantize(3, scale=(-1.0,)), "tensor 3 (h) has the quantization scale -1"),
    "an infinite scale": (
        quantize(3, scale=(float("inf"),)),
        "has the quantization scale inf, which is no positive finite number; convert the model "
        "again with a representative dataset",
    ),
    "a scale that is no number": (quantize(3, scale=(float("nan"),)), "quantization scale nan"),
    "too few scales": (
        quantize(1, scale=(1.0, 2.0), zero_point=(0, 0)),
        "tensor 1 (w) has 2 scales along dimension 0, which has 3 elements",
    ),
    "an axis out of range": (
        quantize(1, scale=(1.0, 2.0, 3.0), zero_point=(0, 0, 0), quantized_dimension=3),
        "tensor 1 (w) has its scales along dimension 3 of 2 (quantized_dimension)",
    ),
    "too few zero points": (
        quantize(1, scale=(1.0, 2.0, 3.0), zero_point=(0, 0)),
        "tensor 1 (w) has 3 scales but 2 zero points",
    ),
    "a zero point out of range": (
        quantize(3, zero_point=(128,)),
        "tensor 3 (h) has a zero point that INT8 cannot hold",
    ),
    "sparse weights": (
        set_tensor(1, shape=(4, 4), sparsity={"dim_metadata": []}),
        "tensor 1 (w) holds compressed sparse weights, which TFLM cannot read; convert the model",
    ),
    "an operand that is not there": (
        set_operator(0, inputs=(0, 1, 17)),
        f"operator 0 (FULLY_CONNECTED), inputs: there is no tensor 17 among 5; {DAMAGED}",
    ),
    "a result that is not there": (
        set_operator(1, outputs=(-1,)),
        "operator 1 (RELU), outputs: there is no tensor -1 among 5",
    ),
    "an operator code that is not there": (
        set_operator(1, opcode_index=2),
        f"operator 1 has an unknown operator code; {DAMAGED}",
    ),
    "an operator that nobody knows": (
        lambda m: m["operator_codes"][1].update(builtin_code=250),
        "operator code 250 is not known; the file is damaged",
    ),
    "a negative operator code": (
        lambda m: m["operator_codes"][1].update(builtin_code=-2, deprecated_builtin_code=-2),
        "operator code -2 is not known",
    ),
    "a custom operator without name": (
        lambda m: m["operator_codes"][1].update(deprecated_builtin_code=32, builtin_code=32),
        "a custom operator has no name",
    ),
    "a graph input that is not there": (set_graph(inputs=(5,)), "graph inputs: there is no tensor"),
    "the same input twice": (set_graph(inputs=(0, 0)), "a tensor is an input twice"),
    "operators in the wrong order": (
        lambda m: m["subgraphs"][0]["operators"].reverse(),
        f"reads tensor 'h' int8[1, 3] before anything has written it; {DAMAGED}",
    ),
    "a cycle": (set_operator(0, inputs=(4, 1, 2)), "reads tensor 'y' int8[1, 3] before anything"),
    "a tensor written twice": (
        set_operator(1, outputs=(3,)),
        "tensor 'h' int8[1, 3] is written twice (and 1 more problems)",
    ),
    "a constant that is computed": (
        set_tensor(3, buffer=2, shape=(3,), type=2),
        "tensor 'h' int32[3] is both constant and computed",
    ),
    "an output that nothing writes": (
        lambda m: m["subgraphs"][0]["operators"].pop(),
        "output tensor 'y' int8[1, 3] is never written",
    ),
    "no graph": (set_model(subgraphs=[]), f"holds no graph; {DAMAGED}"),
    "an old schema": (set_model(version=2), "has schema version 2, not 3; convert the model with"),
    "metadata without buffer": (
        lambda m: m["metadata"][0].update(buffer=-1 % 2**32),
        "metadata: there is no buffer 4294967295 among 4",
    ),
    "packed weights": (
        lambda m: m["metadata"][0].update(name="COMPRESSION_METADATA"),
        "holds weights that TFLM's compression tools packed; split the model from before",
    ),
    "a signature of no graph": (
        set_model(signature_defs=[{"subgraph_index": 3}]),
        "a signature names subgraph 3",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_a_message(kind: str):
    edit, message = REFUSED[kind]
    with pytest.raises(ModelError, match=re.escape(message)) as caught:
        read_model(edited(dense_model(), edit), "net.tflite")
    assert str(caught.value).startswith("net.tflite: ")
    assert "\n" not in str(caught.value)


OTHER_FILES = {
    b"": "is empty; download",
    b"TFL3": "the identifier TFL3 is missing); download",
    b"PK\3\4" + bytes(90): "is a zip archive, such as a .keras file; unpack it, or convert",
    b"\x89HDF\r\n\x1a\n": "is a HDF5 file, such as Keras writes; convert",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0": "Git LFS, not the file; run `git",
    b"<!DOCTYPE html>": "is a page of HTML or XML; download the file itself",
    b"\x1f\x8b" + bytes(20): "is compressed with gzip; unpack it",
    b"\x08\x07\x12\x07pytorch": "looks like an ONNX model or a saved_model.pb; convert it to",
    b"\0" * 64: "is not a .tflite model (the identifier TFL3 is missing)",
}


@pytest.mark.parametrize("data", OTHER_FILES)
def test_other_files_are_no_models(data: bytes):
    with pytest.raises(ModelError, match=re.escape(OTHER_FILES[data])):
        read_model(data)


def test_a_size_in_front_of_the_model_is_named():
    data = dense_model()
    with pytest.raises(ModelError, match=r"begins with its size .* first four bytes"):
        read_model(len(data).to_bytes(4, "little") + data)


def test_every_truncation_is_refused_and_never_raises_anything_else():
    data = dense_model()
    for length in range(len(data)):
        with pytest.raises(ModelError, match=r"not a \.tflite model|is empty|the file is damaged"):
            read_model(data[:length])


def test_the_malformed_model_of_the_field_is_refused_by_name_of_tensor(shared_models: Path):
    with pytest.raises(
        ModelError,
        match=r"malformed_scales_catdog2\.tflite: tensor 3 "
        r"\(sequential_2/dense_5/BiasAdd/ReadVariableOp/resource\) has the quantization scale inf",
    ):
        read_model(shared_models / "malformed_scales_catdog2.tflite")
