# SPDX-License-Identifier: Apache-2.0
"""What is found once for device graphs that are alike is what each of them needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tests.planner.small import uart
from tests.splits import tiny
from tflsplit.ops.custom import unchecked
from tflsplit.plan.layout import lay_out
from tflsplit.planner.choices import Choices
from tflsplit.planner.costs import Costs, memory_of
from tflsplit.planner.evaluate import Step
from tflsplit.planner.memories import Memories
from tflsplit.planner.options import Layout
from tflsplit.split.partition import partition


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
