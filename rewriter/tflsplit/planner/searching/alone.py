# SPDX-License-Identifier: Apache-2.0
"""For the least RAM: halos of the first maps computed twice instead of received.

    received    shard -- RECV --> x, with the halo -- convolution -->    both in memory at once
    alone       x, of which the halo is computed by both sides -- convolution -->

The maps at the beginning are the largest.  A search that adds up units has every unit receive what
it reads; over borders between units halos are chosen for whole plans, for fewer bytes
(``assembly.draft``), and here for less RAM.
"""

from __future__ import annotations

from collections.abc import Iterator

from tflsplit.cluster import Cluster
from tflsplit.planner.searching.assembly import complete, draft
from tflsplit.planner.searching.choices import Choices
from tflsplit.planner.whole.planned import Planned

BORDERS = (1, 2)
"""At so many borders between units (measured: a third one made no arena smaller)."""


def alone(
    choices: Choices, cluster: Cluster, planned: Planned, beat: float = float("inf")
) -> Iterator[Planned]:
    """The same ways with such halos, where that is another plan and fits.

    planned: a plan of these choices.  None of one device, nor where tiles RECV from the host.
    beat: an arena in bytes that they must not be above.
    """
    if cluster.world_size == 1 or not planned.steps or planned.plan.stream:
        return
    for borders in BORDERS:
        drafted = draft(choices, cluster, planned.steps, alone=borders, overlap=False)
        if drafted.plan.splits != planned.plan.splits:
            made = complete(choices, cluster, drafted)
            if not made.is_above(beat) and made.fits(cluster):
                yield made
