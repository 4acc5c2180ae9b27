# SPDX-License-Identifier: Apache-2.0
"""Running nodes on TFLM, and the one property that every sharding rule must have."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from tflsplit.errors import ModelError
from tflsplit.ir import Attrs, DType, Graph, Node, Quantization, Value
from tflsplit.ops import Box, Kind, OpRule, Piece, cut_constant, is_partition, local_value, rule_of
from tflsplit.ops.declared import check_declared
from tflsplit.ops.dims import dim_name
from tflsplit.ops.factors import Factor
from tflsplit.ops.own.expansion import has_stock_expansion, stock_expansion
from tflsplit.ops.own.semantics import run_node
from tflsplit.tflite import write_model

Array = NDArray[Any]
Arrays = dict[Value, Array]
Bounds = Mapping[str, tuple[int, ...]]

ARENA_BYTES = 1 << 20


def run_tflm(graph: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of a graph of stock operators on TFLM's kernels; skips without the wheel.

    What runs here is sound, so it is also what ``check_declared`` must let pass.
    """
    runtime = pytest.importorskip(
        "tflite_micro.python.tflite_micro.runtime",
        reason="needs TFLM's wheel (Linux on x86-64): pip install '.[host]'",
    )
    try:
        check_declared(graph)
    except ModelError as error:
        raise AssertionError(f"check_declared refuses what is run on TFLM: {error}") from None
    interpreter = runtime.Interpreter.from_bytes(write_model(graph), arena_size=ARENA_BYTES)
    for index, array in enumerate(inputs):
        interpreter.set_input(array.copy(order="C"), index)
    interpreter.invoke()
    return [
        np.array(interpreter.get_output(index)).reshape(value.shape)
        for index, value in enumerate(graph.outputs)
    ]


def run_nodes(nodes: Iterable[Node], known: Mapping[Value, Array]) -> Arrays:
    """Every result of ``nodes``, custom ones by their stock expansion, on TFLM.

    REQUANTIZE, which has none, runs by its NumPy semantics and must come alone.
    """
    nodes = list(nodes)
    if len(nodes) == 1 and nodes[0].is_custom and not has_stock_expansion(nodes[0].op):
        computed = [known[value] for value in nodes[0].operands if not value.is_constant]
        return {nodes[0].output: run_node(nodes[0], computed)}
    stock = [
        part for node in nodes for part in (stock_expansion(node) if node.is_custom else [node])
    ]
    written = [value for node in stock for value in node.outputs]
    read = dict.fromkeys(value for node in stock for value in node.operands)
    inputs = [value for value in read if not value.is_constant and value not in written]
    graph = Graph("test", tuple(inputs), tuple(written), stock)
    results = run_tflm(graph, [known[value] for value in inputs])
    return dict(zip(written, results, strict=True))


def run_whole(node: Node, known: Mapping[Value, Array]) -> list[Array]:
    """The results of an unsplit node on TFLM."""
    results = run_nodes([node], known)
    return [results[value] for value in node.outputs]


def local_inputs(
    node: Node, piece: Piece, known: Mapping[Value, Array]
) -> tuple[list[Value | None], Arrays]:
    """The local operands of a piece, as the partitioner makes them, and their contents."""
    inputs: list[Value | None] = []
    contents: Arrays = {}
    for value, box in zip(node.inputs, piece.operands, strict=True):
        if value is None or box is None or box.is_empty:
            inputs.append(None)
        elif value.is_constant:
            inputs.append(cut_constant(value, box))
        else:
            local = local_value(value, box)
            contents[local] = known[value][box.slices]
            inputs.append(local)
    return inputs, contents


def run_piece(node: Node, piece: Piece, known: Mapping[Value, Array]) -> list[Array]:
    """The result boxes of a piece, computed by its local nodes on TFLM."""
    inputs, contents = local_inputs(node, piece, known)
    outputs = [
        local_value(value, box) for value, box in zip(node.outputs, piece.results, strict=True)
    ]
    results = run_nodes(rule_of(node).localize(node, piece, inputs, outputs), contents)
    return [results[value] for value in outputs]


def pieces_of(rule: OpRule, node: Node, factor: Factor, bounds: Sequence[int]) -> list[Piece]:
    """One piece per rank; rank r runs the factor over ``[bounds[r], bounds[r + 1])``."""
    return [rule.piece(node, {factor.name: interval}) for interval in itertools.pairwise(bounds)]


def run_shards(node: Node, pieces: Sequence[Piece], known: Mapping[Value, Array]) -> list[Array]:
    """The results of a node, assembled from those of its pieces."""
    wholes = [np.zeros(value.shape, value.dtype.numpy) for value in node.outputs]
    for piece in pieces:
        if not piece.is_empty:
            for whole, box, part in zip(
                wholes, piece.results, run_piece(node, piece, known), strict=True
            ):
                whole[box.slices] = part
    return wholes


def run_partial_sums(node: Node, pieces: Sequence[Piece], known: Mapping[Value, Array]) -> Array:
    """The sums of all pieces of a reduction, added, in int64 so that nothing can wrap."""
    output, dtype = node.output, rule_of(node).sums_dtype(node)
    total = np.zeros(output.shape, np.int64)
    for piece in pieces:
        if not piece.is_empty:
            inputs, contents = local_inputs(node, piece, known)
            sums = Value(output.name, output.shape, dtype)
            total += run_nodes(rule_of(node).partial(node, piece, inputs, sums), contents)[sums]
    return total


