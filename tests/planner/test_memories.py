# SPDX-License-Identifier: Apache-2.0
"""What is found once for device graphs that are alike is what each of them needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tests.planner.small import uart
from tests.splits import tiny
from tflsplit.cluster import default_cluster
from tflsplit.plan.layout import lay_out
from tflsplit.plan.spec import Plan
from tflsplit.plan.transfers import schedule
from tflsplit.planner.best import best_plan
from tflsplit.planner.cost.costs import Costs, memory_of
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.cost.memories import Memories, graph_key
from tflsplit.planner.cost.rank_keys import rank_key
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.ways.options import Layout
from tflsplit.split.devices import DeviceGraph
from tflsplit.split.partition import partition
from tflsplit.wire.checking import unchecked


def steps(memories: Memories, world_size: int) -> Sequence[Step]:
    """Every option of every unit of a network, from what the option before it leaves."""
    choices = Choices(tiny("mobilenet"), uart(world_size), narrow=True, costs=Costs(memories))
    left: Sequence[Layout] = ()
    for index in range(len(choices.units)):
        found = choices.expand(index, choices.given(index, left), choices.everything)
        left = found[index % len(found)].layouts
    return choices.all_steps()


def asking(step: Step) -> tuple[Any, ...]:
    """What the memory of a step is found from."""
    assert isinstance(step.cost.find_memory, partial)
    cluster, unit, plan, given = step.cost.find_memory.args
    return cluster, unit.graph, plan, given


def test_every_step_needs_what_it_needs_alone():
    memories, asked = Memories(), 0
    for world_size in (3, 2):
        for number, step in enumerate(steps(memories, world_size)):
            asked += len(set(step.cost.head_bytes))
            if number % 4 == 0:
                cluster, graph, plan, given = asking(step)
                alone = memory_of(cluster, graph, plan, given, Memories())
                assert step.cost.memory == alone
    assert len(memories.known) < 0.8 * asked  # or nothing was gained


def test_equal_parts_are_partitioned_to_equal_graphs():
    """Whatever lies elsewhere, for any number of devices; and many parts come again."""
    known: dict[object, tuple[object, object]] = {}
    asked = 0
    for world_size in (3, 2):
        for step in steps(Memories(), world_size):
            _, graph, plan, given = asking(step)
            layouts = lay_out(graph, plan, given)
            movements = schedule(layouts)
            for rank in range(world_size):
                key, pieces = rank_key(graph, layouts, movements, rank)
                with unchecked():
                    (device,) = partition(graph, plan, given, (rank,), layouts, movements)
                made = graph_key(device, plan)
                assert known.setdefault((limits_of(plan), key), (made, pieces))[0] == made
                asked += 1
    assert len(known) < 0.9 * asked


def limits_of(plan: Plan) -> object:
    """What graphs are looked up by besides."""
    return tuple(
        (split.scratch_limit_bytes, split.window_columns, split.chained, split.sweeps)
        for split in plan.splits
    )


def test_a_limit_is_answered_without_placing_what_is_far_above():
    """Whatever the limit: above it if the head is, and nothing is said that is not so."""
    wanted, asked = Memories(), Memories()
    both = zip(steps(wanted, 2), steps(asked, 2), strict=True)
    answers = set()
    for number, (exact, step) in enumerate(both):
        heads = exact.cost.head_bytes
        for percent in ((40, 99, 100), (100, 60))[number % 2]:
            most = [head * percent / 100 for head in heads]
            answers.add(is_above := step.cost.is_above(most))
            assert is_above == (percent < 100 and any(heads))
    assert answers == {False, True}

    def most_rejected(memories: Memories, percent: int) -> int:
        for step in steps(memories, 2):
            step.cost.is_above([head * percent / 100 for head in exact.cost.head_bytes])
        return memories.placed

    assert most_rejected(Memories(), 10) < most_rejected(Memories(), 1000) / 4


def test_weights_are_known_by_their_shape_but_where_equal_ones_become_one():
    """Another part of a layer is as large; in tiles it matters which constants are equal."""
    hardware, lowered = uart(2).devices[0], dict[bool, set[int]]()
    for step in steps(Memories(), 2)[::3]:
        _, graph, plan, given = asking(step)
        with unchecked():
            (device,) = partition(graph, plan, given, (0,))
            memories = Memories()
            first = memories.need(device, plan, hardware)
            others = memories.need(with_other_weights(device), plan, hardware)
        if any(v.is_constant and v.size > 64 for v in device.graph.values()):
            assert first == others
            in_tiles = any(split.tiles > 1 for split in plan.splits)
            lowered.setdefault(in_tiles, set()).add(memories.lowered)
    assert lowered == {False: {1}, True: {2}}


def with_other_weights(device: DeviceGraph) -> DeviceGraph:
    """The same graph, every constant with other contents."""
    made = {
        value: replace(value, data=np.flip(value.data).copy())
        for value in device.graph.values()
        if value.data is not None and value.size > 64
    }
    nodes = [
        replace(node, inputs=tuple(made.get(v, v) if v is not None else None for v in node.inputs))
        for node in device.graph.nodes
    ]
    return replace(device, graph=replace(device.graph, nodes=nodes))


def test_what_a_plan_says_of_a_layer_is_part_of_the_key():
    """The same pieces, in narrower windows."""
    hardware, memories, found = uart(2).devices[0], Memories(), set()
    narrow = [s for s in steps(Memories(), 2) if s.plan.splits[-1].window_columns]
    for step in narrow[::5]:
        graph, given = step.unit.graph, asking(step)[3]
        with unchecked():
            layouts = lay_out(graph, step.plan, given)
            (device,) = partition(graph, step.plan, given, (0,), layouts)
            for columns in (0, 1, 8):
                splits = tuple(
                    replace(split, window_columns=split.window_columns and columns)
                    for split in step.plan.splits
                )
                plan = replace(step.plan, splits=splits)
                need = memories.need(device, plan, hardware)
                assert need == Memories().need(device, plan, hardware)
                found.add(need)
    assert len(found) > 3


def test_a_search_partitions_lowers_and_places_no_more_than_it_did():
    """Counts repeat exactly."""
    planner, _ = best_plan(tiny("ds_cnn"), default_cluster(4), "ram")
    memories = planner.memories
    assert memories.partitioned <= 248
    assert memories.lowered <= 240
    assert memories.placed <= 152
