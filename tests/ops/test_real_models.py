# SPDX-License-Identifier: Apache-2.0
"""The operators of real models, split by every factor that their rules list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import check_rule, contents_of
from tflsplit.ir import Node
from tflsplit.ops import rule_of
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.tflite import read_model

MODELS = [
    "gen_cifar_grouped_se_hswish_int8",
    "gen_tcn_dilated_2in2out_int8",
    "gen_unet_96_int8",
    "mcunet_vww_tinyengine",
    "mlperf_ad_fc",
    "mlperf_kws_dscnn",
    "mlperf_resnet8",
    "mobilenet_v1_0.25_128_tinymaix",
    "mobilenet_v2_1.0_224_coral_ptq",
    "pypi_silabs_kws_mbv2",
    "resnet8_int16x8",
    "tflm_person_detect",
    "yolo_face_nxp",
]
MOST_MACS = 1_000_000
"""Larger nodes are left to whole-model tests: they are slow, and no different."""


def kind_of(node: Node) -> object:
    """Equal for nodes that differ in their weights only."""
    return (
        node.op,
        tuple(value and value.shape for value in node.inputs),
        tuple(value.shape for value in node.outputs),
        node.attrs,
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_node(name: str, shared_models: Path):
    (path,) = shared_models.glob(f"**/{name}.tflite")
    graph = fold_constants(read_model(path.read_bytes()))
    nodes = {kind_of(node): node for node in graph.nodes}
    rng = np.random.default_rng(0)
    for node in nodes.values():
        factors = rule_of(node).factors(node)
        assert factors, f"{node!r} would have to run whole"
        if rule_of(node).macs(node) <= MOST_MACS:
            inner = [sorted(rng.integers(0, factor.size + 1, 2).tolist()) for factor in factors]
            bounds = {f.name: (0, *cuts, f.size) for f, cuts in zip(factors, inner, strict=True)}
            check_rule(node, contents_of(node, 1), bounds)
