# SPDX-License-Identifier: Apache-2.0
"""What the default policy decides, what users can force, and what it keeps to."""

from __future__ import annotations

import math

import pytest

from models.mobilenet_v2 import mobilenet_v2
from models.tiny import NETWORKS
from tests.splits import tiny, tiny_split
from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.ops import rule_of
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.spec import NodeSplit, Way
from tflsplit.plan.wishes import RUN_WAYS, Wishes, is_weighted, way_of, weight_bytes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.split.devices import constant_bytes


def weighted(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if is_weighted(node)]


def possible(node: Node) -> set[Way]:
    return {way_of(factor) for factor in rule_of(node).factors(node) if factor.size > 1}


def test_weighted_layers_are_those_with_a_matrix_of_their_own():
    ops = {node.op for name in NETWORKS for node in weighted(tiny(name))}
    assert ops == {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}


@pytest.mark.parametrize("name", NETWORKS)
def test_one_device_gets_everything_whole(name: str):
    assert {s.way for s in choose_plan(tiny(name), Wishes(1)).splits} == {Way.WHOLE}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("split", RUN_WAYS)
def test_every_weighted_layer_that_can_is_split_as_forced(name: str, split: str):
    graph = tiny(name)
    plan = choose_plan(graph, Wishes(3, split=split))
    for node in weighted(graph):
        way = plan.by_node()[node.name].way
        if possible(node) & set(RUN_WAYS[split]):
            assert way in RUN_WAYS[split]
            assert plan.reasons[node.name] == f"split={split}"
        else:
            assert way in possible(node)
            assert "takes the cheapest other way" in plan.reasons[node.name]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("split", ["auto", *RUN_WAYS])
def test_every_weighted_layer_is_split_and_every_decision_has_a_reason(name: str, split: str):
    graph = tiny(name)
    plan = choose_plan(graph, Wishes(4, split=split))
    assert set(plan.reasons) == {node.name for node in graph.nodes}
    assert all(plan.reasons.values())
    for node in weighted(graph):
        choice = plan.by_node()[node.name]
        assert choice.factor
        sizes = {f.name: f.size for f in rule_of(node).factors(node)}
        ranks = [choice.share(rank).values() for rank in range(4)]
        parts = [spans for spans in ranks if all(start < stop for start, stop in spans)]
        assert len(parts) == min(math.prod(sizes[name] for name in choice.factors), 4)


@pytest.mark.parametrize(
    "way", [w for w in Way if w not in (Way.OTHER, Way.BATCH)], ids=lambda way: way.value
)
def test_a_layer_is_split_as_forced_and_others_as_before(way: Way):
    graph = tiny("mobilenet")
    others = {Way.REPLICATED, Way.WHOLE, Way.GRID}
    node = next(n for n in weighted(graph) if way in possible(n) | others)
    plan = choose_plan(graph, Wishes(4, layers={node.name: way}))
    assert plan.by_node()[node.name].way is way
    assert plan.reasons[node.name] == "forced for this layer"
    assert list(plan.reasons.values()).count("forced for this layer") == 1


def test_what_cannot_be_forced_is_refused_with_what_can():
    graph = tiny("mobilenet")
    depthwise = next(node for node in graph.nodes if node.op == "DEPTHWISE_CONV_2D")
    with pytest.raises(PlanError) as caught:
        choose_plan(graph, Wishes(3, layers={depthwise.name: Way.IN_CHANNELS}))
    assert str(caught.value) == (
        f"DEPTHWISE_CONV_2D {depthwise.name!r} cannot be split by in_channels; it can be by: "
        "channels, columns, replicated, rows, whole"
    )


def test_a_layer_that_is_not_there():
    with pytest.raises(PlanError, match=r"'nowhere'.*inspect` lists them"):
        choose_plan(tiny("resnet"), Wishes(2, layers={"nowhere": Way.ROWS}))


def test_stock_kernels_have_no_partial_sums():
    graph = tiny("resnet")
    with pytest.raises(PlanError, match="leave out stock-kernels or choose another split"):
        choose_plan(graph, Wishes(2, split="in_channels", stock_kernels=True))
    name = graph.nodes[0].name
    with pytest.raises(PlanError, match=f"{name!r}: stock kernels cannot return int32"):
        choose_plan(graph, Wishes(2, layers={name: Way.IN_CHANNELS}, stock_kernels=True))
    for split in ("auto", "channels"):
        plan = choose_plan(graph, Wishes(2, split=split, stock_kernels=True))
        assert Way.IN_CHANNELS not in {s.way for s in plan.splits}


