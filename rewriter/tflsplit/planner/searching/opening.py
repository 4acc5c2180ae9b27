# SPDX-License-Identifier: Apache-2.0
"""The first units of a way, where the input takes its time to arrive.

A search adds up what units cost with all devices starting together.  But the host's bytes reach
the gateway first, and a device that has its part still waits for halos of those that have not::

    search                                  opening
    rank 0  |######|......|#####|           rank 0  |##########|######|#####|
    rank 1  |----->######|#####|            rank 1  |---->####|####|..|#####|
    rank 2  |------------>######|           rank 2  |-------->##|##|..|#####|
                          ^ all wait                ^ no exchange yet  ^ the map is cut anew

So near devices get more of the first units, and the halos between some of these are computed
twice instead of received.  Which opening is best is found out by trying: from those that differ in
their length only to neighbours of the best, judged by predictions of the whole plan.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from tflsplit.cluster import Cluster
from tflsplit.ir import Graph
from tflsplit.plan.spec import active_count
from tflsplit.planner.cost.evaluate import Step
from tflsplit.planner.searching.assembly import Draft, draft
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.ways.arrival import balanced_shares, ready_us
from tflsplit.planner.ways.options import Option
from tflsplit.planner.ways.shares import SPEED


@dataclass(frozen=True)
class Opening:
    """How the first units are run.

    units: so many get shares of their own; behind them, the map is cut anew.
    balance: with those shares all devices are ready with so many units at the same time, if each
        begins when it has its input and none waits for another (``arrival.py``).
    alone: at so many borders between units, from the first one on, nothing is exchanged.
    receive: the unit behind them receives the halo of its expansion.
    across: halos are chosen across units (``assembly.draft``).
    """

    units: int
    balance: int
    alone: int = 0
    receive: bool = False
    across: bool = True

    def is_within(self, most: int) -> bool:
        """Whether it is of so many units at most, and makes sense."""
        lengths = self.units, self.balance
        alone = self.units if self.across else 0
        return min(lengths) >= 1 and max(lengths) <= most and 0 <= self.alone <= alone

    def neighbours(self) -> Iterator[Opening]:
        """Openings that differ a little."""
        for units in (self.units - 1, self.units + 1):
            yield replace(self, units=units, alone=min(self.alone, units))
        for balance in (self.balance - 1, self.balance + 1):
            yield replace(self, balance=balance)
        for alone in (self.alone - 1, self.alone + 1, self.alone + 2):
            yield replace(self, alone=alone)
        yield replace(self, receive=not self.receive)
        yield replace(self, across=not self.across, alone=0)


_ROUNDS = 3
_BEAM = 2
"""So many rounds, and in each the neighbours of so many openings, are tried."""
_DRAFTED = 8
"""So many of the best are drafted to the end."""

Found = dict[Opening, Draft]
"""Whole plans by their opening."""


def best_openings(
    choices: Choices,
    cluster: Cluster,
    steps: Sequence[Step],
    hopeless: Collection[int] = (),
) -> Found:
    """Whole plans that begin otherwise than ``steps``, the quickest by prediction first.

    hopeless: openings of so many units need not be tried.
    They are compared by how long they take up to where all of them go on alike; only the best are
    drafted to the end.
    """
    most = _mapped_units(choices)
    beginning = _beginning(choices, most + 2)
    times: dict[Opening, float] = {}
    ways: dict[Opening, list[Step]] = {}
    tried: set[Opening] = set()
    new = _plain(most)
    for _ in range(1 + _ROUNDS):
        new = [o for o in dict.fromkeys(new) if o not in tried and o.is_within(most)]
        new = [opening for opening in new if opening.units not in hopeless]
        tried.update(new)
        for opening in new:
            if (begun := opened(choices, steps, opening)) is not None:
                ways[opening] = begun
                times[opening] = _begun_us(choices, cluster, begun, opening, beginning)
        best = sorted(times, key=times.__getitem__)
        new = [other for opening in best[:_BEAM] for other in opening.neighbours()]
    drafts = {
        opening: draft(choices, cluster, ways[opening], opening.across, opening.alone)
        for opening in sorted(times, key=times.__getitem__)[:_DRAFTED]
    }
    return dict(sorted(drafts.items(), key=lambda item: item[1].prediction.latency_us))


def least_opened_us(choices: Choices, cluster: Cluster, drafted: Draft) -> dict[int, float]:
    """By number of units: no opening of so many, and else as a draft, is predicted to be quicker.

    Behind its first m units every opening goes on as the draft does.  Before, at best, no device
    waits, nothing is exchanged and nothing computed twice: then all are ready together, each having
    begun when its part of the input was there (``arrival.ready_us``), and

        latency  >=  that time for m units  +  what the draft takes behind them
    """
    whole = drafted.prediction
    ends_us = {step.node: step.end_us for step in whole.steps}
    least: dict[int, float] = {}
    input_bytes = sum(value.size_bytes for value in choices.graph.inputs)
    for count in range(1, _mapped_units(choices) + 1):
        shares = choices.vectors[_shares_by_arrival(choices, count)]
        begun_us = ready_us(choices.cluster, input_bytes, choices.work_us(count), shares)
        behind_us = whole.graph_us - ends_us[choices.units[count - 1].nodes[-1].name]
        least[count] = begun_us + behind_us + whole.output_us
    return least


def _beginning(choices: Choices, units: int) -> Graph:
    """The first units as a model of their own."""
    first = choices.units[:units]
    nodes = [node for unit in first for node in unit.nodes]
    return Graph("beginning", choices.graph.inputs, first[-1].outputs, nodes)


def _begun_us(
    choices: Choices, cluster: Cluster, begun: Sequence[Step], opening: Opening, graph: Graph
) -> float:
    """When the last device is through with the first units."""
    count = len(graph.nodes)
    steps: list[Step] = []
    for step in begun:
        if count <= 0:
            break
        steps.append(step)
        count -= len(step.unit.nodes)
    found = draft(choices, cluster, steps, opening.across, opening.alone, graph).prediction
    return found.input_us + found.graph_us


def _plain(most: int) -> list[Opening]:
    return [
        Opening(units, units, across=across)
        for units in range(1, most + 1)
        for across in (True, False)
    ]


def opened(choices: Choices, steps: Sequence[Step], opening: Opening) -> list[Step] | None:
    """The steps with another beginning; None where its units cannot be run so."""
    name = _shares_by_arrival(choices, opening.balance)
    result: list[Step] = []
    for index, step in enumerate(steps):
        given, before = (
            choices.given(index, way[index - 1].layouts if index else ()) for way in (result, steps)
        )
        if index > opening.units and given == before:
            return [*result, *steps[index:]]
        option = step.option
        if index < opening.units:
            option = Option("rows", option.split == "rows" and option.small, by=name)
        elif index == opening.units and option.split == "rows":
            option = replace(option, recut=True, receive=opening.receive)
        elif step.pooled:
            return None  # it has its place, for the layouts that it had
        result += choices.expand(index, given, (option,))
        if len(result) == index:
            return None
    return result


def _shares_by_arrival(choices: Choices, units: int) -> str:
    """The name of the shares with which all devices are ready with the first units together."""
    name = f"arrival of the input (first {units} unit{'s' * (units != 1)})"
    if name not in choices.vectors:
        work_us = [
            us if share > 0 else 0.0
            for us, share in zip(choices.work_us(units), choices.vectors[SPEED], strict=True)
        ]
        input_bytes = sum(value.size_bytes for value in choices.graph.inputs)
        choices.vectors[name] = balanced_shares(choices.cluster, input_bytes, work_us)
    return name


def _mapped_units(choices: Choices) -> int:
    """How many units at the beginning have maps of two rows for every device, or more."""
    busy, count = active_count(choices.vectors[SPEED]), 0
    for unit in choices.units:
        shape = unit.outputs[0].shape
        if len(unit.outputs) != 1 or len(shape) != 4 or shape[1] < 2 * busy:
            break
        count += 1
    return count
