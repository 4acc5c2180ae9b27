# SPDX-License-Identifier: Apache-2.0
"""``rewrite --manual …``: dividing by a simple policy instead of searching."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from tflsplit.errors import PlanError
from tflsplit.plan.spec import Way, parse_shares
from tflsplit.plan.wishes import RUN_WAYS, Wishes

LAYER_WAYS = [way.value for way in Way if way is not Way.OTHER]
SPLITS = ["auto", *RUN_WAYS]
KEYS = "split=WAY, layer=NAME=WAY, shares=2,1,…, weights-limit=F, stock-kernels"
_SEARCHING = ("objective", "plan", "max_arena", "max_ram", "max_weights")


def add_manual(command: argparse.ArgumentParser) -> None:
    """The option."""
    command.add_argument(
        "--manual",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
        help="by hand: split=WAY, shares=2,1,…, … (docs/planner.md)",
    )


def manual_wishes(arguments: argparse.Namespace, world_size: int) -> Wishes | None:
    """What is asked for by hand; None if nothing is, and the plan is to be searched.

    Raises PlanError for a key or value that cannot be, and beside options of the search.
    """
    if not arguments.manual:
        return None
    for name in _SEARCHING:
        if getattr(arguments, name) is not None:
            option = "--" + name.replace("_", "-")
            raise PlanError(f"--manual divides the model by hand, {option} searches: give one")
    given: dict[str, Any] = {"layers": {}}
    for text in arguments.manual:
        key, _, value = text.partition("=")
        if key not in _READ:
            raise PlanError(f"--manual {text!r} is none of: {KEYS}")
        _READ[key](given, value, world_size)
    return Wishes(world_size=world_size, **given)


def _split(given: dict[str, Any], value: str, _: int) -> None:
    if value not in SPLITS:
        raise PlanError(f"--manual split={value}: choose from {', '.join(SPLITS)}")
    given["split"] = value


def _layer(given: dict[str, Any], value: str, _: int) -> None:
    name, separator, way = value.rpartition("=")
    if not separator or way not in LAYER_WAYS:
        ways = ", ".join(LAYER_WAYS)
        raise PlanError(f"--manual layer={value} is not layer=NAME=WAY with WAY one of {ways}")
    given["layers"][name] = Way(way)


def _shares(given: dict[str, Any], value: str, world_size: int) -> None:
    given["shares"] = parse_shares(value, world_size)


def _weights_limit(given: dict[str, Any], value: str, _: int) -> None:
    try:
        limit = float(value)
    except ValueError:
        limit = -1.0
    if not 0 <= limit <= 1:
        raise PlanError(f"--manual weights-limit={value} is not between 0 and 1")
    given["weights_limit"] = limit


def _stock_kernels(given: dict[str, Any], value: str, _: int) -> None:
    if value:
        raise PlanError("--manual stock-kernels takes no value")
    given["stock_kernels"] = True


_READ: dict[str, Callable[[dict[str, Any], str, int], None]] = {
    "split": _split,
    "layer": _layer,
    "shares": _shares,
    "weights-limit": _weights_limit,
    "stock-kernels": _stock_kernels,
}
