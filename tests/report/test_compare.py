# SPDX-License-Identifier: Apache-2.0
"""Two plans side by side, limits, and where plans are read from."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import pytest

from tests.bundles import bundle_of, plan_of
from tflsplit.bundle.plan_json import Json
from tflsplit.errors import PlanError
from tflsplit.report.compare import compare, parse_limit
from tflsplit.report.documents import embedded, read_document


@pytest.fixture
def plan(tmp_path: Path) -> Json:
    return plan_of(bundle_of(tmp_path / "out", "ds_cnn", 3))


def changed(plan: Json, rank: int, key: str, by: int) -> Json:
    other = deepcopy(plan)
    other["devices"][rank][key] += by
    return other


def test_figures(plan: Json):
    found = compare(plan, changed(plan, 1, "sent_bytes", 100))
    sent = [device["sent_bytes"] for device in plan["devices"]]
    assert found.of("sent_bytes", "rank 1").change == 100
    assert found.of("sent_bytes", "rank 0").change == 0
    total = found.of("sent_bytes", "sum")
    assert (total.before, total.after) == (sum(sent), sum(sent) + 100)
    assert found.of("arena_bytes", "max").before == max(
        device["arena_bytes"] for device in plan["devices"]
    )
    assert {pair.key for pair in found.pairs}.isdisjoint({"rank", "file", "arena_exact", "tensors"})
    with pytest.raises(KeyError):
        found.of("arena_bytes", "rank 9")


def test_equal_plans(plan: Json):
    found = compare(plan, plan, [parse_limit("arena_bytes+0"), parse_limit("each:macs+0%")])
    assert not found.regressions
    assert not found.layers
    assert found.notes == ("both are the same plan (one fingerprint)",)


def test_layers_that_are_split_otherwise(tmp_path: Path, plan: Json):
    other = plan_of(bundle_of(tmp_path / "rows", "ds_cnn", 3, "rows"))
    found = compare(plan, other)
    ways = {layer["node"]: layer["way"] for layer in plan["layers"]}
    assert found.layers
    for node, before, after in found.layers:
        assert ways[node] == before != after == "rows"


def test_other_world_sizes_and_models(tmp_path: Path, plan: Json):
    other = plan_of(bundle_of(tmp_path / "other", "mobilenet", 4))
    found = compare(plan, other)
    assert found.of("arena_bytes", "rank 3").before is None
    assert found.of("arena_bytes", "rank 3").change is None
    assert any("models differ" in note for note in found.notes)
    assert any("3 and 4" in note for note in found.notes)
    with pytest.raises(PlanError, match="numbers of devices differ"):
        compare(plan, other, [parse_limit("each:arena_bytes+0")])


@pytest.mark.parametrize(
    ("limit", "rank", "by", "worse"),
    [
        ("arena_bytes+10", "largest", 10, False),
        ("arena_bytes+10", "largest", 11, True),
        ("arena_bytes+10", "smallest", 11, False),  # the largest device counts
        ("each:arena_bytes+10", "smallest", 11, True),
        ("sent_bytes+10", "smallest", 11, True),  # moved bytes are summed
        ("max:sent_bytes+10", "smallest", 11, False),
        ("weights_bytes+0", "largest", -50, False),
        ("arena_bytes+0%", "largest", 1, True),
    ],
)
def test_limits(plan: Json, limit: str, rank: str, by: int, worse: bool):
    parsed = parse_limit(limit)
    sizes = [device[parsed.key] for device in plan["devices"]]
    at = sizes.index(max(sizes) if rank == "largest" else min(sizes))
    regressions = compare(plan, changed(plan, at, parsed.key, by), [parsed]).regressions
    assert bool(regressions) == worse
    if worse:
        assert parsed.key in regressions[0]


def test_percent(plan: Json):
    largest = max(range(3), key=lambda rank: plan["devices"][rank]["arena_bytes"])
    before = plan["devices"][largest]["arena_bytes"]
    limit = [parse_limit("arena_bytes+2%")]
    assert not compare(plan, changed(plan, largest, "arena_bytes", before // 50), limit).regressions
    more = changed(plan, largest, "arena_bytes", before // 50 + 1)
    assert compare(plan, more, limit).regressions


@pytest.mark.parametrize("text", ["", "arena_bytes", "arena_bytes+", "arena_bytes-2", "x+1.2.3"])
def test_bad_limits(text: str):
    with pytest.raises(PlanError, match="is not KEY"):
        parse_limit(text)


def test_a_limit_on_no_figure(plan: Json):
    with pytest.raises(PlanError, match="no such figure; there are arena_bytes"):
        compare(plan, plan, [parse_limit("file+0")])
    unknown = deepcopy(plan)
    unknown["devices"][1]["host_arena_bytes"] = None
    with pytest.raises(PlanError, match="not known in both"):
        compare(plan, unknown, [parse_limit("host_arena_bytes+0")])


def test_where_plans_are_read_from(tmp_path: Path, plan: Json):
    assert read_document(tmp_path / "out") == plan
    assert read_document(tmp_path / "out" / "plan.json") == plan
    awkward = deepcopy(plan)
    awkward["layers"][0]["node"] = "</script><b>a;b"
    page = f'<p><script type="application/json" id="plan">{embedded(awkward)}</script>'
    (tmp_path / "report.html").write_text(page)
    found = read_document(tmp_path / "report.html")
    assert found["layers"] == awkward["layers"]
    assert not compare(plan, found, [parse_limit("each:arena_bytes+0")]).regressions


def test_what_is_no_plan(tmp_path: Path, plan: Json):
    (tmp_path / "x.html").write_text("<p>")
    (tmp_path / "x.bin").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "x.json").write_text("{}")
    del plan["devices"]
    (tmp_path / "y.json").write_text(json.dumps(plan))
    for name, message in [
        ("none", "no such file"), ("x.html", "not a report"), ("x.bin", "not text"),
        ("x.json", "not a plan.json"), ("y.json", "devices is missing"),
    ]:  # fmt: skip
        with pytest.raises(PlanError, match=message):
            read_document(tmp_path / name)
