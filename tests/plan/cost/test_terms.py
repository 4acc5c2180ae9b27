# SPDX-License-Identifier: Apache-2.0
"""Terms of the cost model that only show in whole plans, each against a case worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.plan.networks import (
    expansion,
    out_channels,
    plan_of,
    replicated,
    rows,
    two_convolutions,
    whole,
)
from tflsplit.cluster import Cluster, Cycles, Device, Family, LinkSpec, Topology
from tflsplit.memory import ABIS, predict_arena
from tflsplit.plan.cost import Work, fit_device, local_node_us, predict, work_of
from tflsplit.split.lower import lower
from tflsplit.tflite import write_model
from tflsplit.wire import custom_ops as wire

DEVICE = Device("test", "", 65536, 65536, 65536, 100_000_000, Cycles(4, 3, 10, 5, 50, 2))
UART = LinkSpec(step_overhead_us=20)  # 6 Mbaud: 5/3 us a byte
PAIR = Cluster((DEVICE, DEVICE), Topology.LINE, UART, UART, background_poll_us=0.0)
GRAPH = two_convolutions()
FIRST, SECOND = GRAPH.nodes
# int8[1, 8, 4, 3] -- 3x3 to 6 channels -- 3x3 to 4 channels, at 4 cycles of 0.01 us a MAC.
FIRST_ROW_US = 4 * 6 * 27 * 4 * 0.01
SECOND_ROW_US = 4 * 4 * 54 * 4 * 0.01


def test_rows_that_are_computed_twice_cost_twice():
    """Each computes the row under its neighbour's window itself: 5 + 5 rows of 8, no exchange."""
    halos = replace(rows(FIRST, 0, 4, 8), extents=((0, 5), (3, 8)))
    result = predict(GRAPH, plan_of(2, halos, rows(SECOND, 0, 4, 8)), PAIR)
    assert result.compute_us == pytest.approx((5 * FIRST_ROW_US + 4 * SECOND_ROW_US,) * 2)
    assert result.send_us == (0.0, 0.0)
    assert result.payload_bytes == 0


def test_a_fused_block_works_on_the_rows_under_its_window():
    """Rank 0 makes 4 rows of 4 columns, from 5: the depthwise window needs one more below.

    expand 5 * 4 * 24 * 4 = 1,920; depthwise 4 * 4 * 24 * 9 = 3,456; project 4 * 4 * 4 * 24 = 1,536.
    The depthwise stage finds its input where the expansion put it.
    """
    graph = expansion()
    first, expand, depthwise, project = (rows(node, 0, 4, 8) for node in graph.nodes)
    halos = replace(expand, extents=((0, 5), (3, 8)))
    plan = plan_of(2, first, halos, depthwise, project)
    device = lower(graph, replace(plan, fuse=True))[0]
    (block,) = (node for node in device.graph.nodes if node.op == wire.FUSED_BLOCK)
    assert work_of(block) == (
        Work(Family.POINTWISE, 1920), Work(Family.MADE, 5 * 4 * 24), Work(Family.READ, 5 * 4 * 4),
        Work(Family.DEPTHWISE, 3456), Work(Family.PLANE_ROW, 4 * 24),
        Work(Family.POINTWISE, 1536), Work(Family.MADE, 4 * 4 * 4), Work(Family.READ, 4 * 4 * 24),
    )  # fmt: skip
    assert local_node_us(DEVICE, block) == pytest.approx((3456 * 3 + 3456 * 10) * 0.01)


def test_an_input_that_all_need_crosses_the_hosts_wire_once():
    plan = plan_of(2, out_channels(FIRST, 0, 3, 6), replicated(SECOND))
    # 8 * 4 * 3 = 96 bytes: 28 + 96 + 3 = 127 on the wire; rank 0's GRANT of 31 before.
    assert predict(GRAPH, plan, PAIR).input_us == pytest.approx(20 + (127 + 31) * 5 / 3)


def test_an_output_that_all_have_is_given_once():
    plan = plan_of(2, replicated(FIRST), replicated(SECOND))
    # 8 * 4 * 4 = 128 bytes: 28 + 128 + 3 = 159 on the wire; the host's GRANT of 31 before.
    assert predict(GRAPH, plan, PAIR).output_us == pytest.approx(20 + (159 + 31) * 5 / 3)
    last = plan_of(2, replicated(FIRST), whole(SECOND, 1))
    # The same from rank 1, on two wires: one more hop for frame and GRANT.
    assert predict(GRAPH, last, PAIR).output_us == pytest.approx(20 + 2 * (159 + 31) * 5 / 3)


def test_an_idle_device_neither_computes_nor_sends_nor_waits():
    result = predict(GRAPH, plan_of(2, whole(FIRST, 0), whole(SECOND, 0)), PAIR)
    assert (result.compute_us[1], result.send_us[1], result.wait_us[1]) == (0.0, 0.0, 0.0)
    assert result.graph_us == pytest.approx(8 * (FIRST_ROW_US + SECOND_ROW_US))


def test_what_fits_is_for_the_devices_own_structs():
    """The arena of an ESP32's ABI, and RAM: 65,536 less stack, runtime and the link's buffers."""
    graph = lower(GRAPH, plan_of(2, rows(FIRST, 0, 4, 8), rows(SECOND, 0, 4, 8)))[0].graph
    other = replace(DEVICE, abi="esp32", kernels="reference", stack_bytes=1000, runtime_bytes=2000)
    cluster = replace(PAIR, devices=(other, DEVICE))
    fit = fit_device(cluster, 0, graph, len(write_model(graph)))
    assert fit.arena_bytes == predict_arena(graph, ABIS["esp32"]).required_bytes
    assert fit.arena_room_bytes == 65536 - 1000 - 2000 - cluster.link_buffer_bytes(0)
