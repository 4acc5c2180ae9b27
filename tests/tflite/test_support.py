# SPDX-License-Identifier: Apache-2.0
"""Which models may be split, and what the others are told."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.tiny import NETWORKS
from tests.tflite.edits import Record, edited, operator, tensor
from tests.tflite.raw import dense_model
from tests.tflite.test_round_trip import REAL
from tflsplit.errors import ModelError, UnsupportedOpError
from tflsplit.ir import Graph
from tflsplit.tflite import check_quantized, load, read_model
from tflsplit.tflite.schema import enum_values
from tflsplit.tflite.support import TFLM_BUILTINS

CONVERT = "convert the model with full-integer quantization: optimizations=[tf.lite.Optimize"
FLOAT, INT32, UINT8, INT16, INT8 = 0, 2, 3, 7, 9


def dense(edit: Callable[[Record], object]) -> Graph:
    return read_model(edited(dense_model(), edit))


def types(**by_index: int) -> Callable[[Record], None]:
    """Changes the element types of tensors; their contents with them."""

    def change(model: Record) -> None:
        for name, dtype in by_index.items():
            record = tensor(model, "xwbhy".index(name))
            record["type"] = dtype
            record["quantization"].pop("zero_point", None)
            if name == "w":
                size = 12 * {FLOAT: 4, INT8: 1, UINT8: 1, INT32: 4}[dtype]
                model["buffers"][1]["data"] = bytes(size)

    return change


@pytest.mark.parametrize("name", REAL)
def test_the_real_models_pass(shared_models: Path, name: str):
    check_quantized(load(shared_models / f"{name}.tflite"))


@pytest.mark.parametrize("name", NETWORKS)
def test_our_own_models_pass(name: str):
    check_quantized(NETWORKS[name]())


def test_int16_activations_pass():
    check_quantized(dense(types(x=INT16, h=INT16, y=INT16)))


REFUSED: dict[str, tuple[Callable[[Record], Any], str]] = {
    "float": (
        types(x=FLOAT, w=FLOAT, b=FLOAT, h=FLOAT, y=FLOAT),
        f"FULLY_CONNECTED h is float; {CONVERT}",
    ),
    "dynamic range": (
        types(x=FLOAT, b=FLOAT, h=FLOAT, y=FLOAT),
        f"FULLY_CONNECTED h computes in floats from int8 weights (dynamic range); {CONVERT}",
    ),
    "uint8": (
        types(x=UINT8, w=UINT8, h=UINT8, y=UINT8),
        f"FULLY_CONNECTED h is quantized to uint8, the scheme of TensorFlow 1; {CONVERT}",
    ),
    "other weights": (
        types(w=INT32),
        f"h has <Value w int32[3, 4]>, which is neither int8 nor int16x8; {CONVERT}",
    ),
    "other activations": (types(h=INT32), "has <Value h int32[1, 3]>, which is neither int8"),
    "no scale": (
        lambda model: tensor(model, 0).pop("quantization"),
        f"FULLY_CONNECTED h: <Value x int8[1, 4]> has no quantization scale; {CONVERT}",
    ),
    "scales of activations": (
        lambda model: tensor(model, 0)["quantization"].update(
            scale=(1.0,) * 4, zero_point=(0,) * 4, quantized_dimension=1
        ),
        "<Value x int8[1, 4]> has a scale per channel, which only weights may have",
    ),
    "an operand missing": (
        lambda model: operator(model, 0).update(inputs=(0,)),
        "FULLY_CONNECTED h has 1 inputs and 1 outputs; the file is damaged",
    ),
    "several graphs": (
        lambda model: model["subgraphs"].append(dict(model["subgraphs"][0], name="body")),
        "the model holds several graphs (control flow, or several signatures)",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_with_a_message(kind: str):
    edit, message = REFUSED[kind]
    graph = dense(edit)
    with pytest.raises(ModelError, match=re.escape(message)):
        check_quantized(graph)


def test_floats_without_a_layer_are_refused():
    def only_relu(model: Record) -> None:
        types(h=FLOAT, y=FLOAT)(model)
        model["subgraphs"][0]["operators"].pop(0)
        model["subgraphs"][0]["inputs"] = (3,)

    with pytest.raises(ModelError, match="the model computes in floats only; convert the model"):
        check_quantized(dense(only_relu))


@pytest.mark.parametrize(
    ("code", "custom", "message"),
    [
        (
            enum_values("BuiltinOperator")["CONV_3D"],
            "",
            "no kernel for the operator CONV_3D (node y)",
        ),
        (
            32,
            "FlexErf",
            "TFLM has no kernel for the custom operator FlexErf (node y); replace that",
        ),
        (32, "TFLSPLIT_RECV", "y is TFLSPLIT_RECV: this is a device graph that tflsplit wrote"),
    ],
)
def test_operators_that_tflm_does_not_have(code: int, custom: str, message: str):
    def change(model: Record) -> None:
        fields = {"deprecated_builtin_code": min(code, 127), "builtin_code": code}
        model["operator_codes"][1] |= fields
        if custom:
            model["operator_codes"][1]["custom_code"] = custom

    with pytest.raises(UnsupportedOpError, match=re.escape(message)):
        check_quantized(dense(change))


def test_every_operator_of_tflm_is_an_operator():
    assert set(enum_values("BuiltinOperator")) > TFLM_BUILTINS
    assert len(TFLM_BUILTINS) == 100
