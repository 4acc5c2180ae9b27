# SPDX-License-Identifier: Apache-2.0
"""Biases with dimensions of 1 in front, which TFLM takes, are cut like any other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.tiny import NETWORKS
from tests.splits import compared, needs_tflm
from tflsplit.ir import Graph, Value
from tflsplit.passes.flat_biases import flat_biases
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model


def deep(graph: Graph) -> Graph:
    """The graph with every bias of shape [1, 1, channels]."""

    def biased(value: Value | None) -> Value | None:
        if value is None or value.data is None or value.shape != (value.size,):
            return value
        if not value.name.endswith("/bias"):
            return value
        quantization = value.quantization and replace(value.quantization, axis=2)
        shape = (1, 1, value.size)
        return replace(
            value, shape=shape, data=value.data.reshape(shape), quantization=quantization
        )

    nodes = [replace(node, inputs=tuple(map(biased, node.inputs))) for node in graph.nodes]
    assert any(len(v.shape) == 3 for node in nodes for v in node.operands if v.is_constant)
    return replace(graph, nodes=nodes)


@needs_tflm
@pytest.mark.parametrize("name", ["autoencoder", "ds_cnn"])
def test_a_bias_of_more_dimensions_is_cut_by_channels(name: str):
    split = split_model(deep(NETWORKS[name]()), Wishes(3, split="out_channels"))
    verdict = compared(split)
    assert verdict.passed, str(verdict)


def test_biases_that_are_vectors_stay_what_they_are():
    graph = NETWORKS["ds_cnn"]()
    assert all(a is b for a, b in zip(flat_biases(graph).nodes, graph.nodes, strict=True))
