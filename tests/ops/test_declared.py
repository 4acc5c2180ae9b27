# SPDX-License-Identifier: Apache-2.0
"""What a file declares is compared with what its operators make, before anything runs.

The other half, that nothing sound is refused, is in ``tests.support.run_tflm``: whatever the
property tests run on TFLM passes ``check_declared`` first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.tiny import NETWORKS
from tests.memory.op_list import CASES
from tests.splits import tiny
from tests.support import integers, node, quantized, tensor
from tflsplit.errors import ModelError
from tflsplit.ir import DType, Graph, Node
from tflsplit.ops.declared import check_declared, check_node, declared_ops
from tflsplit.ops.rule import known_ops
from tflsplit.tflite.support import TFLM_BUILTINS

CONTROL_FLOW = {"CALL_ONCE", "IF", "WHILE"}  # several graphs: refused before


def refusal(changed: Node) -> str:
    """The one line that a node is refused with."""
    with pytest.raises(ModelError) as caught:
        check_node(changed)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{changed.op} '"), text
    assert "convert the model again" in text
    assert ("make that layer of other operators" in text) == ("for TFLM's kernel" in text)
    return text


def first(op: str, name: str) -> Node:
    """The first node of an operator in a tiny network."""
    return next(node for node in tiny(name).nodes if node.op == op)


def reshaped(node: Node, *shape: int) -> Node:
    """The node with another shape declared for its result."""
    return replace(node, outputs=(replace(node.output, shape=shape),))


def test_every_operator_of_tflm_has_a_check():
    assert set(declared_ops()) == TFLM_BUILTINS - CONTROL_FLOW


def test_every_rule_of_ours_has_a_check():
    assert set(known_ops()) & TFLM_BUILTINS <= set(declared_ops())


@pytest.mark.parametrize("name", NETWORKS)
def test_sound_networks_pass(name: str):
    check_declared(NETWORKS[name]())


@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_dilation_that_overflows_the_kernel(op: str):
    sound = first(op, "mobilenet")
    for name in ("dilation_w_factor", "dilation_h_factor", "stride_h", "stride_w"):
        for number in (2**31 - 1, 0, -1):
            text = refusal(replace(sound, attrs=sound.attrs.replace(**{name: number})))
            assert f"{name} = {number} is not in 1 to 32767" in text


def test_a_sum_declared_as_one_element():
    text = refusal(reshaped(first("ADD", "resnet"), 1, 1, 1, 1))
    assert "must have the shape [1, " in text
    assert "as TFLM computes it" in text


def test_a_batch_that_nobody_computes():
    sound = first("DEPTHWISE_CONV_2D", "mobilenet")
    text = refusal(reshaped(sound, 65536, *sound.output.shape[1:]))
    assert repr(replace(sound.output, shape=(65536, *sound.output.shape[1:]))) in text


def test_a_batch_that_the_file_leaves_open():
    sound = first("DEPTHWISE_CONV_2D", "mobilenet")
    wrong = replace(
        sound.output,
        shape=(4, *sound.output.shape[1:]),
        file_extra=sound.output.file_extra.replace(shape_signature=(-1, *sound.output.shape[1:])),
    )
    with pytest.raises(ModelError, match=r"leaves a dimension of it open.* fixed input shape"):
        check_node(replace(sound, outputs=(wrong,)))


@pytest.mark.parametrize("beta", [-1.0, 0.0, float("nan"), float("inf"), 1e-30])
def test_softmax_with_a_beta_that_aborts(beta: float):
    sound = first("SOFTMAX", "mobilenet")
    refusal(replace(sound, attrs=sound.attrs.replace(beta=beta)))


def test_softmax_of_what_was_always_zero():
    """Untrained weights, or a calibration with zeros: the scale is next to nothing."""
    sound = first("SOFTMAX", "mobilenet")
    x = replace(sound.input(0), quantization=quantized(7.85e-09, 0))
    assert "has the scale 7.85e-09, and TFLM's kernel takes none up to 1.49e-08; the layer" in (
        refusal(replace(sound, inputs=(x,)))
    )


def test_more_dimensions_than_a_kernel_has():
    """Keras' TimeDistributed over images: no damage, and no kernel."""
    x, y = tensor("x", (6, 1, 8, 8, 3)), tensor("y", (1, 1, 8, 8, 3))
    numbers = [integers(str(at), [0, 0, 0, 0, 0]) for at in range(3)]
    text = refusal(Node("STRIDED_SLICE", (x, *numbers), (y,), name="cut"))
    assert "tensor 'x' int8[6, 1, 8, 8, 3] has 5 dimensions, and TFLM's kernel takes 1 to 4" in text
    assert "damaged" not in text


