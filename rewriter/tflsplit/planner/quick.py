# SPDX-License-Identifier: Apache-2.0
"""What to search from for the least latency: several menus, each of which makes a whole plan.

The search adds up what units cost with all devices starting together.  What that cannot see is
tried on whole plans:

* the input arrives late at far devices, so near ones get more of the first layers
  (``arrival.py``); for how many layers, is tried;
* all layers on fewer devices: one more device is never to make it slower, and eight are no faster
  than seven on maps of 28, 14 and 7 rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tflsplit.planner.arrival import balanced_shares
from tflsplit.planner.choices import Choices
from tflsplit.planner.options import Option
from tflsplit.planner.shares import SPEED, fewest_shares

Menu = Callable[[int], Sequence[Option]]
"""The options for a unit, by its number."""


_MANY_DEVICES = 24


def races_of(choices: Choices) -> list[list[Menu]]:
    """What to choose from for the least latency.

    The plans of one race are compared by predictions, which are all wrong in the same way; the
    best of each race by simulations.
    """
    balanced = (_balanced_menu(choices, units) for units in range(1, _mapped_units(choices) + 1))
    usual: list[Menu] = [lambda _: choices.quick]
    if choices.cluster.world_size > _MANY_DEVICES:
        return [usual]  # each menu is a search, which takes time in proportion to the devices
    return [usual, list(balanced), _fewer_menus(choices)]


def _mapped_units(choices: Choices) -> int:
    """How many units at the beginning have maps of two rows for every device, or more."""
    count = 0
    for unit in choices.units:
        shape = unit.outputs[0].shape
        if len(unit.outputs) != 1 or len(shape) != 4 or shape[1] < 2 * choices.cluster.world_size:
            break
        count += 1
    return count


def _balanced_menu(choices: Choices, units: int) -> Menu:
    """Rows by arrival for the first units, then anything, from new cuts or the old ones."""
    name = f"arrival, for {units} units"
    if name not in choices.vectors:
        choices.vectors[name] = balanced_shares(
            choices.cluster,
            sum(value.size_bytes for value in choices.graph.inputs),
            choices.work_us(units),
        )
    rows = [option for option in choices.quick if option.split == "rows"]
    first = [replace(option, by=name) for option in rows if not option.part]
    turn = [*choices.quick, *(replace(option, recut=True) for option in rows)]
    return lambda unit: first if unit < units else turn if unit == units else choices.quick


def _fewer_menus(choices: Choices) -> list[Menu]:
    """One for each number of devices that suffices for the rows of some map."""
    shares = choices.vectors[SPEED]
    shapes = [unit.outputs[0].shape for unit in choices.units]
    heights = {shape[1] for shape in shapes if len(shape) == 4}
    menus: list[Menu] = []
    for fewer in sorted({fewest_shares(shares, height) for height in heights} - {shares}):
        busy = sum(share > 0 for share in fewer)
        if busy == 1:
            continue  # that is an option of every unit
        choices.vectors[f"{busy} devices"] = fewer
        options = [
            replace(option, by=f"{busy} devices") for option in choices.quick if not option.part
        ]
        menus.append(lambda unit, options=options: options)  # type: ignore[misc]
    return menus
