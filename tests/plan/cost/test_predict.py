# SPDX-License-Identifier: Apache-2.0
"""The list simulation, against two nodes on two ranks worked out by hand; fit; calibration."""

from dataclasses import replace

import numpy as np
import pytest

from tests.plan.networks import in_channels, out_channels, plan_of, rows, two_convolutions, whole
from tflsplit.cluster import (
    Cluster,
    Cycles,
    Device,
    Family,
    LinkKind,
    LinkSpec,
    Topology,
    default_cluster,
    parse_cluster,
)
from tflsplit.cluster.cycles import TFLM_BESIDE
from tflsplit.errors import ClusterError, PlanError
from tflsplit.plan.cost import (
    Measurement,
    Work,
    calibrate,
    calibration_toml,
    fit_device,
    predict,
    step_cost,
    work_of,
)
from tflsplit.plan.cost.arrival import Passing
from tflsplit.plan.cost.calibrate import relative_errors, scaled
from tflsplit.plan.cost.polling import POLL_CYCLES
from tflsplit.plan.layout import lay_out
from tflsplit.plan.transfers import schedule
from tflsplit.split.lower import lower
from tflsplit.tflite import write_model

GRAPH = two_convolutions()
FIRST, SECOND = GRAPH.nodes
POINTWISE = two_convolutions((1, 1))
CYCLES = Cycles(4, 3, 10, 5, 50, 2)
DEVICE = Device("test", "", 65536, 65536, 65536, 100_000_000, CYCLES)
SLOW = replace(DEVICE, clock_hz=50_000_000)
PAIR = Cluster(
    (DEVICE, SLOW),
    Topology.LINE,
    LinkSpec(step_overhead_us=20),
    LinkSpec(),
    background_poll_us=0.0,
)
# int8[1, 8, 4, 3] -- 3x3 to 6 channels -- 3x3 to 4 channels; a row of the first: 4 * 6 * 27 MACs
FIRST_ROW = 4 * 6 * 27 * 4 * 0.01  # us on DEVICE
SECOND_ROW = 4 * 4 * 54 * 4 * 0.01


def test_rows_on_a_fast_and_a_slow_device():
    plan = plan_of(2, rows(FIRST, 0, 5, 8), rows(SECOND, 0, 5, 8))
    result = predict(GRAPH, plan, PAIR)
    # First layer: 5 rows on the fast one, 3 rows at twice the time on the slow one, which is last.
    # Then each gets one row of 4 * 6 = 24 bytes from the other: frames of 28 + 24 + 3 = 55 bytes
    # and a GRANT of 31 each way, 86 on the busiest wire, a GRANT before: 20 + (86 + 31) * 5/3 us.
    halo = 20 + (55 + 31 + 31) * 5 / 3
    assert result.steps[1].exchange_us == pytest.approx(halo)
    # The input: 6 rows and 4 rows of 12 bytes, 103 and 79 on the wire.  Rank 0 has its part after
    # a GRANT and 103 bytes, rank 1 its own after two GRANTs, 103 + 79 bytes and a hop of 79.
    late = 20 + (31 + 79 + 79) * 5 / 3
    meet = max(5 * FIRST_ROW, late + 2 * 3 * FIRST_ROW)
    assert meet == late + 2 * 3 * FIRST_ROW
    assert result.graph_us == pytest.approx(meet + halo + 6 * SECOND_ROW)
    assert result.compute_us == pytest.approx(
        (5 * (FIRST_ROW + SECOND_ROW), 6 * (FIRST_ROW + SECOND_ROW))
    )
    assert result.send_us == pytest.approx((halo, halo))
    assert result.wait_us == pytest.approx((late + FIRST_ROW, late))
    assert result.payload_bytes == 2 * 24
    assert result.bytes_per_link == {(0, 1): 86, (1, 0): 86}


