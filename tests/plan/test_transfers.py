# SPDX-License-Identifier: Apache-2.0
"""Resharding: the very boxes of every collective, and that no byte too many moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.layers import LayerBuilder
from tests.plan.networks import (
    box,
    in_channels,
    out_channels,
    plan_of,
    replicated,
    rows,
    two_convolutions,
    whole,
)
from tests.splits import bounds, networks, plans
from tflsplit.ir import Graph, Value
from tflsplit.ops import Box, rule_of
from tflsplit.ops.region import is_partition
from tflsplit.plan import transfers
from tflsplit.plan.layout import Layouts, Read, Step, lay_out
from tflsplit.plan.spec import NodeSplit, Plan, Way, without_extents
from tflsplit.plan.transfers import Assembly, Schedule, Transfer, gather_groups, schedule

FIRST, SECOND = two_convolutions().nodes
POINTWISE = two_convolutions((1, 1))


def scheduled(graph: Graph, plan: Plan) -> Schedule:
    return schedule(lay_out(graph, plan))


Sent = tuple[int, dict[int, Box]]


def sends(found: Schedule, position: int) -> list[Sent]:
    """(source, box by destination) of every SEND before a node."""
    return [sent(transfer) for transfer in found.sends[position, 0, 0]]


def sent(transfer: Transfer) -> Sent:
    return transfer.source, dict(zip(transfer.to, transfer.boxes, strict=True))


def received(assembly: Assembly) -> list[tuple[int, Box]]:
    return [(source, part) for _, source, part in assembly.pieces]


def test_all_gather():
    """Rows to out_channels: every rank gets every other rank's rows, each sent once to all."""
    found = scheduled(
        two_convolutions(), plan_of(3, rows(FIRST, 0, 3, 6, 8), out_channels(SECOND, 0, 1, 2, 4))
    )
    parts = [box(0, 1, a, b, 0, 4, 0, 6) for a, b in ((0, 3), (3, 6), (6, 8))]
    assert sends(found, 1) == [(r, {to: parts[r] for to in range(3) if to != r}) for r in range(3)]
    assert sends(found, 0) == []
    for rank, assembly in enumerate(found.assemblies[1, 0, 0]):
        assert (assembly.rank, assembly.box) == (rank, box(0, 1, 0, 8, 0, 4, 0, 6))
        assert assembly.local == parts[rank]
        assert received(assembly) == [(r, parts[r]) for r in range(3) if r != rank]
    assert sum(t.payload_bytes for t in found.transfers()) == 2 * 8 * 4 * 6


def test_halo_exchange():
    """Rows to rows: one row of each neighbour for a 3x3 window."""
    found = scheduled(
        two_convolutions(), plan_of(3, rows(FIRST, 0, 3, 6, 8), rows(SECOND, 0, 3, 6, 8))
    )
    assert sends(found, 1) == [
        (0, {1: box(0, 1, 2, 3, 0, 4, 0, 6)}),
        (1, {0: box(0, 1, 3, 4, 0, 4, 0, 6), 2: box(0, 1, 5, 6, 0, 4, 0, 6)}),
        (2, {1: box(0, 1, 6, 7, 0, 4, 0, 6)}),
    ]
    middle = found.assemblies[1, 0, 0][1]
    assert middle.box == box(0, 1, 2, 7, 0, 4, 0, 6)
    assert middle.local == box(0, 1, 3, 6, 0, 4, 0, 6)
    assert [source for source, _ in received(middle)] == [0, 2]


def test_same_rows_of_a_pointwise_convolution_move_nothing():
    first, second = POINTWISE.nodes
    found = scheduled(POINTWISE, plan_of(2, rows(first, 0, 4, 8), rows(second, 0, 4, 8)))
    assert list(found.transfers()) == []
    assert not any(found.assemblies.values())


def test_gather():
    """Channels to one rank."""
    found = scheduled(
        two_convolutions(), plan_of(3, out_channels(FIRST, 0, 2, 2, 6), whole(SECOND, 1))
    )
    left, right = box(0, 1, 0, 8, 0, 4, 0, 2), box(0, 1, 0, 8, 0, 4, 2, 6)
    assert sends(found, 1) == [(0, {1: left}), (2, {1: right})]
    (assembly,) = found.assemblies[1, 0, 0]
    assert assembly.rank == 1
    assert assembly.local.is_empty
    assert received(assembly) == [(0, left), (2, right)]


