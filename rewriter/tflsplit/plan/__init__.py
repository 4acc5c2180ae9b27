# SPDX-License-Identifier: Apache-2.0
"""Plans: how every tensor lies over the devices."""

from tflsplit.plan.layout import Layouts, lay_out
from tflsplit.plan.shards import NodeShards
from tflsplit.plan.spec import NodeSplit, Plan, Way, even_shares, parse_shares, proportional_bounds

__all__ = [
    "Layouts",
    "NodeShards",
    "NodeSplit",
    "Plan",
    "Way",
    "even_shares",
    "lay_out",
    "parse_shares",
    "proportional_bounds",
]