def test_polls_and_input_that_passes_take_from_the_kernels():
    plan = plan_of(2, rows(FIRST, 0, 5, 8), rows(SECOND, 0, 5, 8))
    result = predict(GRAPH, plan, replace(PAIR, background_poll_us=100.0))
    cycles = POLL_CYCLES[LinkKind.UART]
    idle = cycles.idle * 0.01 / 100
    assert result.compute_us[1] == pytest.approx(2 * 3 * (FIRST_ROW + SECOND_ROW) / (1 - 2 * idle))
    # Rank 1's input, 79 bytes on the wire, comes to rank 0 after its own and leaves until it is at
    # rank 1, 20 + (31 + 79 + 79) * 5/3 us later; meanwhile rank 0 computes the first layer.
    passing = 79 * (cycles.sent_byte + cycles.received_byte) * 0.01
    late = 20 + (31 + 79 + 79) * 5 / 3
    assert 5 * FIRST_ROW / (1 - idle) < late - passing
    first = 5 * FIRST_ROW / (1 - idle) / (1 - passing / late)
    assert result.compute_us[0] == pytest.approx(first + 5 * SECOND_ROW / (1 - idle))


def test_a_kernel_that_lasts_longer_than_the_input_passes():
    passing = Passing(until_us=100.0, share=0.25)
    assert passing.elapsed_us(20.0, 30.0) == pytest.approx(40.0)
    assert passing.elapsed_us(20.0, 60.0) == pytest.approx(80.0)
    assert passing.elapsed_us(20.0, 75.0) == pytest.approx(95.0)
    assert passing.elapsed_us(100.0, 75.0) == pytest.approx(75.0)


def test_input_and_output():
    plan = plan_of(2, rows(FIRST, 0, 4, 8), rows(SECOND, 0, 4, 8))
    result = predict(GRAPH, plan, PAIR)
    # Each rank reads 5 rows of 4 * 3 = 12 bytes: 60; 28 + 60 + 3 = 91 on the wire.  Rank 0's come
    # first; rank 1 waits for both on host -> 0, for a GRANT over two hops, a further hop of 91.
    assert result.input_us == pytest.approx((31 + 91) * 5 / 3)
    late = (91 + 91 + 2 * 31 + 91) * 5 / 3 + 20 - result.input_us
    assert result.wait_us[1] == pytest.approx(late)
    # 4 rows of 16 bytes from each: 64, 28 + 64 + 3 = 95; the same way back.
    assert result.output_us == pytest.approx((95 + 95 + 2 * 31 + 95) * 5 / 3 + 20)
    assert result.latency_us == result.input_us + result.graph_us + result.output_us


def test_partial_sums():
    plan = plan_of(2, out_channels(FIRST, 0, 3, 6), in_channels(SECOND, (0, 3, 6), (0, 2, 4)))
    result = predict(GRAPH, plan, PAIR)
    # 8 rows of half the channels; partial sums of half the inputs; nothing moves in between.
    partial = 8 * (FIRST_ROW + SECOND_ROW) / 2 * 2  # on the slow one
    # Each gives the other 8 * 4 * 2 int32 sums: 256 bytes, 28 + 256 = 284, + 1 + 3 = 288.
    exchange = 20 + (288 + 31 + 31) * 5 / 3
    # Each requantizes 64 values at 50 cycles, the slow one at 0.02 us a cycle.  The input is a
    # multicast of 96 bytes, 127 on the wire, which the farther one has a GRANT and a hop later.
    late = 20 + (31 + 127) * 5 / 3
    assert result.graph_us == pytest.approx(late + partial + exchange + 64 * 50 * 0.02)
    assert result.steps[0].exchange_us == 0.0


def test_sums_in_tiles_cost_an_exchange_each():
    split = replace(in_channels(SECOND, (0, 3, 6), (0, 2, 4)), sum_tiles=4)
    plan = plan_of(2, out_channels(FIRST, 0, 3, 6), split)
    result = predict(GRAPH, plan, PAIR)
    # 2 rows a tile: 64 bytes, 28 + 64 + 3 = 95.
    assert result.steps[1].exchange_us == pytest.approx(4 * (20 + (95 + 31 + 31) * 5 / 3))
    macs = 8 * (FIRST_ROW + SECOND_ROW)  # half of both, at half the clock
    assert result.compute_us[1] == pytest.approx(macs + 64 * 50 * 0.02)


