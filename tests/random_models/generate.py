# SPDX-License-Identifier: Apache-2.0
"""A random network from a seed."""

from __future__ import annotations

import random

from tests.random_models.edges import edged
from tests.random_models.layers import WEIGHTED
from tests.random_models.net import MOST_ELEMENTS, Net
from tests.random_models.others import OTHERS
from tests.random_models.rarer import RARER
from tests.random_models.stateful import STATEFUL
from tflsplit.ir import Graph, Value


def random_network(seed: int) -> Graph:
    """A network of 1 to 14 operators, as random as the seed; the same for the same seed."""
    rng = random.Random(seed)
    net = Net(rng, rng.choice([1, 1, 1, 2, 3]))
    for _ in range(rng.choice([1, 1, 1, 2])):
        net.input(_input_shape(net))
    wanted, tries = rng.randint(1, 12), 0
    while len(net.nodes) < wanted and tries < 200:
        tries += 1
        draw = rng.random()
        kinds = ((0.42, WEIGHTED), (0.47, STATEFUL), (0.57, RARER), (1.0, OTHERS))
        make = rng.choice(next(kind for most, kind in kinds if draw < most))
        made = make(net)
        if made is not None and made.size > MOST_ELEMENTS and made in net.live:
            net.live.remove(made)
    return edged(net, net.finish(f"random_{seed}"), random.Random(f"edges {seed}"))


def _input_shape(net: Net) -> tuple[int, ...]:
    rng = net.rng
    if rng.random() < 0.12:
        return net.batch, rng.choice([3, 16, 33])
    return net.batch, rng.randint(1, 17), rng.randint(1, 11), rng.choice([1, 3, 4, 8, 12])


def unread(graph: Graph) -> list[Value]:
    """Results that neither a node nor the host reads."""
    read = {value for node in graph.nodes for value in node.operands}
    made = [value for node in graph.nodes for value in node.outputs]
    return [value for value in made if value not in read and value not in graph.outputs]