def test_argmax_as_tensorflow_makes_it_by_default():
    x, y = tensor("x", (1, 5)), tensor("y", (1,), DType.INT64, None)
    text = refusal(Node("ARG_MAX", (x, integers("axis", [-1])), (y,), name="best"))
    assert "tensor 'y' int64[1] must be int32" in text
    assert "output_type=tf.int32" in text


@pytest.mark.parametrize("op", sorted(set(declared_ops()) - {"VAR_HANDLE"}))
def test_without_operands_every_operator_is_refused(op: str):
    y = tensor("y", (1, 4))
    assert "0 operands" in refusal(Node(op, (), (y,), name="broken"))


@pytest.mark.parametrize("op", ["MEAN", "SPLIT", "GATHER", "PAD", "RESHAPE", "ADD_N", "PACK"])
def test_operands_that_are_left_out(op: str):
    y = tensor("y", (1, 4))
    text = refusal(Node(op, (None, None), (y,), name="broken"))
    assert "operand" in text


@pytest.mark.parametrize(("name", "index"), [("DEPTHWISE_CONV_2D", 2), ("SVDF", 3)])
def test_a_bias_that_tflm_takes_for_there(name: str, index: int):
    """Their kernels let go of it without a look, which ends the program."""
    (sound,) = CASES[name]().nodes
    assert sound.inputs[index] is not None
    without = (*sound.inputs[:index], None, *sound.inputs[index + 1 :])
    assert f"operand {index} is missing" in refusal(replace(sound, inputs=without))


# Their kernels set themselves up for any type, and refuse int8 when they run.
SET_UP_ONLY = ("NEG",)
SOUND = {name: case for name, case in CASES.items() if name not in SET_UP_ONLY}
# What TFLM looks at no shape of, but at the number of elements.
BY_SIZE = ("RESHAPE",)


def changed_results(sound: Node, **change: Any) -> list[Node]:
    """The node once for each result, with that one changed."""
    outputs = sound.outputs
    return [
        replace(sound, outputs=(*outputs[:at], replace(value, **change), *outputs[at + 1 :]))
        for at, value in enumerate(outputs)
    ]


@pytest.mark.parametrize("name", SOUND)
def test_one_graph_of_every_kernel_passes(name: str):
    check_declared(SOUND[name]())


@pytest.mark.parametrize("name", SOUND)
def test_a_result_of_another_shape_is_refused(name: str):
    (sound,) = SOUND[name]().nodes
    for value in sound.outputs:
        for dim, extent in enumerate(value.shape):
            for other in {2 * extent, extent + 1, 65536, extent - 1} - {0, extent}:
                shape = (*value.shape[:dim], other, *value.shape[dim + 1 :])
                for wrong in changed_results(sound, shape=shape):
                    refusal(wrong)
    for shape in ((), (1,) * 6, (2,) * 7):
        if sound.op not in BY_SIZE or np.prod(shape) != sound.outputs[0].size:
            for wrong in changed_results(sound, shape=shape):
                refusal(wrong)


@pytest.mark.parametrize("name", SOUND)
def test_a_result_of_another_type_is_refused(name: str):
    (sound,) = SOUND[name]().nodes
    for dtype in (DType.COMPLEX64, DType.FLOAT64):
        for wrong in changed_results(sound, dtype=dtype):
            refusal(wrong)


@pytest.mark.parametrize("name", SOUND)
def test_an_operand_of_another_shape_is_refused(name: str):
    """Ten times as many rows, say: a kernel would read behind the end, or leave some unread."""
    (sound,) = SOUND[name]().nodes
    for at, value in enumerate(sound.inputs):
        if value is None or (sound.op == "RESHAPE" and at == 1):  # which TFLM never reads
            continue
        wrong = replace(value, shape=(*value.shape, 3), data=None)
        inputs = (*sound.inputs[:at], wrong, *sound.inputs[at + 1 :])
        refusal(replace(sound, inputs=inputs))


@pytest.mark.parametrize("name", [name for name in SOUND if not name.startswith("ADD_N")])
def test_an_operand_too_many_is_refused(name: str):
    (sound,) = SOUND[name]().nodes
    more = replace(sound, inputs=(*sound.inputs, *(sound.inputs[-1:] * 24)))
    refusal(more)


def test_indices_that_lead_outside():
    x = tensor("x", (4, 6))
    for op, indices, y in (
        ("GATHER", [0, 4], tensor("y", (2, 6))),
        ("GATHER", [-1, 0], tensor("y", (2, 6))),
        ("GATHER_ND", [[0, 6]], tensor("y", (1,))),
    ):
        refusal(node(op, [x, integers("i", indices)], y, axis=0))


def test_slices_that_lead_outside():
    x = tensor("x", (4, 6))
    for begin, size in (([0, 5], [4, 2]), ([-1, 0], [1, 6]), ([4, 0], [-1, 6])):
        extents = [n - b if s == -1 else s for n, b, s in zip(x.shape, begin, size, strict=True)]
        y = tensor("y", [max(1, extent) for extent in extents])
        refusal(node("SLICE", [x, integers("b", begin), integers("s", size)], y))


