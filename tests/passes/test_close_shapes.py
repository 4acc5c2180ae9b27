# SPDX-License-Identifier: Apache-2.0
"""Open shapes, as Keras leaves them: closed as a batch of 1 makes them, which LiteRT confirms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.splits import compared, needs_litert
from tests.support import constant, integers, node, quantized, run_tflm, tensor
from tflsplit.errors import ModelError
from tflsplit.ir import Attrs, DType, Graph, Value, check_graph
from tflsplit.ops.declared import check_declared
from tflsplit.passes.close_shapes import close_shapes
from tflsplit.passes.settle import settle
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import read_model, write_model

RNG = np.random.default_rng(20)


def open_tensor(name: str, shape: tuple[int, ...], dtype: DType = DType.INT8) -> Value:
    """A tensor whose batch the file leaves open, and the converter takes for 1."""
    value = tensor(name, shape, dtype, 0.05 if dtype is DType.INT8 else None)
    return replace(value, file_extra=Attrs(shape_signature=(-1, *shape[1:])))


def dilated() -> Graph:
    """A causal convolution over time with dilation 2, as Keras' Conv1D is converted."""
    x, y = open_tensor("x", (1, 10, 8)), open_tensor("y", (1, 10, 8))
    blocks = open_tensor("blocks", (1, 7, 8))
    wide, made = open_tensor("wide", (1, 1, 7, 8)), open_tensor("made", (1, 1, 5, 8))
    flat = open_tensor("flat", (1, 5, 8))
    wide.file_extra = Attrs(shape_signature=(-1, 1, 7, 8))
    weights = constant("w", RNG.integers(-127, 128, (8, 1, 3, 8)).astype(np.int8), [0.01] * 8)
    bias = constant("b", RNG.integers(-500, 500, 8).astype(np.int32), [0.0005] * 8)
    options = {"stride_w": 1, "stride_h": 1, "dilation_w_factor": 1, "dilation_h_factor": 1}
    block, crops = integers("block", [2]), integers("crops", [[0, 0]])
    nodes = [
        node("SPACE_TO_BATCH_ND", [x, block, integers("pad", [[4, 0]])], blocks),
        node("EXPAND_DIMS", [blocks, integers("axis", 1)], wide),
        node("CONV_2D", [wide, weights, bias], made, padding=1, **options),
        node("SQUEEZE", [made], flat, squeeze_dims=(1,)),
        node("BATCH_TO_SPACE_ND", [flat, block, crops], y),
    ]
    return Graph("dilated", (x,), (y,), nodes)


def computed_shapes() -> Graph:
    """A layer over positions: rows of [1, 4, 6] as [4, 6], the shape computed; and zeros, too."""
    x, y = open_tensor("x", (1, 4, 6)), open_tensor("y", (1, 4, 6))
    shape, leading = tensor("s", (3,), DType.INT32, None), tensor("l", (2,), DType.INT32, None)
    count, target = tensor("c", (1,), DType.INT32, None), tensor("t", (2,), DType.INT32, None)
    rows = replace(tensor("rows", (1, 1)), file_extra=Attrs(shape_signature=(-1, -1)))
    zeros = replace(tensor("zeros", (1, 1)), file_extra=Attrs(shape_signature=(-1, -1)))
    total = replace(tensor("total", (1, 6)), file_extra=Attrs(shape_signature=(-1, 6)))
    zero = constant("zero", np.array(40, np.int8))
    zero.quantization = quantized(0.05, 3)
    nodes = [
        node("SHAPE", [x], shape, out_type=2),
        node("GATHER", [shape, integers("which", [0, 1])], leading),
        node("REDUCE_PROD", [leading, integers("all", [0])], count, keep_dims=True),
        node("CONCATENATION", [count, integers("width", [6])], target, axis=0),
        node("RESHAPE", [x, target], rows),
        node("FILL", [target, zero], zeros),
        node("ADD", [rows, zeros], total, fused_activation_function=0),
        node("RESHAPE", [total, shape], y),
    ]
    return Graph("computed", (x,), (y,), nodes)