def test_broadcast():
    """One rank to all: one SEND with two destinations."""
    found = scheduled(two_convolutions(), plan_of(3, whole(FIRST, 1), replicated(SECOND)))
    everything = box(0, 1, 0, 8, 0, 4, 0, 6)
    assert sends(found, 1) == [(1, {0: everything, 2: everything})]
    assert [a.rank for a in found.assemblies[1, 0, 0]] == [0, 2]


def test_scatter():
    """One rank to rows: each of the others gets its rows and their halo."""
    found = scheduled(two_convolutions(), plan_of(2, whole(FIRST, 0), rows(SECOND, 0, 6, 8)))
    assert sends(found, 1) == [(0, {1: box(0, 1, 5, 8, 0, 4, 0, 6)})]


def test_rows_to_columns_is_all_to_all():
    columns = NodeSplit(SECOND.name, Way.COLUMNS, "columns", (0, 2, 4))
    found = scheduled(two_convolutions(), plan_of(2, rows(FIRST, 0, 5, 8), columns))
    assert sends(found, 1) == [
        (0, {1: box(0, 1, 0, 5, 1, 4, 0, 6)}),
        (1, {0: box(0, 1, 5, 8, 0, 3, 0, 6)}),
    ]


def test_reduce_scatter():
    """Partial sums, four bytes each: every rank gets its own channels of every other's."""
    summed = in_channels(SECOND, (0, 2, 4, 6), (0, 1, 2, 4))
    found = scheduled(
        two_convolutions(),
        plan_of(3, out_channels(FIRST, 0, 2, 4, 6), summed),
    )
    assert sends(found, 1) == []
    kept = [box(0, 1, 0, 8, 0, 4, a, b) for a, b in ((0, 1), (1, 2), (2, 4))]
    assert [sent(transfer) for transfer in found.partial_sends[1, 0]] == [
        (source, {rank: kept[rank] for rank in range(3) if rank != source}) for source in range(3)
    ]
    assert {transfer.itemsize for transfer in found.partial_sends[1, 0]} == {4}
    for rank, sums in enumerate(found.sums[1, 0]):
        assert (sums.rank, sums.box, sums.local) == (rank, kept[rank], kept[rank])
        assert received(sums) == [(r, kept[rank]) for r in range(3) if r != rank]
    assert sum(t.payload_bytes for t in found.transfers()) == 2 * 4 * (8 * 4 * 4)


def test_a_reduction_in_tiles_adds_up_some_rows_at_a_time():
    """The same boxes, cut along the rows; each tile's sums move before the next are made."""
    summed = replace(in_channels(SECOND, (0, 3, 6), (0, 2, 4)), sum_tiles=3)
    found = scheduled(two_convolutions(), plan_of(2, out_channels(FIRST, 0, 3, 6), summed))
    for tile, (start, stop) in enumerate([(0, 3), (3, 5), (5, 8)]):
        kept = [box(0, 1, start, stop, 0, 4, 2 * rank, 2 * rank + 2) for rank in range(2)]
        assert [sent(transfer) for transfer in found.partial_sends[1, tile]] == [
            (0, {1: kept[1]}),
            (1, {0: kept[0]}),
        ]
        assert [(a.rank, a.box, a.local) for a in found.sums[1, tile]] == [
            (rank, kept[rank], kept[rank]) for rank in range(2)
        ]
    assert sum(t.payload_bytes for t in found.transfers()) == 4 * (8 * 4 * 4)


