# SPDX-License-Identifier: Apache-2.0
"""Who searches.  For the least RAM: who is first, where nothing has to be beaten yet.

    limit on the head   2,048   2,458   2,949   ...   7,338
    with a chain        no way  no way  no way        no way
    without             no way  no way  no way        a way: first, and its plan bounds the other

Whoever has a way under the lower limit most often has the smaller plan, and under a small plan's
arena the other one has little to look at.  Limits that are tried here are not tried again.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.planner.searching.heads import limits
from tflsplit.planner.searching.searcher import Searcher
from tflsplit.planner.whole.planned import Planned


def most_promising_first(searchers: Sequence[Searcher]) -> list[Searcher]:
    """Searchers for the same devices; of two with a way under the same limit the first stays so."""
    first, *others = searchers
    different = [first, *(other for other in others[:1] if other is not first)]
    if len(different) < 2:
        return list(searchers)
    for head in limits(max(first.rooms())):
        for one in different:
            if one.total_bytes(one.rooms(), head) is not None:
                return [one, *(other for other in searchers if other is not one)]
    return list(searchers)


def knows(searcher: Searcher, planned: Planned) -> bool:
    """Whether a plan's units are those of a searcher; a plan that was not searched has none."""
    units = [unit.nodes for unit in searcher.choices.units]
    return not planned.steps or [step.unit.nodes for step in planned.steps] == units
