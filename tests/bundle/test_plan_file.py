# SPDX-License-Identifier: Apache-2.0
"""Plan files: what is stored comes back, and damage is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.splits import networks, plans, tiny
from tflsplit.bundle.plan_file import load_plan, plan_part, read_plan
from tflsplit.bundle.text import dump, parse
from tflsplit.errors import PlanError
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes

GRAPH = tiny("mobilenet")
PLAN = choose_plan(GRAPH, Wishes(3, "channels", fuse=True, sums_limit_bytes=500))


def stored() -> dict[str, Any]:
    document: dict[str, Any] = parse(dump(plan_part(GRAPH, PLAN)).encode(), "test")
    return document


def test_what_is_stored_comes_back():
    assert any(split.sum_tiles > 1 for split in PLAN.splits)
    limited = replace(PLAN.splits[-1], scratch_limit_bytes=4096, gather_tiles=3)
    limited = replace(limited, window_columns=8, chained=True, sweeps=3, tile_bounds=(0, 3, 5, 6))
    plan = replace(PLAN, splits=(*PLAN.splits[:-1], limited))
    text = dump(plan_part(GRAPH, plan)).encode()
    assert read_plan(parse(text, "test"), "test") == plan


@given(st.data())
def test_any_plan_comes_back(data: st.DataObject):
    graph = data.draw(networks())
    plan = data.draw(plans(graph, 3))
    text = dump(plan_part(graph, plan)).encode()
    back = read_plan(parse(text, "test"), "test")
    assert back.splits == plan.splits
    assert back.shares == pytest.approx(plan.shares)


def damage(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = stored()
    change(document)
    return document


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: d.pop("world_size"), "world_size"),
        (lambda d: d.update(shares=["a"] * 3), r"shares\[0\]: 'a' is not a number"),
        (lambda d: d.update(world_size=10**10), "world_size: 10000000000 is not a whole number"),
        (lambda d: d["layers"][1].update(rank=-1), "layer 1 .*rank -1 is not from 0 to"),
        (lambda d: d.update(fuse=1), "fuse: 1 is neither true nor false"),
        (lambda d: d.update(shares=[1.0]), "1 shares for 3 devices"),
        (lambda d: d["layers"][2].update(way="diagonal"), "layer 2 .*'diagonal' is not known; kn"),
        (lambda d: d["layers"][1].update(bounds=["x"]), "layer 1 .*bounds 'x' is no whole number"),
        (lambda d: d["layers"][1].update(bounds="0 3"), "layer 1 .*bounds '0 3' is no list"),
        (lambda d: d["layers"][1].update(rank=True), "layer 1 .*rank True is no whole number"),
        (lambda d: d["layers"][1].update(extents=[[1]]), r"layer 1 .*no list of \[start, stop\]"),
        (lambda d: d["layers"][1].update(gather_tiles="2"), "layer 1 .*gather_tiles '2' is no who"),
        (lambda d: d["layers"][0].pop("node"), "layer 0 '': node is missing"),
        (lambda d: d.update(layers=[5]), "layer 0 '': 5 is no record"),
    ],
)
def test_damage_is_named(change: Callable[[dict[str, Any]], object], text: str):
    with pytest.raises(PlanError, match=text):
        read_plan(damage(change), "my_plan.json")


def test_all_damage_is_named_at_once():
    document = stored()
    for index in (1, 4):
        document["layers"][index]["way"] = 3
    with pytest.raises(PlanError) as caught:
        read_plan(document, "my_plan.json")
    assert len(str(caught.value).splitlines()) == 2


def test_files_that_are_no_plans(tmp_path: Path):
    with pytest.raises(PlanError, match="no such file"):
        load_plan(tmp_path / "none.json")
    path = tmp_path / "plan.json"
    path.write_text("{", encoding="utf-8")
    with pytest.raises(PlanError, match=r"plan\.json"):
        load_plan(path)
