# SPDX-License-Identifier: Apache-2.0
"""Choosing a plan for a cluster (docs/planner.md)."""

from tflsplit.planner.planner import OBJECTIVES, Planned, Planner, finish

__all__ = ["OBJECTIVES", "Planned", "Planner", "finish"]
