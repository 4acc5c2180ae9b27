# SPDX-License-Identifier: Apache-2.0
"""Shapes that the file leaves open become those that the operators make of a batch of 1.

Before                                             After

    x [1, 130, 32]      (file: [-1, 130, 32])          x [1, 130, 32]
    SPACE_TO_BATCH_ND, blocks of 2                     SPACE_TO_BATCH_ND, blocks of 2
    [1, 65, 32]         (file: [-1, 65, 32])           [2, 65, 32]
    CONV_2D                                            CONV_2D
    [1, 63, 32]         (file: [-1, 63, 32])           [2, 63, 32]

Keras leaves the batch open unless told otherwise, and the converter writes 1 for every dimension
that depends on it, as well where a batch of 1 makes 2, or 256, of it.  TFLM and its kernels take
that 1 as it stands and compute nonsense, or write behind the end of a tensor.  What follows from
the inputs' shapes is computed along the way (``fold_constants``): shapes of later tensors are made
of it, and TFLM takes it as constants only, at FILL and BROADCAST_TO.

The result *is* the unsplit model from there on: what is split, and what results are compared with.
"""

from __future__ import annotations

from dataclasses import replace

from tflsplit.errors import ModelError
from tflsplit.ir import Graph, Node, Value
from tflsplit.ops.declared import check_node
from tflsplit.ops.declared.operation import OpenShapeError
from tflsplit.passes.fold_constants import fold_constants

_SIGNATURE = "shape_signature"
_OPEN = -1


def close_shapes(graph: Graph) -> Graph:
    """``graph`` with every open shape closed, and without what computes shapes.

    Pure.  A graph that leaves nothing open, or in which that changes nothing, is returned itself.
    Raises ModelError if an input leaves rows and columns open: a batch of 1 is what TFLM would
    take, an image of one pixel is not what anybody means.
    """
    for value in graph.inputs:
        _check_image(value)
    if not any(map(_is_open, graph.values())):
        return graph
    closed = fold_constants(graph, _closed)
    same = len(closed.nodes) == len(graph.nodes) and all(
        value.shape == was.shape
        for node, before in zip(closed.nodes, graph.nodes, strict=True)
        for value, was in zip(node.outputs, before.outputs, strict=True)
    )
    return graph if same else closed


def _closed(node: Node) -> Node:
    """The node with results as its operands make them, as far as that is known.

    Whatever else contradicts its declaration is for ``check_declared`` to say.
    """
    for _ in node.outputs:
        try:
            check_node(node, types=False)
        except OpenShapeError as error:
            if error.shape is None or error.value not in node.outputs:
                break
            made = _with_shape(error.value, error.shape)
            outputs = tuple(made if v is error.value else v for v in node.outputs)
            node = replace(node, outputs=outputs)
        except ModelError:
            break
    return node


def _with_shape(value: Value, shape: tuple[int, ...]) -> Value:
    extra = {key: item for key, item in value.file_extra.items() if key != _SIGNATURE}
    return replace(value, shape=shape, file_extra=type(value.file_extra)(extra))


def _is_open(value: Value) -> bool:
    return _OPEN in value.file_extra.integers(_SIGNATURE)


def _check_image(value: Value) -> None:
    signature = value.file_extra.integers(_SIGNATURE)
    if len(signature) == 4 and signature[1:3] == (_OPEN, _OPEN):
        raise ModelError(
            f"input {value.name!r} has no fixed rows and columns; convert the model with "
            f"them, like keras.Input((96, 96, {value.shape[3]}), batch_size=1)"
        )
