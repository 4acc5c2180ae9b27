# SPDX-License-Identifier: Apache-2.0
"""Which models may be split, and what the others are told."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.tiny import NETWORKS
from tests.tflite.edits import Record, edited, operator, tensor
from tests.tflite.raw import dense_model
from tests.tflite.test_round_trip import REAL
from tflsplit.errors import ModelError, UnsupportedOpError
from tflsplit.ir import DType, Graph, Node, Quantization, Value
from tflsplit.tflite import check_quantized, load, read_model, write_model
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
        f"h has tensor 'w' int32[3, 4], which is neither int8 nor int16x8; {CONVERT}",
    ),
    "other activations": (types(h=INT32), "has tensor 'h' int32[1, 3], which is neither int8"),
    "no scale": (
        lambda model: tensor(model, 0).pop("quantization"),
        f"FULLY_CONNECTED h: tensor 'x' int8[1, 4] has no quantization scale; {CONVERT}",
    ),
    "scales of activations": (
        lambda model: tensor(model, 0)["quantization"].update(
            scale=(1.0,) * 4, zero_point=(0,) * 4, quantized_dimension=1
        ),
        "tensor 'x' int8[1, 4] has a scale per channel, which only weights may have",
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
            "no kernel for the operator CONV_3D (node y); before you convert the model, make that",
        ),
        (
            32,
            "FlexErf",
            "TFLM has no kernel for the custom operator FlexErf (node y), which is TensorFlow's "
            "own; replace that layer, and convert without tf.lite.OpsSet.SELECT_TF_OPS",
        ),
        (
            enum_values("BuiltinOperator")["GELU"],
            "",
            "GELU (node y); before you convert the model, make that layer of operators that TFLM "
            "has: x * sigmoid(1.702 * x)",
        ),
        (32, "MyOp", "operator MyOp (node y); replace that layer, or split the model from before"),
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


ETHOS_SCRATCH = Value("scratch", (512,), DType.UINT8)


def compiled(op: str) -> Graph:
    """As Vela writes it: commands and weights are constants, two operands are memory to work in."""
    x, y = (Value(name, (1, 4), DType.INT8, Quantization((0.1,), (0,))) for name in "xy")
    commands = Value("commands", (8,), DType.UINT8, data=np.zeros(8, np.uint8))
    operands = (commands, ETHOS_SCRATCH, ETHOS_SCRATCH, x)
    return Graph("compiled", (x,), (y,), [Node(op, operands, (y,), is_custom=True)])


def test_what_an_accelerators_compiler_wrote_is_not_damaged():
    graph = read_model(write_model(compiled("ethos-u")))
    assert [value.name for value in graph.inputs] == ["x"]
    with pytest.raises(UnsupportedOpError, match="Vela compiled the model for an Ethos-U; split"):
        check_quantized(graph)


def test_an_operand_that_nothing_writes_is_damage_of_every_other_operator():
    for op in ("SignalEnergy", "TFLSPLIT_SEND"):
        with pytest.raises(ModelError, match="before anything has written it"):
            read_model(write_model(compiled(op)))


def logistic(dtype: DType, *before: Node) -> Graph:
    scale = None if dtype is DType.FLOAT32 else Quantization((0.1,), (3,))
    x, y = (Value(name, (1, 4), dtype, scale) for name in "xy")
    inputs = before[0].operands if before else (x,)
    if before:
        x = before[0].output
    return Graph("g", inputs, (y,), [*before, Node("LOGISTIC", (x,), (y,))])


def test_state_in_resource_variables_is_refused_with_the_way_out():
    handle = Value("handle", (), DType.RESOURCE)
    state = Value("state", (1, 4), DType.INT8, Quantization((0.1,), (0,)))
    nodes = [Node("VAR_HANDLE", (), (handle,)), Node("READ_VARIABLE", (handle,), (state,))]
    with pytest.raises(UnsupportedOpError, match="VAR_HANDLE handle keeps state in a resource"):
        check_quantized(Graph("g", (), (state,), nodes))


def test_uint8_is_told_from_floats():
    u = Value("u", (1, 4), DType.UINT8, Quantization((0.1,), (3,)))
    f = Value("f", (1, 4), DType.FLOAT32)
    with pytest.raises(ModelError, match="floats only, behind its uint8 input; convert the model"):
        check_quantized(logistic(DType.FLOAT32, Node("DEQUANTIZE", (u,), (f,))))
    with pytest.raises(ModelError, match="LOGISTIC y is quantized to uint8, the scheme of Tens"):
        check_quantized(logistic(DType.UINT8))
    with pytest.raises(ModelError, match="the model computes in floats only; convert the model"):
        check_quantized(logistic(DType.FLOAT32))
