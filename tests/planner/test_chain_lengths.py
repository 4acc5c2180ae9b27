# SPDX-License-Identifier: Apache-2.0
"""How many blocks are one operator: what is known of them before they are lowered."""

from __future__ import annotations

from tests.passes.test_chain_units import model, split
from tflsplit.memory.custom import units_bytes
from tflsplit.ops.own.chain_layout import chain_scratch, units_of
from tflsplit.passes.prepare import prepare
from tflsplit.planner.ways.chain_lengths import SWEEPS, best_length, chain_bytes, unit_sizes
from tflsplit.planner.ways.units import Unit, cut_into_units


def blocks() -> tuple[Unit, ...]:
    return cut_into_units(prepare(model()))[:3]


def test_sizes_are_those_of_the_operator():
    (chain,) = (n for n in split(1, "rows").devices[0].graph.nodes if n.op == "TFLSPLIT_CHAIN")
    assert [unit_sizes(unit) for unit in blocks()] == units_of(chain)


def test_what_a_chain_needs_is_known_about():
    real = min(map(head_bytes, SWEEPS))
    about = chain_bytes([unit_sizes(unit) for unit in blocks()], 1)
    assert 0.9 * real < about <= real


def head_bytes(sweeps: int) -> int:
    """Of windows of three columns; what is estimated has those of one."""
    made = split(1, "rows", sweeps).devices[0].graph.nodes
    (chain,) = (node for node in made if node.op == "TFLSPLIT_CHAIN")
    ends = chain.input(0).size_bytes + chain.output.size_bytes
    return chain_scratch(chain) + units_bytes(chain) + ends


def test_a_chain_is_as_long_as_the_fullest_of_all_units_asks_for():
    units = blocks()
    sizes = [unit_sizes(unit) for unit in units]
    shorter, longer = (chain_bytes(sizes[:count], 1) for count in (2, 3))
    assert longer < shorter
    assert best_length(units, {2: [], 3: []}, 1) == 3
    large, *_ = cut_into_units(prepare(model(rows=72)))
    assert max(v.size_bytes for v in (*large.inputs, *large.outputs)) > shorter
    assert best_length(units, {2: [], 3: [large]}, 1) == 2
