# SPDX-License-Identifier: Apache-2.0
"""Halos are recomputed where that moves fewer bytes for few multiplications, and only there."""

import numpy as np
import pytest

from models.builder import NONE
from models.layers import LayerBuilder
from models.tiny import NETWORKS
from tests.plan.networks import expansion, out_channels, plan_of, rows
from tests.splits import tiny
from tflsplit.check.device_graphs import check_devices
from tflsplit.ir import Graph, Node
from tflsplit.ops import rule_of
from tflsplit.plan import halos
from tflsplit.plan.halos import recompute_halos
from tflsplit.plan.layout import lay_out
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.spec import NodeSplit, Plan
from tflsplit.plan.transfers import schedule
from tflsplit.plan.wishes import Wishes
from tflsplit.split.partition import partition


def by_rows(graph: Graph) -> Plan:
    return plan_of(2, *(rows(node, 0, 4, 8) for node in graph.nodes))


def moved_bytes(graph: Graph, plan: Plan) -> int:
    return sum(t.payload_bytes for t in schedule(lay_out(graph, plan)).transfers())


def extents(plan: Plan) -> list[tuple[tuple[int, int], ...]]:
    return [split.extents for split in plan.splits]


WIDER = ((0, 5), (3, 8))


def test_the_halo_of_an_expansion_is_recomputed_up_to_what_the_host_sends():
    """Received: a row of 4 x 24 bytes each way.  Recomputed: nothing, the host sends a row more."""
    graph = expansion()
    plan = by_rows(graph)
    assert moved_bytes(graph, plan) == 2 * 4 * 24
    found = recompute_halos(graph, plan)
    assert extents(found) == [WIDER, WIDER, (), ()]
    assert moved_bytes(graph, found) == 0


# One row more on each rank: 2 rows x 4 columns x 4 x 24 multiplications, to save 2 x 4 x 24 bytes
# for 2 x 4 x 4.
MACS, SAVED = 2 * 4 * 4 * 24, 2 * 4 * (24 - 4)


