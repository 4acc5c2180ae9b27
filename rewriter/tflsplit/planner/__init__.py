# SPDX-License-Identifier: Apache-2.0
"""Choosing a plan for a cluster (docs/planner.md)."""

from tflsplit.planner.planner import Planner
from tflsplit.planner.searching.searcher import OBJECTIVES, Searcher
from tflsplit.planner.teams import THROUGHPUT
from tflsplit.planner.whole.planned import Planned, finish

AIMS = (*OBJECTIVES, THROUGHPUT)
"""What a user may ask for: what is searched for, and the teams that do most of it."""

__all__ = ["AIMS", "OBJECTIVES", "THROUGHPUT", "Planned", "Planner", "Searcher", "finish"]
