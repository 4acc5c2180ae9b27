# SPDX-License-Identifier: Apache-2.0
"""All devices in one process: outputs, bytes, several inferences, and waiting for each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.tiny import NETWORKS
from tests.splits import WAYS, compared, needs_litert, needs_tflm, tiny_split
from tflsplit.bundle.plan_json import traffic_bytes
from tflsplit.errors import InternalError
from tflsplit.ir import Graph
from tflsplit.rewriting.rewrite import Split
from tflsplit.runtime.engines import TflmProgram, engine
from tflsplit.runtime.local import LocalCluster, assemble, scatter
from tflsplit.split.devices import DeviceGraph, tensor_labels
from tflsplit.verify import Case, make_cases
from tflsplit.wire.custom_ops import RECV, SEND

pytestmark = needs_tflm


def cases_of(split: Split, count: int) -> list[Case]:
    return list(make_cases(split.whole, count, seed=5))[3:]


def cluster_of(split: Split) -> LocalCluster:
    return LocalCluster(split.devices, engine("tflm")[1])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("ways", ["auto", "in_channels"])
def test_bytes_are_those_of_the_graphs(name: str, ways: str):
    split = tiny_split(name, 3, ways)
    cluster = cluster_of(split)
    for case in cases_of(split, 2):
        cluster.infer(case.inputs)
        for device, part in zip(cluster.devices, split.devices, strict=True):
            assert (device.sent_bytes, device.received_bytes) == traffic_bytes(part.graph)
    sent = sum(device.sent_bytes for device in cluster.devices)
    assert sent == sum(device.received_bytes for device in cluster.devices)
    assert sent > 0


@pytest.mark.parametrize("name", ["temporal", "unet"])
def test_assembled_outputs_are_the_unsplit_models(name: str):
    split = tiny_split(name, 3)
    cluster = cluster_of(split)
    whole = TflmProgram(split.whole)
    labels = tensor_labels(split.whole)
    for case in cases_of(split, 3):
        cluster.infer(case.inputs)
        found = assemble(
            split.whole, labels, split.devices, [device.outputs for device in cluster.devices]
        )
        expected = whole.run([case.inputs[labels[v]] for v in split.whole.inputs])
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_scatter_gives_each_device_its_rows():
    split = tiny_split("resnet", 3, "rows")
    whole = np.arange(24 * 24 * 3, dtype=np.int64).astype(np.int8).reshape(1, 24, 24, 3)
    for part in split.devices:
        (array,) = scatter(part, {"input_0": whole})
        start, stop = part.shards["input_0"].box.intervals[1]
        assert stop - start < 24
        np.testing.assert_array_equal(array, whole[:, start:stop])
        assert array.flags["C_CONTIGUOUS"]


def without_sends(part: DeviceGraph) -> DeviceGraph:
    graph = part.graph
    nodes = [node for node in graph.nodes if node.op != SEND]
    return replace(part, graph=Graph(graph.name, graph.inputs, graph.outputs, nodes))


def test_waiting_for_each_other_ends_with_a_word():
    split = tiny_split("resnet", 3, "rows")
    assert any(node.op == RECV for node in split.devices[1].graph.nodes)
    devices = [without_sends(p) if p.rank == 0 else p for p in split.devices]
    cluster = LocalCluster(devices, engine("tflm")[1])
    (case,) = cases_of(split, 1)
    with pytest.raises(InternalError, match=r"ranks \[.*1.*\] wait for each other"):
        cluster.infer(case.inputs)


@needs_litert
@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("name", NETWORKS)
def test_split_and_unsplit_are_equal_on_litert_too(name: str, ways: str):
    verdict = compared(tiny_split(name, 3, ways), runs=1, engine_name="litert")
    assert verdict.passed, verdict
    assert verdict.engine == "litert"
