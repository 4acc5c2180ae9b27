# SPDX-License-Identifier: Apache-2.0
"""Every error that tflsplit raises on purpose.

``UserError`` means that something outside the program is wrong (a model, a plan, a cluster, a
cable): the message names the thing and the way out, and the command line prints it without a
traceback and exits with 2.  ``InternalError`` means that tflsplit itself broke a promise that it
makes; it is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence


def counted(count: int, noun: str) -> str:
    """``1 device``, ``8 devices``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def ranks_named(ranks: Sequence[int]) -> str:
    """``rank 3``, ``ranks 5, 6, 7``, ``ranks 5 to 15``; ascending, at least one."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    if len(ranks) > 3 and ranks[-1] - ranks[0] == len(ranks) - 1:
        return f"ranks {ranks[0]} to {ranks[-1]}"
    return f"ranks {', '.join(map(str, ranks))}"


class TflsplitError(Exception):
    """Base of everything below."""


class UserError(TflsplitError):
    """The input is at fault; the message says which part and what to do about it."""

    exit_code = 2


class ModelError(UserError):
    """The .tflite file is damaged, or is of a kind that tflsplit does not take."""


class UnsupportedOpError(ModelError):
    """An operator can neither be split nor be run whole."""


class PlanError(UserError):
    """A plan, a forced split or a set of shares that does not fit the model."""


class ClusterError(UserError):
    """The description of the devices and links is wrong, or nothing fits on them."""


class LinkError(UserError):
    """A device or a link did not answer as its plan says."""


class EngineError(UserError):
    """The engine that should run the graphs here is not installed or refused one of them."""


class InternalError(TflsplitError):
    """A bug in tflsplit: an invariant that its own checkers guard does not hold."""