def test_rows_are_gathered_in_tiles_by_those_that_have_them_not():
    """Each tile moves before it is computed with; a rank that has its rows only slices them."""
    first, second = POINTWISE.nodes
    tiled = replace(out_channels(second, 0, 2, 4), gather_tiles=3)
    found = scheduled(POINTWISE, plan_of(2, rows(first, 0, 4, 8), tiled))
    top, middle, bottom = (box(0, 1, a, b, 0, 4, 0, 6) for a, b in ((0, 3), (3, 5), (5, 8)))
    assert [sent(t) for t in found.sends[1, 0, 0]] == [(0, {1: top})]
    assert [sent(t) for t in found.sends[1, 1, 0]] == [
        (0, {1: middle.with_dim(1, (3, 4))}),
        (1, {0: middle.with_dim(1, (4, 5))}),
    ]
    assert [sent(t) for t in found.sends[1, 2, 0]] == [(1, {0: bottom})]
    boxes = [[(a.rank, a.box) for a in found.assemblies[1, tile, 0]] for tile in range(3)]
    assert boxes == [[(1, top)], [(0, middle), (1, middle)], [(0, bottom)]]
    assert [t.channel for t in found.transfers()] == list(range(4))


def test_channels_are_gathered_in_tiles_from_everybody():
    first, second = POINTWISE.nodes
    tiled = replace(out_channels(second, 0, 0, 4), gather_tiles=2)
    found = scheduled(POINTWISE, plan_of(2, out_channels(first, 0, 2, 6), tiled))
    for tile, (start, stop) in enumerate([(0, 4), (4, 8)]):
        part = box(0, 1, start, stop, 0, 4, 0, 2)
        assert [sent(t) for t in found.sends[1, tile, 0]] == [(0, {1: part})]


@given(st.data())
def test_tiles_of_a_pointwise_convolution_move_the_same_bytes(data: st.DataObject):
    """Its tiles' receptive fields are disjoint, whoever has them before.

    (Halos that were computed twice may be all that a tile needs, and not all that is needed.)
    """
    world_size = data.draw(st.integers(1, 5))
    first = without_extents(data.draw(plans(POINTWISE, world_size)).splits[0])
    plan = plan_of(world_size, first)
    second = POINTWISE.nodes[1]
    split = out_channels(second, *data.draw(bounds(4, world_size)))
    moved = {
        tiles: sum(
            t.payload_bytes
            for t in scheduled(
                POINTWISE,
                replace(plan, splits=(first, replace(split, gather_tiles=tiles))),
            ).transfers()
        )
        for tiles in (1, 2, 3, 8, 10)
    }
    assert len(set(moved.values())) == 1, moved


def test_a_reduction_on_ranks_that_add_or_keep_nothing():
    """Rank 0 adds but keeps nothing; rank 2 keeps but adds nothing."""
    summed = in_channels(SECOND, (0, 3, 6, 6), (0, 0, 2, 4))
    found = scheduled(
        two_convolutions(),
        plan_of(3, out_channels(FIRST, 0, 3, 6, 6), summed),
    )
    mine, last = box(0, 1, 0, 8, 0, 4, 0, 2), box(0, 1, 0, 8, 0, 4, 2, 4)
    assert [sent(transfer) for transfer in found.partial_sends[1, 0]] == [
        (0, {1: mine, 2: last}),
        (1, {2: last}),
    ]
    assert [(a.rank, a.local.is_empty) for a in found.sums[1, 0]] == [(1, False), (2, True)]


def test_channels_are_numbered_in_the_order_of_the_nodes():
    found = scheduled(
        two_convolutions(), plan_of(2, in_channels(FIRST, (0, 1, 3), (0, 3, 6)), replicated(SECOND))
    )
    assert [t.channel for t in found.partial_sends[0, 0]] == [0, 1]
    assert [t.channel for t in found.sends[1, 0, 0]] == [2, 3]


def test_several_boxes_of_one_tensor_before_one_node():
    """CONCATENATION of a tensor with itself: the middle rank reads its end and its beginning."""
    net = LayerBuilder("twice", 1, images=2)
    x = net.conv(net.input((2, 2, 3)), 6)
    graph = net.finish(net.concat(x, x))
    convolution, twice = graph.nodes
    channels = NodeSplit(twice.name, Way.CHANNELS, "channels", (0, 4, 8, 12))
    found = scheduled(graph, plan_of(3, whole(convolution, 0), channels))
    head, tail = box(0, 1, 0, 2, 0, 2, 0, 2), box(0, 1, 0, 2, 0, 2, 4, 6)
    rest = box(0, 1, 0, 2, 0, 2, 2, 6)
    assert sends(found, 1) == [(0, {1: tail, 2: rest}), (0, {1: head})]
    mine = [assembly for assembly in found.assemblies[1, 0, 0] if assembly.rank == 1]
    assert [assembly.box for assembly in mine] == [tail, head]