def dense_over_positions() -> Graph:
    """Keras' Dense at every position of [1, 4, 6]: a row of each, and one result declared."""
    x, y = open_tensor("x", (1, 4, 6)), open_tensor("y", (1, 4, 5))
    rows = replace(tensor("rows", (1, 1)), file_extra=Attrs(shape_signature=(-1, -1)))
    made = open_tensor("made", (1, 5))
    weights = constant("w", RNG.integers(-127, 128, (5, 6)).astype(np.int8), [0.01])
    nodes = [
        node("RESHAPE", [x, integers("target", [-1, 6])], rows),
        node("FULLY_CONNECTED", [rows, weights, None], made, fused_activation_function=0),
        node("RESHAPE", [made, integers("shape", [1, 4, 5])], y),
    ]
    return Graph("dense", (x,), (y,), nodes)


def test_a_layer_makes_a_row_of_every_row():
    closed = close_shapes(dense_over_positions())
    assert [n.output.shape for n in closed.nodes] == [(4, 6), (4, 5), (1, 4, 5)]


def test_a_batch_that_grows_inside_is_what_the_operators_make_of_one():
    graph = dilated()
    closed = close_shapes(graph)
    shapes = {v.name: v.shape for n in closed.nodes for v in n.outputs}
    assert shapes == {
        "blocks": (2, 7, 8),
        "wide": (2, 1, 7, 8),
        "made": (2, 1, 5, 8),
        "flat": (2, 5, 8),
        "y": (1, 10, 8),
    }
    assert check_graph(closed) == []
    check_declared(closed)
    with pytest.raises(ModelError, match="must have the shape"):
        check_declared(graph)


def test_shapes_are_computed_and_two_open_dimensions_filled():
    closed = close_shapes(computed_shapes())
    assert [n.op for n in closed.nodes] == ["RESHAPE", "FILL", "ADD", "RESHAPE"]
    assert [n.output.shape for n in closed.nodes] == [(4, 6), (4, 6), (4, 6), (1, 4, 6)]


@needs_litert
@pytest.mark.parametrize("make", [dilated, computed_shapes])
def test_the_same_as_an_interpreter_that_finds_the_shapes_itself(make):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = make()
    x = RNG.integers(-128, 128, graph.inputs[0].shape).astype(np.int8)
    kernels = OpResolverType.BUILTIN_REF
    litert = Interpreter(model_content=write_model(graph), experimental_op_resolver_type=kernels)
    litert.allocate_tensors()
    litert.set_tensor(litert.get_input_details()[0]["index"], x)
    litert.invoke()
    wanted = litert.get_tensor(litert.get_output_details()[0]["index"])
    (found,) = run_tflm(settle(graph), [x])
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("make", [dilated, computed_shapes, dense_over_positions])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_the_file_is_split_and_compared(make, world_size: int):
    graph = settle(read_model(write_model(make())))
    assert compared(split_model(graph, Wishes(world_size))).passed


def test_what_is_not_open_stays_as_it_is():
    for graph in (close_shapes(dilated()), Graph("x", (), (), [])):
        assert close_shapes(graph) is graph


def test_a_shape_that_is_closed_and_wrong_is_still_refused():
    graph = dilated()
    graph.nodes[0].output.file_extra = Attrs()
    with pytest.raises(ModelError, match="damaged"):
        split_model(graph, Wishes(2))


def test_an_image_without_rows_and_columns_is_refused():
    x, y = open_tensor("image", (1, 1, 1, 3)), open_tensor("y", (1, 1, 1, 3))
    x.file_extra = Attrs(shape_signature=(-1, -1, -1, 3))
    with pytest.raises(ModelError, match=r"'image' has no fixed rows.*batch_size=1"):
        close_shapes(Graph("g", (x,), (y,), [node("RELU", [x], y)]))
