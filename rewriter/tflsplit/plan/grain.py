# SPDX-License-Identifier: Apache-2.0
"""In which steps a factor should be cut, so that what reads the result can follow the cuts.

The channels that FULLY_CONNECTED makes for attention become heads::

    q [1, 64, 64] -- RESHAPE --> [1, 64, 4, 16]     cut at 21 and 43: a head on two devices
                                                    cut at 16 and 48: whole heads, nothing moves
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tflsplit.ir import Node, Value
from tflsplit.ops import Factor, rule_of
from tflsplit.ops.factors import Scaled
from tflsplit.plan.spec import active_count, proportional_bounds

Readers = Mapping[Value, Sequence[Node]]


def even_bounds(
    node: Node, factor: Factor, readers: Readers, shares: Sequence[float]
) -> tuple[int, ...]:
    """The factor cut by the shares, in grains unless most devices would get nothing then."""
    grain = grain_of(node, factor, readers)
    if 2 * factor.size < grain * active_count(shares):
        grain = 1
    return tuple(grain * cut for cut in proportional_bounds(factor.size // grain, shares))


def grain_of(node: Node, factor: Factor, readers: Readers) -> int:
    """Steps of ``factor`` that should stay together; 1 if its cuts are free.

    Only a single reader counts, and only one that cannot follow any cut.
    """
    if 0 not in factor.results or len(node.outputs) != 1:
        return 1
    dim, scale = factor.results[0]
    found = readers.get(node.output, ())
    if scale != 1 or len(found) != 1:
        return 1
    place = found[0].inputs.index(node.output)
    for other in rule_of(found[0]).factors(found[0]):
        its_dim, dim_map = other.operands.get(place, (None, None))
        if its_dim == dim and isinstance(dim_map, Scaled):
            return dim_map.scale if factor.size % dim_map.scale == 0 else 1
    return 1