def test_reads_are_gathered_together_when_that_asks_for_nothing_more():
    top, middle, bottom = box(0, 1, 0, 3), box(0, 1, 2, 6), box(0, 1, 7, 9)
    nothing, first, later = Box.empty(2), (1, 0, 0), (4, 0, 0)

    def gathered(*reads: tuple[Step, Box], held: Box = nothing) -> list[tuple[Step, Box]]:
        return gather_groups([Read(*read) for read in reads], held)

    assert gathered((first, top), (later, top)) == [(first, top)]
    assert gathered((first, top), (later, middle)) == [(first, box(0, 1, 0, 6))]
    assert gathered((first, top), (later, bottom)) == [(first, top), (later, bottom)]
    upper = box(0, 1, 0, 4)
    assert gathered((first, top), (later, bottom), held=upper) == [(later, bottom)]
    assert gathered() == []


def test_a_gathered_group_holds_nothing_that_was_not_asked_for():
    wide, tall = box(0, 1, 0, 6), box(0, 4, 0, 2)
    reads = [Read((0, 0, 0), wide), Read((2, 0, 0), tall)]
    assert gather_groups(reads, Box.empty(2)) == [((0, 0, 0), wide), ((2, 0, 0), tall)]


def test_tiles_are_gathered_each_alone_unless_they_are_there():
    """Neither with each other nor with what others read later; but what is there is used."""
    top, bottom, everything = box(0, 4, 0, 6), box(4, 8, 0, 6), box(0, 8, 0, 6)
    first, second, later = (2, 0, 0), (2, 1, 0), (3, 0, 0)
    tiles = [Read(first, top, True), Read(second, bottom, True)]
    alone = [(first, top), (second, bottom)]
    nothing = Box.empty(2)
    assert gather_groups(tiles, nothing) == alone
    assert gather_groups(tiles, top) == alone[1:]
    before, after = Read((1, 0, 0), everything), Read(later, everything)
    assert gather_groups([before, *tiles], nothing) == [((1, 0, 0), everything)]
    assert gather_groups([*tiles, after], nothing) == [(later, everything), *alone]
    # An operand that is the same in every tile comes once; another node's tiles are gone by then.
    same = [Read(first, top, True), Read(second, top, True), Read(later, top, True)]
    assert gather_groups(same, nothing) == [(first, top), (later, top)]


def mask(shape: tuple[int, ...], *boxes: Box) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    result = np.zeros(shape, np.bool_)
    for part in boxes:
        if not part.is_empty:
            result[part.slices] = True
    return result


def check_assembly(layouts: Layouts, assembly: Assembly) -> None:
    """Local part and pieces fill the box once; each comes from the shard of its owner."""
    owned = layouts.owned[assembly.value]
    parts = [part for _, _, part in assembly.pieces]
    filled = [
        p.relative_to(assembly.box.origin) for p in (assembly.local, *parts) if not p.is_empty
    ]
    replicated_value = all(o == Box.whole(assembly.value.shape) for o in owned)
    assert not replicated_value, "a replicated tensor was moved"
    assert is_partition(filled, assembly.box.shape)
    assert owned[assembly.rank].contains(assembly.local)
    for _, source, part in assembly.pieces:
        assert source != assembly.rank
        assert owned[source].contains(part)


def asked_for(layouts: Layouts, value: Value, rank: int) -> int:
    """Elements that a rank reads, in boxes that it does not hold, and does not own itself."""
    held = layouts.held[value][rank]
    lacking = [r.box for r in layouts.reads[value][rank] if not held.contains(r.box)]
    needed = mask(value.shape, *lacking) & ~mask(value.shape, layouts.owned[value][rank])
    return int(needed.sum())


