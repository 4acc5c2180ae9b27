# SPDX-License-Identifier: Apache-2.0
"""Plans for the loss of each single board, kept by the others beside the plan of all.

::

    board B's image:  its slice of the plan for A B C D   (runs now)
                      its slice of the plan without A
                      …                       without C   run at once when C dies
                      …                       without D
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tflsplit.deploy.image import ENTRY, HEAD, Slice, rounded_up
from tflsplit.deploy.wiring import Cable, Wiring
from tflsplit.deploy.words import components
from tflsplit.errors import ClusterError, UserError
from tflsplit.report.figures import kib
from tflsplit.serving.boards import Chip, Look, chip_of
from tflsplit.serving.plans import Plans, Ready


@dataclass(frozen=True)
class Losses:
    """What is kept for them.

    slices: of each board that runs the plan, that of the plan first.
    prepared: boards that may be lost; refused: the others, and why.
    plan_bytes: images of the plan alone; extra_bytes: what the others add.
    seconds: of planning.
    """

    slices: Mapping[Chip, tuple[Slice, ...]]
    prepared: tuple[Chip, ...]
    refused: Mapping[Chip, str]
    plan_bytes: int
    extra_bytes: int
    seconds: float

    def words(self, name: Callable[[Chip], str]) -> str:
        """What it is for and what it costs.  name: of a board."""
        some = ", ".join(map(name, self.prepared)) or "nobody"
        cost = (
            f"{kib(self.extra_bytes)} of the boards' stores beside {kib(self.plan_bytes)} of the "
            f"plan, and {self.seconds:.1f} s of planning"
        )
        others = "".join(f"; not for {name(chip)}: {why}" for chip, why in self.refused.items())
        return f"plans for the loss of {some} are kept: {cost}{others}"


def prepare_losses(
    plans: Plans, look: Look, main: Ready, stage: Callable[[Chip], None] = lambda chip: None
) -> Losses:
    """Plan for the loss of each board in turn, as far as their stores have room.

    stage: is told for whose loss is planned.
    """
    begun = time.monotonic()
    chips = {rank: look.chips[board] for rank, board in enumerate(main.prepared.placement.boards)}
    kept = {chip: [main.prepared.slices[rank]] for rank, chip in chips.items()}
    room = {chip_of(board): board.identity.store_bytes for board in look.wiring.boards}
    plan_bytes = sum(map(image_bytes, kept.values()))
    prepared, refused = [], {}
    for rank, board in enumerate(main.prepared.placement.boards):
        stage(chips[rank])
        try:
            _add(kept, _slices_without(plans, look.wiring, board, rank), room)
            prepared.append(chips[rank])
        except UserError as error:
            refused[chips[rank]] = str(error)
    extra = sum(map(image_bytes, kept.values())) - plan_bytes
    slices = {chip: tuple(some) for chip, some in kept.items()}
    seconds = time.monotonic() - begun
    return Losses(slices, tuple(prepared), refused, plan_bytes, extra, seconds)


def image_bytes(slices: Sequence[Slice]) -> int:
    """Of an image with these."""
    bodies = sum(rounded_up(one.config_bytes + len(one.model)) for one in slices)
    return HEAD.size + ENTRY.size * len(slices) + bodies


def without(wiring: Wiring, board: int) -> Wiring:
    """What a look finds when a board has died: the boards that the host can still reach.

    Raises ClusterError if no port leads to any.
    """
    gateways = [gateway for gateway in wiring.gateways if gateway != board]
    if not gateways:
        raise ClusterError("this computer reaches the others through it")
    cables = [cable for cable in wiring.cables if board not in (cable.from_board, cable.to_board)]
    rest = replace(wiring, cables=tuple(cables))
    reached = sorted(
        one for group in components(rest) if set(group) & set(gateways) for one in group
    )
    place = {old: new for new, old in enumerate(reached)}
    return Wiring(
        tuple(wiring.boards[old] for old in reached),
        tuple(
            Cable(place[c.from_board], c.from_port, place[c.to_board], c.to_port)
            for c in cables
            if c.from_board in place
        ),
        tuple(place[gateway] for gateway in gateways),
        wiring.problems,
    ).in_order()


def _slices_without(plans: Plans, wiring: Wiring, board: int, rank: int) -> dict[Chip, Slice]:
    left = without(wiring, board)
    prepared = plans.ready(left).prepared
    return {
        chip_of(left.boards[place]): replace(one, lost=rank)
        for place, one in zip(prepared.placement.boards, prepared.slices, strict=True)
    }


def _add(
    kept: dict[Chip, list[Slice]], slices: Mapping[Chip, Slice], room: Mapping[Chip, int]
) -> None:
    """To all of the boards or to none; ClusterError saying why."""
    if not slices.keys() <= kept.keys():
        raise ClusterError("a board takes its place that has no part in the plan now")
    missing = sum(
        max(0, image_bytes([*kept[chip], one]) - room[chip]) for chip, one in slices.items()
    )
    if missing:
        raise ClusterError(f"{missing:,} bytes of the others' stores are missing")
    for chip, one in slices.items():
        kept[chip].append(one)
