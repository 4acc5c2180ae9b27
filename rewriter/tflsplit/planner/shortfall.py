# SPDX-License-Identifier: Apache-2.0
"""What is missing when nothing fits."""

from __future__ import annotations

from collections.abc import Sequence

from tflsplit.cluster import Cluster
from tflsplit.planner.evaluate import Step
from tflsplit.planner.units import Unit


def why_not(cluster: Cluster, units: Sequence[Unit], steps: Sequence[Step]) -> str:
    """The unit that needs most, beside what there is."""
    return "nothing fits"
