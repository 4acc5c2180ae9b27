# SPDX-License-Identifier: Apache-2.0
"""Sums of 16 bits that are added are found to be too many, or to be none of int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from models.layers import LayerBuilder
from tflsplit.check.device_graphs import check_devices
from tflsplit.check.short_sums import check_short_sums
from tflsplit.ir import DType, Graph
from tflsplit.ops.own import mean_sums
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.partition import partition
from tflsplit.wire.custom_ops import PARTIAL_SUM, RECV


def mean_of(rows: int, columns: int) -> Graph:
    """A convolution and the MEAN of its map."""
    net = LayerBuilder("mean", 1, images=2)
    return net.finish(net.mean(net.conv(net.input((rows, columns, 3)), 6)))


def by_rows(graph: Graph) -> tuple[DeviceGraph, ...]:
    """On three devices; each adds up what it has."""
    return partition(graph, choose_plan(graph, Wishes(3, "rows")))


def sums_of(devices: Sequence[DeviceGraph]) -> set[DType]:
    """What the RECVs make that add."""
    return {
        node.output.dtype
        for device in devices
        for node in device.graph.nodes
        if node.op == RECV and node.attrs.integer("sum")
    }


@pytest.mark.parametrize(("rows", "columns", "dtype"), [(16, 8, DType.INT16), (3, 43, DType.INT32)])
def test_as_many_as_fit(rows: int, columns: int, dtype: DType):
    graph = mean_of(rows, columns)
    devices = by_rows(graph)
    assert sums_of(devices) == {dtype}
    assert check_devices(graph, devices) == []


def test_more_than_fit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mean_sums, "MOST_SHORT_SUMMED", 129)
    graph = mean_of(3, 43)
    devices = by_rows(graph)
    problems = [text for text in check_devices(graph, devices) if "adds up" in text]
    assert len(problems) == 3
    assert problems[0].startswith("rank 0: RECV ")
    assert "adds up 129 values, but int16 holds 128 values of int8 for sure" in problems[0]


def test_what_is_no_sum():
    first, *others = by_rows(mean_of(16, 8))
    nodes = [node for node in first.graph.nodes if node.op != PARTIAL_SUM]
    devices = [replace(first, graph=replace(first.graph, nodes=nodes)), *others]
    assert [" adds up no sums of int8, " in text for text in check_short_sums(devices)] == [
        True
    ] * 3