def lacking_of_streamed(layouts: Layouts, value: Value, rank: int) -> int:
    """Elements of a streamed tensor that a rank reads in any tile, and does not make itself."""
    parts = [
        box
        for shards in layouts.nodes
        for tile in shards.tiles
        for node, pieces in (*tile.inside, (shards.node, tile.pieces))
        for operand, box in zip(node.inputs, pieces[rank].operands, strict=True)
        if operand is value and box is not None
    ]
    needed = mask(value.shape, *parts) & ~mask(value.shape, *layouts.streamed[value][rank])
    return int(needed.sum())


def lower_bound(layouts: Layouts) -> int:
    total = 0
    for value in layouts.reads:
        for rank in range(layouts.world_size):
            total += asked_for(layouts, value, rank) * value.dtype.itemsize
    for value in layouts.streamed:
        for rank in range(layouts.world_size):
            total += lacking_of_streamed(layouts, value, rank) * value.dtype.itemsize
    for shards in layouts.nodes:
        if shards.is_reduction:
            adders = [rank for rank, piece in enumerate(shards.pieces) if not piece.is_empty]
            for rank in range(layouts.world_size):
                others = len([adder for adder in adders if adder != rank])
                itemsize = rule_of(shards.node).sums_dtype(shards.node).itemsize
                total += itemsize * others * shards.owned(rank)[0].size
    return total


@settings(max_examples=150)
@given(st.data())
def test_any_plan_moves_what_is_lacking_and_no_byte_more(data: st.DataObject):
    graph = data.draw(networks())
    check_moves(lay_out(graph, data.draw(plans(graph, data.draw(st.integers(1, 5))))))


def check_moves(layouts: Layouts) -> None:
    found = schedule(layouts)
    for assemblies in found.assemblies.values():
        for assembly in assemblies:
            check_assembly(layouts, assembly)
    moved = sum(t.payload_bytes for t in found.transfers())
    assert moved == lower_bound(layouts) + read_twice(layouts, found)
    channels = [t.channel for t in found.transfers()]
    assert sorted(channels) == list(range(len(channels)))


HALOS = lay_out(two_convolutions(), plan_of(3, rows(FIRST, 0, 3, 6, 8), rows(SECOND, 0, 3, 6, 8)))


def one_row_more(need: Box) -> Box:
    first, last = need.intervals[1]
    return need.with_dim(1, (max(0, first - 1), min(8, last + 1)))


def test_a_row_too_many_is_seen(monkeypatch: pytest.MonkeyPatch):
    check_moves(HALOS)
    forgetful = transfers._gathered.__wrapped__
    monkeypatch.setattr(transfers, "_gathered", forgetful)
    monkeypatch.setattr(
        "tflsplit.plan.transfers.gather_groups",
        lambda reads, held: [(at, one_row_more(b)) for at, b in gather_groups(reads, held)],
    )
    with pytest.raises(AssertionError, match="lower_bound"):
        check_moves(HALOS)


def test_a_piece_that_is_left_out_is_seen(monkeypatch: pytest.MonkeyPatch):
    def without_first_piece(*fields: Any) -> Assembly:
        made = Assembly(*fields)
        return replace(made, pieces=made.pieces[1:])

    monkeypatch.setattr("tflsplit.plan.transfers.Assembly", without_first_piece)
    with pytest.raises(AssertionError, match="is_partition"):
        check_moves(HALOS)


def read_twice(layouts: Layouts, found: Schedule) -> int:
    """Bytes in the overlap of two boxes that one rank gathers of one tensor at two times."""
    boxes: dict[tuple[Value, int], list[Box]] = {}
    for assemblies in found.assemblies.values():
        for a in assemblies:
            boxes.setdefault((a.value, a.rank), []).append(a.box)
    total = 0
    for (value, rank), parts in boxes.items():
        own = mask(value.shape, layouts.owned[value][rank])
        each = sum(int((mask(value.shape, part) & ~own).sum()) for part in parts)
        once = int((mask(value.shape, *parts) & ~own).sum())
        total += (each - once) * value.dtype.itemsize
    return total
