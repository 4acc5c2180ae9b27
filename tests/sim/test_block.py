# SPDX-License-Identifier: Apache-2.0
"""Blocks that compute while their input arrives: the order of their rows, and what that saves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.splits import tiny
from tflsplit.cluster import Cluster, default_cluster
from tflsplit.passes.prepare import prepare
from tflsplit.plan.cost import local_node_us
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.sim import simulate
from tflsplit.sim.block import BlockRow, BlockRows, Part, Rows, rows_of, run_block
from tflsplit.sim.program import Compute, program_of
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.lower import lower
from tflsplit.wire import custom_ops as wire


def order_of(block: BlockRows, here: set[int]) -> list[str]:
    """What a block does if only these rows of x are here, and others come when waited for."""
    done: list[str] = []

    def is_here(rows: Rows) -> bool:
        return here.issuperset(range(*rows))

    def wait(rows: Rows) -> Iterator[None]:
        if not is_here(rows):
            done.append(f"wait {rows[0]}:{rows[1]}")
            here.update(range(*rows))
        yield

    def run(us: float) -> Iterator[None]:
        done.append(f"{us:g}")
        yield

    for _ in run_block(block, is_here, wait, run):  # type: ignore[arg-type]
        pass
    return done


def test_rows_that_are_here_are_expanded_before_those_that_come():
    parts = [Part((row, row + 1), 10.0 + row) for row in range(4)]
    rows = BlockRow(tuple(parts[:3]), 1.0), BlockRow(tuple(parts[3:]), 2.0)
    block = BlockRows(rows, 4)
    assert order_of(block, {1, 2}) == ["11", "12", "wait 0:1", "10", "1", "wait 3:4", "13", "2"]
    assert order_of(block, {0, 1, 2, 3}) == ["10", "11", "12", "1", "13", "2"]


def test_rows_that_no_window_reads_are_waited_for_at_the_end():
    block = BlockRows((BlockRow((Part((0, 1), 5.0),), 0.0),), 2)
    assert order_of(block, {0}) == ["5", "wait 0:2"]


def mobilenet(overlap: bool, world_size: int = 4) -> tuple[DeviceGraph, ...]:
    graph = prepare(tiny("mobilenet"))
    plan = choose_plan(graph, Wishes(world_size, "rows", fuse=True, weights_limit=1.0))
    return lower(graph, replace(plan, overlap=overlap))


def test_all_rows_together_take_what_the_block_takes():
    hardware = default_cluster(4).devices[0]
    for device in mobilenet(True):
        for node in device.graph.nodes:
            if node.op == wire.FUSED_BLOCK:
                rows = rows_of(node, hardware).rows
                us = sum(row.us + sum(part.us for part in row.parts) for row in rows)
                assert us == pytest.approx(local_node_us(hardware, node))


def test_overlap_saves_time_and_changes_no_message():
    cluster = default_cluster(4)
    early, plain = simulate(mobilenet(True), cluster), simulate(mobilenet(False), cluster)
    assert early.latency_us < plain.latency_us
    for edge, count in early.wires.items():
        other = plain.wires[edge]
        assert (count.data_frames, count.grant_frames) == (other.data_frames, other.grant_frames)
        assert count.payload_bytes == other.payload_bytes


def without_timer(cluster: Cluster) -> Cluster:
    return replace(cluster, background_poll_us=0.0)


def test_without_a_timer_an_early_recv_is_like_any_other():
    cluster = without_timer(default_cluster(4))
    early, plain = simulate(mobilenet(True), cluster), simulate(mobilenet(False), cluster)
    assert early.latency_us == pytest.approx(plain.latency_us, rel=0.02)


def test_only_the_block_behind_an_early_recv_goes_by_rows():
    hardware = default_cluster(4).devices[0]
    for device, other in zip(mobilenet(True), mobilenet(False), strict=True):
        steps = program_of(device, hardware).steps
        blocks = [step for step in steps if isinstance(step, Compute) and step.block is not None]
        assert blocks
        assert all(step.landings for step in blocks)
        plain = program_of(other, hardware).steps
        assert not any(isinstance(step, Compute) and step.block for step in plain)