def test_what_is_gathered_in_tiles_costs_an_exchange_each():
    tiled = replace(out_channels(POINTWISE.nodes[1], 0, 2, 4), gather_tiles=4)
    plan = plan_of(2, out_channels(POINTWISE.nodes[0], 0, 3, 6), tiled)
    result = predict(POINTWISE, plan, PAIR)
    # 2 rows of 4 columns and 3 channels a tile: 24 bytes, 28 + 24 + 3 = 55.
    assert result.steps[1].exchange_us == pytest.approx(4 * (20 + (55 + 31 + 31) * 5 / 3))
    at_once = replace(plan, splits=(plan.splits[0], replace(tiled, gather_tiles=1)))
    assert result.compute_us == pytest.approx(predict(POINTWISE, at_once, PAIR).compute_us)


def test_one_device_only_computes():
    plan = plan_of(1, whole(FIRST, 0), whole(SECOND, 0))
    result = predict(GRAPH, plan, replace(default_cluster(1), background_poll_us=0.0))
    # TFLM's own kernels: multiply-accumulates, values made, values and pixels of windows at each of
    # 32 positions, and once each weight.
    at_each = 2.0 * (6 * 27 + 4 * 54) + 60.0 * (6 + 4) + 10.8 * (27 + 54) + 87.4 * (9 + 9)
    cycles = 8 * 4 * at_each + 4.81 * (6 * 27 + 4 * 54)
    assert result.graph_us == pytest.approx(cycles / 600)
    # Our own, on a map of 8 x 4: multiply-accumulates, values made, values of windows (27 and 54 at
    # each position), and three rows of them to copy.
    own = predict(
        GRAPH, replace(plan, fuse=True), replace(default_cluster(1), background_poll_us=0.0)
    )
    cycles = 1.23 * (6 * 27 + 4 * 54) + 11.9 * (6 + 4) + 1.36 * (27 + 54) + 47.0 * (3 + 3)
    assert own.graph_us == pytest.approx(8 * 4 * cycles / 600)
    assert result.bytes_per_link == {}


def test_the_parts_add_up():
    plan = plan_of(2, rows(FIRST, 0, 5, 8), whole(SECOND, 1))
    result = predict(GRAPH, plan, PAIR)
    ends = [
        c + s + w for c, s, w in zip(result.compute_us, result.send_us, result.wait_us, strict=True)
    ]
    assert max(ends) == pytest.approx(result.graph_us)
    movements = schedule(lay_out(GRAPH, plan))
    cost = step_cost(PAIR, list(movements.transfers()))
    assert dict(result.bytes_per_link) == dict(cost.bytes_per_link)


def test_a_plan_for_another_cluster():
    plan = plan_of(1, whole(FIRST, 0), whole(SECOND, 0))
    with pytest.raises(PlanError, match="for 1 device, the cluster has 2"):
        predict(GRAPH, plan, PAIR)


def test_fit():
    plan = plan_of(2, rows(FIRST, 0, 4, 8), rows(SECOND, 0, 4, 8))
    device = lower(GRAPH, plan)[0]
    size = len(write_model(device.graph))
    roomy = fit_device(default_cluster(2), 0, device.graph, size)
    assert roomy.fits
    assert roomy.weights_room_bytes == 7936 * 1024 - 196608
    boards = tuple(
        replace(d, arena_limit_bytes=roomy.arena_bytes) for d in default_cluster(2).devices
    )
    exact = replace(default_cluster(2), devices=boards)
    assert fit_device(exact, 0, device.graph, size).fits
    boards = tuple(
        replace(d, arena_limit_bytes=roomy.arena_bytes - 1, weights_limit_bytes=size - 7)
        for d in boards
    )
    short = fit_device(replace(exact, devices=boards), 0, device.graph, size)
    assert not short.fits
    assert (short.arena_short_bytes, short.flash_short_bytes) == (1, 7)


ALL_CYCLES = Cycles(
    4, 3, 10, 5, 50, 2, 6, 15, 2.5, 120, 200, 7, 40, 80, 3, 50, 0.5, 5.5, 30, 60, 9, 90, 3.5
)