def requantize_pieces(node: Node, total: Array, pieces: Sequence[Piece]) -> Array:
    """The result of a node from the complete sums, requantized piece by piece."""
    whole = np.zeros(node.output.shape, node.output.dtype.numpy)
    for piece in pieces:
        if not piece.is_empty:
            box = piece.results[0]
            dtype = rule_of(node).sums_dtype(node)
            sums = Value(node.output.name, box.shape, dtype)
            part = local_value(node.output, box)
            nodes = rule_of(node).requantize(node, piece, sums, part)
            assert dtype is DType.INT32 or np.all(abs(total) < 1 << 15)
            known = {sums: total[box.slices].astype(dtype.numpy)}
            whole[box.slices] = run_nodes(nodes, known)[part]
    return whole


def check_shapes(rule: OpRule, node: Node, pieces: Sequence[Piece], parallel: bool) -> None:
    """Boxes lie inside their tensors; results partition theirs; the work adds up."""
    for piece in pieces:
        for value, box in zip(node.inputs, piece.operands, strict=True):
            if value is not None and box is not None:
                assert Box.whole(value.shape).contains(box)
    macs, whole = sum(piece.macs for piece in pieces), rule.macs(node)
    # Neighbouring pieces of TRANSPOSE_CONV both multiply the elements that add to both of them.
    assert macs >= whole if node.op == "TRANSPOSE_CONV" else macs == whole
    if parallel:
        for index, value in enumerate(node.outputs):
            assert is_partition([piece.results[index] for piece in pieces], value.shape)


def check_rule(node: Node, known: Mapping[Value, Array], bounds: Bounds) -> None:
    """Split by every factor of its rule, a node gives what it gives unsplit, bit for bit.

    bounds: for every factor (a parallel one at least), ascending cuts from 0 to its size.
    """
    rule, whole = rule_of(node), run_whole(node, known)
    for factor in rule.factors(node):
        pieces = pieces_of(rule, node, factor, bounds[factor.name])
        check_shapes(rule, node, pieces, factor.kind is Kind.PARALLEL)
        if factor.kind is Kind.PARALLEL:
            found = run_shards(node, pieces, known)
            for expected, array in zip(whole, found, strict=True):
                np.testing.assert_array_equal(array, expected, err_msg=f"split by {factor.name}")
            continue
        total = run_partial_sums(node, pieces, known)
        for other in rule.factors(node):
            if other.kind is Kind.PARALLEL:
                scattered = pieces_of(rule, node, other, bounds[other.name])
                array = requantize_pieces(node, total, scattered)
                message = f"sums over {factor.name}, scattered by {other.name}"
                np.testing.assert_array_equal(array, whole[0], err_msg=message)


@st.composite
def cuts(draw: st.DrawFn, size: int) -> tuple[int, ...]:
    """Bounds of 1 to 5 ranks over ``size`` steps; some ranks may get nothing."""
    inner = draw(st.lists(st.integers(0, size), max_size=4))
    return (0, *sorted(inner), size)


def check_drawn(data: st.DataObject, node: Node, must_have: Iterable[str] = ()) -> None:
    """``check_rule`` on random contents and bounds; the rule must list some factors."""
    factors = rule_of(node).factors(node)
    names = {factor.name for factor in factors}
    missing = set(must_have) - names
    assert not missing, f"{node.op} lists {sorted(names)}, not {sorted(missing)}"
    seed = data.draw(st.integers(0, 2**32 - 1), label="seed")
    bounds = {factor.name: data.draw(cuts(factor.size), factor.name) for factor in factors}
    check_rule(node, contents_of(node, seed), bounds)


def all_dims(node: Node) -> set[str]:
    """Names of the factors of a node whose result can be split along every dimension."""
    rank = len(node.output.shape)
    return {dim_name(dim, rank) for dim in range(rank)}


def contents_of(node: Node, seed: int) -> Arrays:
    """Random contents for the computed operands of a node, over the whole range of their type."""
    rng = np.random.default_rng(seed)
    return {
        value: random_array(rng, value.shape, value.dtype)
        for value in dict.fromkeys(node.operands)
        if not value.is_constant
    }


def random_array(rng: np.random.Generator, shape: Sequence[int], dtype: DType) -> Array:
    """Any value of an int8 or int16, small integers, or normally distributed floats."""
    if dtype is DType.FLOAT32:
        return rng.normal(size=shape).astype(np.float32)
    if dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(np.bool_)
    low, high = {DType.INT8: (-128, 128), DType.INT16: (-32768, 32768)}.get(dtype, (-99, 99))
    return rng.integers(low, high, shape).astype(dtype.numpy)


def tensor(
    name: str,
    shape: Sequence[int],
    dtype: DType = DType.INT8,
    scale: float | None = 0.05,
    zero_point: int = 3,
) -> Value:
    """A computed tensor with one scale (None: not quantized)."""
    return Value(name, tuple(shape), dtype, quantized(scale, zero_point))


def constant(
    name: str,
    data: Array,
    scale: float | Sequence[float] | Array | None = None,
    zero_point: int = 0,
) -> Value:
    """A constant; several scales run along its first dimension."""
    return Value(name, data.shape, DType.of(data.dtype), quantized(scale, zero_point), data)


def quantized(
    scale: float | Sequence[float] | Array | None, zero_point: int = 0, axis: int = 0
) -> Quantization | None:
    """Quantization with scales rounded to float32, as a file stores them."""
    if scale is None:
        return None
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    return Quantization(tuple(float(s) for s in scales), (zero_point,) * len(scales), axis)


def integers(name: str, numbers: Sequence[Any] | int) -> Value:
    """An int32 constant."""
    return constant(name, np.asarray(numbers, np.int32))


def node(op: str, inputs: Sequence[Value | None], *outputs: Value, **attrs: Any) -> Node:
    """A stock node."""
    return Node(op, tuple(inputs), outputs, Attrs(attrs))
