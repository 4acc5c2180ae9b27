# SPDX-License-Identifier: Apache-2.0
"""The page itself: whole, escaped, self-contained, with the numbers of plan.json."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.report.pages import bundle_in, content_of, parse
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.runs import write_run
from tflsplit.cluster import default_cluster
from tflsplit.report.choices import OBJECTIVE_WORDS
from tflsplit.report.content import Content
from tflsplit.report.documents import read_document
from tflsplit.report.figures import kib, milliseconds
from tflsplit.report.page import render

KEYS = (
    "arena_bytes", "arena_head_bytes", "arena_tail_bytes", "weights_bytes", "sent_bytes",
    "received_bytes", "macs",
)  # fmt: skip
HOSTILE = '</script><img src=x onerror="boom()">;a/<lambda>&{{ 7 * 7 }}'


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_in(tmp_path, "mobilenet", 3)


@pytest.fixture
def content(bundle: Bundle) -> Content:
    return content_of(bundle, (1,))


def test_numbers_are_those_of_plan_json(content: Content):
    page = parse(render(content))
    for entry in content.document["devices"]:
        for key in KEYS:
            (cell,) = page.all("td", data_key=key, data_rank=str(entry["rank"]))
            assert cell.attributes["data-value"] == str(entry[key])
            shown = float(cell.text.split()[0])
            unit = {"KiB": 1024, "MiB": 1 << 20, "B": 1, "M": 1e6}[cell.text.split()[1]]
            assert shown * unit == pytest.approx(entry[key], rel=0.01, abs=5500)
    rows = [row for row in page.all("tr") if "data-layer" in row.attributes]
    assert [row.attributes["data-way"] for row in rows] == [
        layer["way"] for layer in content.document["layers"]
    ]


def test_the_seeds_scheme_stands_beside_ours(content: Content):
    page = parse(render(content))
    for one in content.beside:
        (row,) = page.all("tr", data_n=str(one.world_size))
        cells = [cell.text for cell in row.all("td")]
        assert cells[:2] == [milliseconds(one.latency_us), milliseconds(one.seed_latency_us)]
        assert one.seed is not None
        assert cells[3] == kib(one.seed.traffic_bytes)
        assert cells[5] == kib(one.seed.peak_bytes)


def test_it_needs_nothing_else(content: Content):
    """No address of anything, but that of SVG's and plan.json's own names."""
    page = render(content)
    assert "http" not in page.replace("http-equiv", "")
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_structure_is_accessible(content: Content):
    page = parse(render(content))
    (html,) = page.all("html")
    assert html.attributes["lang"] == "en"
    assert len(list(page.all("h1"))) == 1
    ids = [
        e.attributes["id"]
        for tag in ("section", "h2", "p", "figure", "tr")
        for e in page.all(tag)
        if "id" in e.attributes
    ]
    for section in page.all("section"):
        assert section.attributes["aria-labelledby"] in ids
    for link in page.all("a"):
        assert link.attributes["href"][1:] in ids
    for table in page.all("table"):
        assert all("scope" in head.attributes for head in table.all("th"))
    charts = list(page.all("svg"))
    assert len(charts) == len(content.devices) + 3  # time, and the wiring wide and narrow
    assert all(chart.attributes["role"] == "img" for chart in charts)
    assert all(chart.attributes["aria-label"] for chart in charts)


def test_names_cannot_break_out(bundle: Bundle):
    """Names of converters hold ``<`` and ``;``; names of others may be worse."""
    layers = [{**layer, "node": HOSTILE + str(at), "reason": HOSTILE}
              for at, layer in enumerate(bundle.document["layers"])]  # fmt: skip
    document = {**bundle.document, "layers": layers, "model_name": HOSTILE}
    whole = content_of(bundle)
    views = tuple(replace(v, entry=e) for v, e in zip(whole.layers, layers, strict=True))
    page = render(replace(whole, document=document, layers=views,
                          charts={**whole.charts, "layers": [HOSTILE]}))  # fmt: skip
    parsed = parse(page)
    assert not list(parsed.all("img"))
    assert "49" not in next(parsed.all("h1")).text
    assert HOSTILE in next(parsed.all("h1")).text
    (row,) = parsed.all("tr", data_layer="0")
    assert next(row.all("th")).attributes["title"] == HOSTILE + "0"


def test_what_does_not_fit_is_said(tmp_path: Path):
    bundle = read_bundle(bundle_of(tmp_path / "out", "mobilenet", 2))
    cluster = default_cluster(2)
    small = replace(cluster.devices[1], arena_limit_bytes=1024, weights_limit_bytes=2048)
    page = parse(
        render(content_of(bundle, cluster=replace(cluster, devices=(cluster.devices[0], small))))
    )
    (verdict,) = page.all("span", id="verdict")
    assert verdict.text == "DOES NOT FIT"
    first, second = list(next(page.all("table", id="devices")).all("tr"))[1:]
    assert "DOES NOT FIT" not in first.text
    assert "of RAM short" in second.text
    assert "of flash short" in second.text


def test_every_kind_of_layer(tmp_path: Path):
    """Sums over input channels, concatenations, several outputs: all have their row."""
    for name in ("autoencoder", "unet", "temporal", "squeeze_excite"):
        content = content_of(bundle_in(tmp_path, name, 3))
        page = parse(render(content))
        rows = [row for row in page.all("tr") if "data-layer" in row.attributes]
        assert len(rows) == len(content.document["layers"])


def test_one_device(tmp_path: Path):
    page = parse(render(content_of(bundle_in(tmp_path, "ds_cnn", 1))))
    assert next(page.all("h1")).text.endswith("on 1 device")
    assert next(page.all("title")).text.endswith("on 1 device")


def test_runs(tmp_path: Path):
    bundle = read_bundle(bundle_of(tmp_path / "out", "ds_cnn", 2))
    assert not list(parse(render(content_of(bundle))).all("section", id="runs"))
    entry = bundle.document["devices"][0]
    device = {"rank": 0, "sent_bytes": entry["sent_bytes"], "arena_used_bytes": 0}
    write_run(bundle.folder, "emulate", bundle.document["fingerprint"], {"devices": [device]}, True)
    (section,) = parse(render(content_of(bundle))).all("section", id="runs")
    assert "the unsplit model's bits" in section.text
    (row,) = list(next(section.all("table")).all("tr"))[1:]
    assert "sent" in row.text
    assert row.text.endswith("=")


def test_compare_reads_the_page(content: Content, tmp_path: Path):
    (tmp_path / "report.html").write_text(render(content))
    found = read_document(tmp_path / "report.html")
    for key in KEYS:
        assert [d[key] for d in found["devices"]] == [d[key] for d in content.document["devices"]]


def test_the_first_screen_sets_the_cluster_against_one_board(content: Content):
    page = parse(render(content))
    (summary,) = page.all("section", id="summary")
    assert content.choices.alone is not None
    assert kib(content.choices.alone.arena_bytes) in summary.text
    assert kib(content.choices.tflm_arena_bytes) in summary.text
    assert kib(content.fullest.fit.arena_bytes) in summary.text
    rows = list(next(summary.all("table", id="objectives")).all("tr"))[1:]
    named = [next(row.all("code")).text for row in rows]
    assert named == [f"--objective {each}" for each in OBJECTIVE_WORDS]
    devices = [next(row.all("td")).text for row in rows]
    assert devices[-1] == f"{content.document['world_size']} × 1", "copies of the model"
    (moved,) = page.all("dd", id="moved")
    sent = sum(device["sent_bytes"] for device in content.document["devices"])
    assert moved.attributes["data-value"] == str(sent)


def test_without_a_search_nothing_is_claimed_of_one_board(tmp_path: Path):
    page = parse(render(content_of(bundle_in(tmp_path, "ds_cnn", 2))))
    (summary,) = page.all("section", id="summary")
    assert "was not looked for" in summary.text
    assert not list(summary.all("table"))


def test_where_the_time_goes_adds_up(content: Content):
    shares = content.reasons.shares_us
    assert sum(shares.values()) == pytest.approx(content.simulation.latency_us)
    (table,) = parse(render(content)).all("table", id="why")
    assert [next(row.all("th")).text for row in list(table.all("tr"))[1:]] == list(shares)
