# SPDX-License-Identifier: Apache-2.0
"""Scratch of CMSIS-NN on cores with vectors: by hand from its ``*_get_buffer_size_mve`` functions.

What TFLM takes on an emulated Cortex-M55: ``python -m benchmarks.stock_arenas``.
"""

from __future__ import annotations

import pytest

from tests.memory.op_cases import row_convolution, widened
from tests.memory.op_list import CASES
from tflsplit.errors import UserError
from tflsplit.ir import Graph
from tflsplit.memory import CORTEX_M, predict_arena
from tflsplit.memory.demand import kernels_named, node_demand


def scratch(case: Graph) -> tuple[int, ...]:
    return node_demand(case.nodes[0], CORTEX_M, "cmsis_nn_mve").prepared.scratch


@pytest.mark.parametrize(
    ("case", "sizes"),
    [
        ("CONV_2D", (4 * 80,)),  # 3 x 3 x 8 = 72 bytes: five registers
        ("CONV_2D pointwise", ()),
        ("CONV_2D pointwise stride 2", ()),
        ("CONV_2D one channel", (4 * 80,)),  # of the result
        ("CONV_2D int16", (4 * 144,)),  # 72 of 2 bytes: nine registers
        ("CONV_2D float", ()),
        ("DEPTHWISE_CONV_2D", (4 * 124 * 9,)),  # 3x3, too: no kernel of its own
        ("DEPTHWISE_CONV_2D 5x5", (4 * 124 * 25,)),
        ("DEPTHWISE_CONV_2D multiplier", ()),
        ("DEPTHWISE_CONV_2D dilated", ()),
        ("FULLY_CONNECTED int16", ()),
        ("AVERAGE_POOL_2D int16", ()),
    ],
)
def test_scratch_of_operators(case: str, sizes: tuple[int, ...]):
    assert scratch(CASES[case]()) == sizes


@pytest.mark.parametrize(
    ("width", "taps", "channels", "stride", "padding", "size"),
    [
        (16, 3, 4, 1, 0, 4 * (3 + 1)),  # pads 1 on either side
        (16, 5, 4, 1, 0, 4 * (5 + 2)),
        (16, 4, 4, 1, 0, 4 * (4 + 1)),  # 1 on the left, 2 on the right: 3 + 2 is no more
        (16, 4, 4, 1, 1, 4 * 4),
        (16, 3, 4, 2, 0, 4 * 3),  # only on the right: 2 + 1
        (16, 3, 3, 1, 0, 4 * 16),  # 3 channels: no whole words, the general kernel's
        (2, 9, 4, 1, 0, 4 * 48),  # fewer results than padded ones: the general kernel's
    ],
)
def test_scratch_of_rows(
    width: int, taps: int, channels: int, stride: int, padding: int, size: int
):
    assert scratch(row_convolution(width, taps, channels, stride, padding)) == (size,)


def test_a_depthwise_convolution_of_one_channel_runs_as_a_convolution():
    """Beside its nine filters of 3 x 3 in another order; of one filter, as any other."""
    assert scratch(widened(9)) == (4 * 16 + 81,)
    assert scratch(widened(1)) == (4 * 124 * 9,)


def test_sums_of_weights_and_pools():
    layer = CASES["FULLY_CONNECTED"]()
    outputs = layer.outputs[0].shape[-1]
    assert scratch(layer) == (4 * outputs,)
    product = CASES["BATCH_MATMUL"]()
    assert scratch(product) == (4 * product.outputs[0].shape[-1],)
    rank_3 = CASES["FULLY_CONNECTED rank 3"]()
    assert scratch(rank_3) == node_demand(rank_3.nodes[0], CORTEX_M, "cmsis_nn").prepared.scratch


def test_a_kernel_that_may_refuse_is_noted():
    estimate = predict_arena(CASES["SVDF"](), CORTEX_M, "cmsis_nn_mve")
    assert not estimate.exact
    assert "KERNELS_OPTIMIZED_FOR_SIZE" in estimate.notes[0]
    assert predict_arena(CASES["SVDF"](), CORTEX_M, "cmsis_nn").exact


def test_unknown_kernels_are_named():
    with pytest.raises(UserError, match="unknown kernels 'cmsis'; known are reference, cmsis_nn"):
        kernels_named("cmsis")