def runs(cycles: Cycles, clock_hz: int, count: int = len(Family)) -> list[Measurement]:
    rng = np.random.default_rng(5)
    made = []
    for _ in range(count):
        work = tuple(Work(family, int(rng.integers(1000, 90_000))) for family in Family)
        made.append(
            Measurement(work, sum(w.amount * cycles.of(w.family) for w in work) * 1e6 / clock_hz)
        )
    return made


def test_calibration_finds_what_made_the_times():
    measured = runs(ALL_CYCLES, 100_000_000)
    found = calibrate(measured, 100_000_000)
    assert found == pytest.approx({family: ALL_CYCLES.of(family) for family in Family})
    assert relative_errors(measured, 100_000_000, found) == pytest.approx(
        [0.0] * len(Family), abs=1e-9
    )


def test_calibration_by_kinds_keeps_a_boards_proportions():
    """Seven kinds, seven runs: what goes with a kind takes its factor."""
    known = {family: ALL_CYCLES.of(family) for family in Family}
    truth = dict(known)
    for family in (Family.DEPTHWISE, Family.PLANE_ROW, Family.PLANE_INPUT, Family.RUN):
        truth[family] *= 3
    for family in (Family.OTHER, Family.REQUANTIZE, Family.ADD, Family.SUM):
        truth[family] *= 0.5
    cycles = Cycles(*(truth[family] for family in Family))
    found = calibrate(runs(cycles, 100_000_000, 7), 100_000_000, known)
    assert found == pytest.approx(truth)
    with pytest.raises(ClusterError, match="6 runs do not tell"):
        calibrate(runs(cycles, 100_000_000, 6), 100_000_000, known)


def test_calibration_is_pasted_into_a_cluster_file():
    found = calibrate(runs(ALL_CYCLES, 100_000_000), 100_000_000)
    text = calibration_toml(found, "measured\ntoday")
    assert text.startswith("# measured\n# today\n[device.cycles_per_mac]\n")
    device = parse_cluster('[[device]]\nboard = "pico"\n' + text).devices[0]
    assert device.cycles == ALL_CYCLES


def test_calibration_of_a_whole_graph_in_one_family():
    # 2 runs of 10,368 and 6,912 pointwise MACs at 3 cycles and 100 MHz.
    made = [Measurement((Work(Family.POINTWISE, n),), n * 0.03) for n in (10_368, 6_912)]
    assert calibrate(made, 100_000_000) == pytest.approx({Family.POINTWISE: 3.0})


def test_what_calibration_cannot_tell():
    both = [
        Measurement((Work(Family.CONV, n), Work(Family.DEPTHWISE, 2 * n)), 9.0) for n in (100, 200)
    ]
    with pytest.raises(ClusterError, match="do not tell conv, depthwise apart"):
        calibrate(both, 100_000_000)
    with pytest.raises(ClusterError, match="took time"):
        calibrate([], 100_000_000)
    odd = [
        Measurement((Work(Family.CONV, 100),), 10.0),
        Measurement((Work(Family.CONV, 100), Work(Family.DEPTHWISE, 100)), 5.0),
    ]
    with pytest.raises(ClusterError, match="contradict"):
        calibrate(odd, 100_000_000)


def test_known_cycles_times_one_factor():
    # At 100 MHz and 4 cycles 1,000 MACs take 40 us; measured are 80 and 160: p = 1/2 and 1/4,
    # f = (1/2 + 1/4) / (1/4 + 1/16) = 2.4.
    made = [Measurement((Work(Family.CONV, 1000),), us) for us in (80.0, 160.0)]
    found = scaled(made, 100_000_000, {family: CYCLES.of(family) for family in Family})
    assert found == pytest.approx({family: 2.4 * CYCLES.of(family) for family in Family})
    with pytest.raises(ClusterError, match="took time"):
        scaled([Measurement((), 9.0)], 100_000_000, {})


def test_work_of_a_graph_calibrates_it():
    work = tuple(w for n in GRAPH.nodes for w in work_of(n))
    # Stock operators: TFLM's own kernels.
    assert {w.family for w in work} == {Family.TFLM_CONV, *TFLM_BESIDE}
    macs = sum(w.amount for w in work if w.family is Family.TFLM_CONV)
    assert macs == 8 * 4 * (6 * 27 + 4 * 54)
