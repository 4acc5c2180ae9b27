# SPDX-License-Identifier: Apache-2.0
"""Weights of 4 bits: what TFLM makes of them is what it makes of the same numbers in 8 bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.splits import compared, needs_tflm, tiny
from tests.support import run_tflm
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.passes.int4_weights import int4_weights, unpacked
from tflsplit.passes.settle import settle
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import read_model, write_model

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def in_four_bits(graph: Graph) -> Graph:
    """The graph with the upper half of every weight's bits, two weights in a byte."""

    def packed(node: Node) -> Node:
        weights = node.inputs[1] if node.op in WEIGHTED else None
        if weights is None or weights.data is None:
            return node
        numbers = np.append(weights.data.reshape(-1) >> 4, np.int8(0)).astype(np.uint8)
        pairs = numbers[: weights.size + weights.size % 2].reshape(-1, 2)
        data = (pairs[:, 0] & 15) | (pairs[:, 1] << 4)
        small = Value(weights.name, weights.shape, DType.INT4, weights.quantization, data)
        return replace(node, inputs=(node.inputs[0], small, *node.inputs[2:]))

    return replace(graph, nodes=[packed(node) for node in graph.nodes])


def test_numbers_of_four_bits_have_a_sign():
    assert unpacked(np.array([0xF1, 0x78], np.uint8), 3).tolist() == [1, -1, -8]


@needs_tflm
@pytest.mark.parametrize("name", ["ds_cnn", "autoencoder"])
def test_the_bits_are_those_of_tflm(name: str):
    model = read_model(write_model(in_four_bits(tiny(name))))
    whole = int4_weights(model)
    assert whole is not model
    assert settle(whole) is whole
    rng = np.random.default_rng(3)
    for _ in range(3):
        x = [rng.integers(-128, 128, value.shape, np.int8) for value in model.inputs]
        for before, after in zip(run_tflm(model, x), run_tflm(whole, x), strict=True):
            np.testing.assert_array_equal(after, before)
    assert compared(split_model(model, Wishes(3))).passed
