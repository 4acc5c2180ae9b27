# SPDX-License-Identifier: Apache-2.0
"""The passes over a whole model before it is planned.

model --fold_constants--> shapes known --fold_pads--> what is split
"""

from __future__ import annotations

from tflsplit.ir import Graph
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.passes.fold_pads import fold_pads


def prepare(model: Graph) -> Graph:
    """The graph that is split, by whose names plans and results go; ``model`` stays as it is."""
    return fold_pads(fold_constants(model))