@pytest.mark.parametrize("number", [0, -1, 65, 1000])
def test_how_many_devices_there_may_be(number: int):
    with pytest.raises(PlanError, match="the number of devices must be 1 to 64"):
        split_model(tiny("resnet"), Wishes(number))


def rows(plan_splits: tuple[NodeSplit, ...], nodes: list[Node]) -> set[str]:
    names = {node.name for node in nodes}
    return {s.node for s in plan_splits if s.node in names and s.way in (Way.ROWS, Way.COLUMNS)}


def test_weights_limit_decides_how_many_layers_get_rows():
    """Each layer that gets rows puts all its weights on every device."""
    graph = tiny("resnet")
    nodes = weighted(graph)
    total = sum(map(weight_bytes, nodes))
    counts = []
    for limit in (0.0, 0.3, 0.5, 1.0):
        plan = choose_plan(graph, Wishes(4, weights_limit=limit))
        by_rows = rows(plan.splits, nodes)
        counts.append(len(by_rows))
        repeated = sum(weight_bytes(node) for node in nodes if node.name in by_rows)
        assert not by_rows or repeated + (total - repeated) / 4 <= limit * total
    assert counts[0] == 0
    assert counts == sorted(counts)
    maps = [node for node in nodes if len(node.output.shape) == 4]
    assert counts[-1] == len(maps)


def test_larger_maps_get_rows_first():
    graph = tiny("resnet")
    by_rows = rows(choose_plan(graph, Wishes(4, weights_limit=0.4)).splits, weighted(graph))
    sizes = {n.name: n.output.shape[1] for n in weighted(graph) if len(n.output.shape) == 4}
    assert by_rows
    assert min(sizes[name] for name in by_rows) >= max(
        size for name, size in sizes.items() if name not in by_rows
    )


def test_channels_stay_local_through_a_depthwise_convolution():
    """Expanded by output channels, filtered by the same channels: nothing moves between."""
    graph = tiny("mobilenet")
    plan = choose_plan(graph, Wishes(4, split="channels"))
    depthwise = [n for n in graph.nodes if n.op == "DEPTHWISE_CONV_2D"]
    for node in depthwise[1:]:
        before = next(n for n in graph.nodes if n.output is node.input(0))
        made, read = plan.by_node()[before.name], plan.by_node()[node.name]
        assert (made.way, read.way) == (Way.OUT_CHANNELS, Way.CHANNELS)
        assert made.bounds == read.bounds


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_come_out_distributed(name: str):
    """No device holds more than its share and what rows are allowed to repeat."""
    split = tiny_split(name, 8)
    nodes = weighted(split.whole)
    total = sum(map(weight_bytes, nodes))
    # Channels cannot be cut finer than one by one: a rank may get a channel more than its share.
    finest = sum(weight_bytes(node) / max(1, node.output.shape[-1]) for node in nodes)
    for device in split.devices:
        kept = [v for v in device.graph.constants() if v.name.endswith(("/weights", "/bias"))]
        assert sum(v.size_bytes for v in kept) <= 0.24 * total + finest


def test_mobilenet_v2_on_eight_devices_has_its_weights_and_its_activations_distributed():
    """The first issue's numbers: a quarter of the weights, and 250 KB of live activations."""
    split = split_model(mobilenet_v2(), Wishes(8))
    whole_bytes = constant_bytes(split.whole)
    assert whole_bytes > 3_400_000
    assert peak_live_bytes(split.whole) > 1_400_000
    for device in split.devices:
        assert 4 * constant_bytes(device.graph) <= whole_bytes
        assert peak_live_bytes(device.graph) < 250_000


def test_an_input_that_lies_on_one_device_does_not_draw_the_layer_there():
    """Summing where the operand is would move no byte, and put all weights on that device."""
    graph = tiny("resnet")
    first, second = graph.nodes[:2]
    plan = choose_plan(graph, Wishes(4, split="in_channels", layers={first.name: Way.WHOLE}))
    assert plan.by_node()[first.name].way is Way.WHOLE
    split = plan.by_node()[second.name]
    assert (split.way, split.bounds) == (Way.IN_CHANNELS, (0, 2, 4, 6, 8))