def test_a_strided_slice_of_nothing():
    x, y = tensor("x", (4, 6)), tensor("y", (4, 6))
    for begin, end, strides in (([0, 0], [4, 6], [1, 0]), ([9, 0], [10, 6], [1, 1])):
        operands = [integers(str(at), numbers) for at, numbers in enumerate((begin, end, strides))]
        refusal(node("STRIDED_SLICE", [x, *operands], y, shrink_axis_mask=0))


def test_pads_of_the_wrong_size():
    x = tensor("x", (1, 4, 4, 2))
    pads = integers("p", [[0, 0], [1, 1], [1, -1], [0, 0]])
    refusal(node("PAD", [x, pads], tensor("y", (1, 6, 4, 2))))
    too_far = integers("p", [[0, 0], [5, 0], [0, 0], [0, 0]])
    refusal(node("MIRROR_PAD", [x, too_far], tensor("y", (1, 9, 4, 2)), mode=0))


def test_more_dimensions_than_tflm_has():
    shape = (1,) * 7
    refusal(node("RELU", [tensor("x", shape)], tensor("y", shape)))


def test_scales_that_abort():
    """A sum whose scale is far too small, and one that compares scales above 1."""
    a, b = tensor("a", (1, 4)), tensor("b", (1, 4))
    refusal(node("ADD", [a, b], tensor("y", (1, 4), scale=1e-9)))
    large = tensor("large", (1, 4), scale=2.0)
    refusal(node("EQUAL", [large, b], tensor("y", (1, 4), DType.BOOL, None)))
    refusal(node("MUL", [a, b], tensor("y", (1, 4), scale=None)))


def test_broadcasting_passes_as_tflm_does_it():
    for shapes in (((1, 4), (4,), (1, 4)), ((), (2, 3), (2, 3)), ((2, 1), (1, 3), (2, 3))):
        a, b, y = (tensor(str(at), shape) for at, shape in enumerate(shapes))
        check_node(node("ADD", [a, b], y))
    a, b = tensor("a", (2, 3)), tensor("b", (2, 3))
    check_node(node("ADD", [a, b], tensor("y", (1, 2, 3))))


def test_reductions_pass_with_and_without_their_dimensions():
    x, axes = tensor("x", (1, 6, 5, 8)), integers("axes", [1, 2])
    for shape, keep in (((1, 8), False), ((1, 1, 1, 8), True), ((1, 1, 1, 8), False)):
        check_node(node("MEAN", [x, axes], tensor("y", shape), keep_dims=keep))
    check_node(node("MEAN", [x, integers("axis", -1)], tensor("y", (1, 6, 5)), keep_dims=False))


def test_shapes_that_are_computed_pass_until_they_are_known():
    x, shape = tensor("x", (1, 8)), tensor("shape", (2,), DType.INT32, None)
    check_node(node("RESHAPE", [x, shape], tensor("y", (2, 4))))
    check_node(node("RESHAPE", [x, integers("shape", [2, -1])], tensor("y", (2, 4))))
    check_node(node("FILL", [shape, tensor("v", ())], tensor("y", (2, 4))))


def test_a_float_model_passes_where_types_do_not_count():
    x, y = tensor("x", (1, 4), DType.UINT8), tensor("y", (1, 4), DType.UINT8)
    relu = node("RELU", [x], y)
    refusal(relu)
    check_node(relu, types=False)
    with pytest.raises(ModelError):
        check_node(reshaped(relu, 1, 5), types=False)


def test_more_than_an_arena_can_hold():
    shape = (1, 2**15, 2**15, 1)
    relu = node("RELU", [tensor("x", shape)], tensor("y", shape))
    with pytest.raises(ModelError, match="take 2,147,483,648 bytes together, and TFLM's arena"):
        check_declared(Graph("huge", relu.operands, relu.outputs, [relu]))


@pytest.mark.parametrize("place", ["input", "result", "constant"])
def test_state_that_nobody_keeps(place: str):
    x, y = tensor("x", (1, 4)), tensor("y", (1, 4))
    if place == "constant":
        x = replace(x, data=np.zeros((1, 4), np.int8))
    (x if place != "result" else y).is_variable = True
    relu = node("RELU", [x], y)
    inputs = () if place == "constant" else (x,)
    with pytest.raises(ModelError, match="is a variable tensor"):
        check_declared(Graph("state", inputs, (y,), [relu]))


def test_the_file_is_named():
    broken = reshaped(node("RELU", [tensor("x", (1, 4))], tensor("y", (1, 4))), 1, 5)
    graph = Graph("g", broken.operands, broken.outputs, [broken])
    with pytest.raises(ModelError, match=r"^some\.tflite: RELU 'y': tensor 'y' int8\[1, 5\] must"):
        check_declared(graph, "some.tflite")
