# SPDX-License-Identifier: Apache-2.0
"""FULLY_CONNECTED's sums, requantized by an engine that rounds them in its own way.

TFLSPLIT_REQUANTIZE follows TFLM, which rounds FULLY_CONNECTED as it rounds convolutions.  LiteRT
rounds FULLY_CONNECTED otherwise (its versions differ), so where one was split by its inputs, our
requantization would differ from the unsplit model by one here and there.  There the engine itself
requantizes: the complete sums S become the bias of a FULLY_CONNECTED that adds nothing to them,

    y = FULLY_CONNECTED(x = its zero point, weights = 0, bias = S),   scales as in the model.

Those scales are known to the devices that added (REQUANTIZE has multipliers only), and a rank may
requantize sums to which it added nothing: so they are looked up in the whole set of devices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tflsplit.ir import Activation, Attrs, DType, Graph, Node, Quantization, Value
from tflsplit.ops.own.custom_options import RecvOptions, SendOptions, activation_of
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.packed_stage import weight_scales
from tflsplit.runtime.engines import Array, Engine, Program
from tflsplit.wire import custom_ops as wire


@dataclass(frozen=True)
class DenseScales:
    """Quantization of a FULLY_CONNECTED's input and of those weights whose sums a rank keeps."""

    x: Quantization
    weights: Quantization


def dense_sums(graphs: Sequence[Graph]) -> list[dict[str, DenseScales]]:
    """For each rank, by tensor, what a REQUANTIZE makes of the sums of a FULLY_CONNECTED."""
    scales: dict[str, DenseScales] = {}
    for graph in graphs:
        made = graph.producers()
        for node in graph.nodes:
            adds = made.get(node.input(0)) if node.op == wire.SEND else None
            if adds is not None and adds.op == wire.PARTIAL_FULLY_CONNECTED:
                scales[SendOptions.of(node).tensor] = _scales(adds)
    return [_results(graph, scales) for graph in graphs]


def _results(graph: Graph, scales: Mapping[str, DenseScales]) -> dict[str, DenseScales]:
    made, results = graph.producers(), {}
    for node in graph.nodes:
        if node.op == wire.REQUANTIZE:
            found = _source(made, node.input(0), scales)
            if found is not None:
                stop = found[1] + node.output.shape[-1]
                weights = found[0].weights.cut(found[0].weights.axis, found[1], stop)
                weights = weights if weights.scales else _of_channels(node, found[0].x)
                results[node.output.name] = replace(found[0], weights=weights)
    return results


def _of_channels(node: Node, x: Quantization) -> Quantization:
    """Scales by channel, which packed weights do not have: they follow from the multipliers."""
    explicit, y = unpacked(node), node.output.quantization
    multiplier, shift = explicit.input(2).data, explicit.input(3).data
    assert multiplier is not None
    assert shift is not None
    scales = weight_scales(multiplier, shift, x.scale, y.scale if y else 1.0)
    return Quantization(scales, (0,) * len(scales), axis=0)


def _source(
    made: Mapping[Value, Node], sums: Value, scales: Mapping[str, DenseScales]
) -> tuple[DenseScales, int] | None:
    """The scales of complete sums and the first channel of them; None if they are no FC's."""
    node, first = made.get(sums), 0
    if node is not None and node.op == "SLICE":  # of what this rank summed up alone
        begin = node.input(1).data
        first = 0 if begin is None else int(begin[-1])
        node = made.get(node.input(0))
    if node is not None and node.op == wire.RECV:
        recv = RecvOptions.of(node)
        return (scales[recv.tensor], recv.origin[-1]) if recv.tensor in scales else None
    if node is not None and node.op == wire.PARTIAL_FULLY_CONNECTED:
        return _scales(node), first
    return None


def _scales(partial: Node) -> DenseScales:
    x, weights = partial.input(0).quantization, partial.input(1).quantization
    return DenseScales(x or Quantization(), weights or Quantization())


class DenseRequantize:
    """A REQUANTIZE of a FULLY_CONNECTED's sums, on the engine."""

    def __init__(self, node: Node, scales: DenseScales, engine: Engine) -> None:
        """Build the FULLY_CONNECTED; EngineError if the engine refuses it."""
        count, self._node = node.output.size, node
        repeats = count // node.output.shape[-1]
        weights = scales.weights
        if weights.per_channel:
            zero_points = (0,) * count
            weights = Quantization(weights.scales * repeats, zero_points, axis=0)
        x = Value("x", (1, 1), DType.INT8, Quantization(scales.x.scales, scales.x.zero_points))
        nothing = Value("w", (count, 1), DType.INT8, weights, np.zeros((count, 1), np.int8))
        products = tuple(
            float(np.float32(x_scale) * np.float32(scale))
            for x_scale in scales.x.scales
            for scale in weights.scales
        )
        steps = Quantization(products, (0,) * len(products), axis=0)  # LiteRT checks them
        bias = Value("sums", (count,), DType.INT32, steps)
        y = Value("y", (1, count), DType.INT8, node.output.quantization)
        attrs = Attrs(fused_activation_function=Activation.NONE)
        dense = Node("FULLY_CONNECTED", (x, nothing, bias), (y,), attrs, version=4)
        self._zero = np.full((1, 1), scales.x.zero_point, np.int8)
        self._program: Program = engine(Graph("requantize", (x, bias), (y,), [dense]))

    def __call__(self, sums: Array) -> Array:
        """int8 of complete int32 sums, bias added, of the same shape."""
        bias = self._node.inputs[1]
        total = sums if bias is None or bias.data is None else sums + bias.data
        (result,) = self._program.run([self._zero, total.reshape(-1)])
        clamped = np.clip(result, *activation_of(self._node))
        return np.asarray(clamped, np.int8).reshape(self._node.output.shape)
