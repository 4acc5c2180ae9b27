# SPDX-License-Identifier: Apache-2.0
"""The model of the seed system's scheme gives every figure that is known of it."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.builder import NONE
from models.layers import LayerBuilder
from models.mobilenet_v2 import mobilenet_v2
from models.tiny import NETWORKS
from tflsplit.baseline.ranges import chw, cut, inputs_of, pieces
from tflsplit.baseline.seed_scheme import seed_scheme
from tflsplit.baseline.windows import window_of
from tflsplit.errors import ModelError, PlanError
from tflsplit.ir import DType, Graph


@cache
def mobilenet(size: int) -> Graph:
    return mobilenet_v2(1.0, size, images=1)


@pytest.mark.parametrize(
    ("size", "world_size", "peak_bytes", "traffic_megabytes"),
    [
        (224, 1, 1_526_880, "0.22"),
        (224, 2, 802_817, "6.12"),
        (224, 3, 602_113, "9.15"),
        (224, 4, 501_761, "12.17"),
        (224, 8, 460_993, "24.28"),
        (112, 4, 125_441, "3.12"),
        (112, 8, 115_249, "6.22"),
    ],
)
def test_known_figures(size: int, world_size: int, peak_bytes: int, traffic_megabytes: str):
    cost = seed_scheme(mobilenet(size), world_size)
    assert cost.peak_bytes == peak_bytes
    assert f"{cost.traffic_bytes / 1e6:.2f}" == traffic_megabytes


def test_the_double_buffer_at_eight_devices_takes_508_kilobytes():
    assert round(seed_scheme(mobilenet(224), 8).peak_double_buffer_bytes / 1e3) == 508


def test_the_peak_stops_falling_at_five_devices():
    peaks = [seed_scheme(mobilenet(224), n).peak_bytes for n in range(1, 9)]
    assert peaks[3] - peaks[4] > 30_000
    # only the output's share still shrinks: all eight hold the 451,584 bytes of one whole input
    assert all(451_584 < peak < 451_584 + 80_000 // n for n, peak in enumerate(peaks[4:], 5))


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 16])
def test_devices_share_all_the_work(world_size: int):
    macs = seed_scheme(mobilenet(112), world_size).macs
    assert len(macs) == world_size
    assert sum(macs) == sum(seed_scheme(mobilenet(112), 1).macs)
    assert max(macs) < 1.01 * min(macs)


def test_macs_of_mobilenet_v2_are_the_papers():
    assert round(sum(seed_scheme(mobilenet(224), 8).macs) / 1e6) == 301


def test_one_device_moves_only_what_the_hub_feeds_and_takes():
    image, pooled_up, pooled_down, logits = 225 * 225 * 3, 7 * 7 * 1280, 1280, 1000
    expected = image + pooled_up + pooled_down + logits
    assert seed_scheme(mobilenet(224), 1).traffic_bytes == expected


@given(size=st.integers(0, 500), world_size=st.integers(1, 40))
def test_cut_covers_everything_nearly_evenly(size: int, world_size: int):
    parts = cut(size, world_size)
    assert [index for start, stop in parts for index in range(start, stop)] == list(range(size))
    lengths = [stop - start for start, stop in parts]
    assert max(lengths) - min(lengths) <= 2 or size < world_size


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), data=st.data())
def test_pieces_cover_a_range_exactly(rows: int, columns: int, data: st.DataObject):
    size = rows * columns * 5
    start, stop = sorted(data.draw(st.tuples(st.integers(0, size), st.integers(0, size))))
    covered = np.zeros((5, rows, columns), int)
    for (first, last), positions in pieces((start, stop), rows, columns):
        covered[first:last] += positions
    assert covered.reshape(-1).tolist() == [int(start <= i < stop) for i in range(size)]


def depthwise_graph(size: int, stride: int, kernel: int, dilation: int, multiplier: int) -> Graph:
    net = LayerBuilder("depthwise", 1, images=1)
    x = net.input((size, size, 2))
    shape = (kernel, kernel), (stride, stride)
    y = net.depthwise(x, *shape, NONE, dilation=(dilation, dilation), multiplier=multiplier)
    return net.finish(y)


@given(
    size=st.integers(3, 9),
    stride=st.integers(1, 3),
    kernel=st.integers(1, 4),
    dilation=st.integers(1, 2),
    multiplier=st.integers(1, 2),
    data=st.data(),
)
def test_inputs_of_is_what_the_outputs_depend_on(
    size: int, stride: int, kernel: int, dilation: int, multiplier: int, data: st.DataObject
):
    """Compare with the definition of SAME convolution, output by output, tap by tap."""
    dilation = dilation if stride == 1 else 1
    (node,) = depthwise_graph(size, stride, kernel, dilation, multiplier).nodes
    channels, out_rows, out_columns = chw(node.output)
    total = channels * out_rows * out_columns
    part = sorted(data.draw(st.tuples(st.integers(0, total), st.integers(0, total))))
    window = window_of(node)
    expected = set()
    for index in range(*part):
        channel, position = divmod(index, out_rows * out_columns)
        row, column = divmod(position, out_columns)
        for tap in range(kernel * kernel):
            down, right = divmod(tap, kernel)
            place = (row * stride + down * dilation, column * stride + right * dilation)
            expected.add((channel // multiplier, *place))
    mask = inputs_of(node, node.input(0), window, (part[0], part[1]))
    assert {tuple(map(int, place)) for place in np.argwhere(mask)} == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_has_a_cost(name: str):
    one, four = (seed_scheme(NETWORKS[name](), n) for n in (1, 4))
    assert sum(one.macs) == sum(four.macs) > 0
    assert 0 < four.peak_bytes <= one.peak_bytes
    assert four.traffic_bytes > one.traffic_bytes


def test_no_device_is_a_clear_error():
    with pytest.raises(PlanError, match="at least one device, not 0"):
        seed_scheme(NETWORKS["mobilenet"](), 0)


def test_a_layer_that_is_not_int8_is_refused():
    graph = NETWORKS["autoencoder"]()
    for node in graph.nodes:
        node.output.dtype = DType.INT16
    with pytest.raises(ModelError, match=r"FULLY_CONNECTED .* is not int8"):
        seed_scheme(graph, 2)