@pytest.mark.parametrize(("macs_per_byte", "recomputed"), [(MACS / SAVED, True), (4.79, False)])
def test_recomputing_has_its_price(
    macs_per_byte: float, recomputed: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(halos, "MACS_PER_BYTE", macs_per_byte)
    graph = expansion()
    found = recompute_halos(graph, by_rows(graph))
    assert extents(found)[1] == (WIDER if recomputed else ())


def test_a_contraction_is_not_recomputed():
    """Its halo is thinner than that of its input: recomputing would move more."""
    graph = expansion(wide=2)
    plan = by_rows(graph)
    assert moved_bytes(graph, plan) == 2 * 4 * 2
    found = recompute_halos(graph, plan)
    # 4 -> 4 channels cost the host's row only, but the 4 -> 2 before it would move 4 for 2.
    assert extents(found)[1] == ()
    assert moved_bytes(graph, found) == 2 * 4 * 2


def two_blocks() -> Graph:
    """A residual block, then another expansion whose halo would have to pass the ADD."""
    net = LayerBuilder("blocks", 3, images=2)
    x = net.conv(net.input((8, 4, 3)), 4)
    inner = net.conv(net.depthwise(net.conv(x, 24, (1, 1))), 4, (1, 1), activation=NONE)
    x = net.add(inner, x)
    return net.finish(net.depthwise(net.conv(x, 24, (1, 1))))


def test_a_halo_is_not_passed_up_through_a_residual():
    """Rows of the sum are 4 x 4 bytes; of its two operands twice that."""
    graph = two_blocks()
    names = [node.op for node in graph.nodes]
    add = names.index("ADD")
    found = recompute_halos(graph, by_rows(graph))
    assert extents(found)[add + 1] == WIDER  # the expansion behind it is
    assert extents(found)[add] == ()
    assert extents(found)[add - 1] == ()
    assert extents(found)[1] == WIDER
    moved = list(schedule(lay_out(graph, found)).transfers())
    assert {t.value for t in moved} == {graph.nodes[add].output}
    assert sum(t.payload_bytes for t in moved) == 2 * 4 * 4


def test_channels_have_no_halo():
    graph = expansion()
    first, wide, depthwise, last = graph.nodes
    plan = plan_of(
        2,
        rows(first, 0, 4, 8),
        out_channels(wide, 0, 12, 24),
        rows(depthwise, 0, 4, 8),
        rows(last, 0, 4, 8),
    )
    assert extents(recompute_halos(graph, plan))[2:] == [(), ()]


@pytest.mark.parametrize("split", ["auto", "rows"])
@pytest.mark.parametrize("name", NETWORKS)
def test_recomputing_never_moves_more(name: str, split: str, monkeypatch: pytest.MonkeyPatch):
    graph = tiny(name)
    chosen = choose_plan(graph, Wishes(4, split=split))
    monkeypatch.setattr("tflsplit.plan.policy.recompute_halos", lambda graph, plan, always: plan)
    plain = choose_plan(graph, Wishes(4, split=split))
    assert not any(extents(plain))
    assert [s.bounds for s in plain.splits] == [s.bounds for s in chosen.splits]
    if any(extents(chosen)):
        assert moved_bytes(graph, chosen) < moved_bytes(graph, plain)
    else:
        assert chosen.splits == plain.splits
    for node, choice in zip(graph.nodes, chosen.splits, strict=True):
        if choice.extents:
            check_extents(node, choice)


def check_extents(node: Node, choice: NodeSplit) -> None:
    """A halo repeats no weights, leaves nothing out and at most doubles the work."""
    factor = next(f for f in rule_of(node).factors(node) if f.name == choice.factor)
    assert not any(node.input(index).is_constant for index in factor.operands)
    assert sum(stop - start for start, stop in choice.extents) <= 2 * factor.size
    computed = {index for extent in choice.extents for index in range(*extent)}
    assert computed == set(range(factor.size))


def strided(returned: bool = False) -> Graph:
    """An expansion of 10 rows before a filter of stride 2: the output's rows are 0..3 and 3..5."""
    net = LayerBuilder("strided", 4, images=2)
    wide = net.conv(net.conv(net.input((10, 4, 3)), 4), 24, (1, 1))
    last = net.depthwise(wide, (3, 3), (2, 2))
    return net.finish(last, wide) if returned else net.finish(last)


def by_rows_strided(graph: Graph, first: int = 5) -> Plan:
    return plan_of(
        2, *(rows(n, 0, first, 10) for n in graph.nodes[:2]), rows(graph.nodes[2], 0, 3, 5)
    )


def test_what_only_the_neighbour_reads_is_left_to_the_neighbour():
    """SAME pads 10 rows for stride 2 at the end only: outputs 0:3 read 0:7, outputs 3:5 6:10."""
    graph = strided()
    found = recompute_halos(graph, by_rows_strided(graph))
    assert extents(found)[1] == ((0, 7), (6, 10))  # rank 1 would have computed its row 5 in vain
    assert all(n.op != "SLICE" for device in partition(graph, found) for n in device.graph.nodes)


def test_what_is_also_a_result_of_the_model_is_computed_by_its_owner():
    graph = strided(returned=True)
    found = recompute_halos(graph, by_rows_strided(graph))
    assert extents(found)[1] == ((0, 7), (5, 10))


def test_some_of_the_tiny_networks_have_halos_that_are_worth_it():
    found = [name for name in NETWORKS if any(extents(choose_plan(tiny(name), Wishes(4))))]
    assert "mobilenet" in found


def test_a_cheap_layer_that_all_must_see_is_gathered_not_repeated():
    """Few multiplications, many readers: repeating it everywhere would undo the split."""
    graph = tiny("autoencoder")
    plan = choose_plan(graph, Wishes(4))
    narrow = graph.nodes[3]
    assert narrow.input(1).shape == (64, 8)
    assert plan.by_node()[narrow.name].bounds == (0, 16, 32, 48, 64)
    assert not any(extents(plan))


def test_a_rank_without_a_share_computes_all_that_it_reads_if_nothing_can_come():
    """Rank 1 has no row of the expansion, but two of what the depthwise layer makes of it."""
    graph = expansion()
    expand = graph.nodes[1]
    idle, busy = (0, 4, 4, 8), (0, 3, 5, 8)
    bounds = (idle, idle, busy, busy)
    plan = plan_of(3, *(rows(n, *b) for n, b in zip(graph.nodes, bounds, strict=True)))
    found = recompute_halos(graph, plan, always=[expand.name])
    assert found.by_node()[expand.name].extents == ((0, 4), (2, 6), (4, 8))
    assert check_devices(graph, partition(graph, found)) == []


@pytest.mark.parametrize("always", [False, True])
def test_a_rank_that_reads_nothing_computes_nothing_in_vain(always: bool):
    """Rank 1 has rows 4:6 of 10 and none of the 5 behind them: ranks 0 and 2 make its rows, too."""
    graph = strided()
    first, second, last = graph.nodes
    plan = plan_of(3, *(rows(n, 0, 4, 6, 10) for n in (first, second)), rows(last, 0, 2, 2, 5))
    found = recompute_halos(graph, plan, always=[second.name] if always else ())
    (_, stop), (a, b), (start, _) = found.by_node()[second.name].extents
    assert a == b
    assert stop >= start
    devices = partition(graph, found)
    assert check_devices(graph, devices) == []
    made = {value for node in devices[1].graph.nodes for value in node.outputs}
    read = {value for node in devices[1].graph.nodes for value in node.operands}
    assert made <= read | set(devices[1].graph.outputs)


def test_rows_that_a_slice_leaves_out_are_computed_by_their_owner_whatever_else_is():
    """How a U-Net of odd size crops what TRANSPOSE_CONV makes: nobody reads rows 8:10."""
    net = LayerBuilder("cropped", 4, images=2)
    wide = net.conv(net.conv(net.input((10, 4, 3)), 4), 8, (1, 1))
    numbers = (net.constant(np.array(n, np.int32)) for n in ([0, 0, 0, 0], [1, 8, 4, 8]))
    crop = net.emit("SLICE", [wide.value, *numbers], wide.samples[:, :8], wide.quantization)
    graph = net.finish(net.conv(crop, 4))
    expand, slices = graph.nodes[1:3]
    cuts = {node: (0, 4, 8) if node.output.shape[1] == 8 else (0, 5, 10) for node in graph.nodes}
    plan = plan_of(2, *(rows(node, *cuts[node]) for node in graph.nodes))
    found = recompute_halos(graph, plan, always=[expand.name, slices.name])
    assert found.by_node()[expand.name].extents == ((0, 5), (3, 10))
    assert check_devices(graph, partition(graph, found)) == []
