# SPDX-License-Identifier: Apache-2.0
"""Choosing a plan for a cluster (docs/planner.md)."""

from tflsplit.planner.planned import Planned, finish
from tflsplit.planner.planner import Planner
from tflsplit.planner.searcher import OBJECTIVES, Searcher

__all__ = ["OBJECTIVES", "Planned", "Planner", "Searcher", "finish"]
