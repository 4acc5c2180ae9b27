# SPDX-License-Identifier: Apache-2.0
"""``import tflsplit``: what it offers, what it says when printed, what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import tflsplit
from tests.bundles import bundle_of, replace_value, rewrite_node
from tests.splits import needs_tflm, tiny
from tests.support import run_tflm
from tflsplit.cli import main
from tflsplit.cluster import default_cluster
from tflsplit.errors import ModelError, PlanError, UserError
from tflsplit.ir import DType, Graph
from tflsplit.tflite import write_model

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "mobilenet"
pytestmark = needs_tflm


@pytest.fixture(scope="module")
def model() -> bytes:
    return write_model(tiny(NETWORK))


@pytest.fixture(scope="module")
def split(model: bytes) -> tflsplit.SplitModel:
    return tflsplit.rewrite(model, devices=3, board="pico", objective="ram")


def random_input(split: tflsplit.SplitModel, seed: int = 1) -> np.ndarray:
    shape = split.plan["inputs"][0]["shape"]
    return np.asarray(np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int8))


def test_it_runs_and_gives_the_unsplit_models_bits(split: tflsplit.SplitModel):
    assert split.world_size > 1, "nothing was split"
    for seed in range(3):
        x = random_input(split, seed)
        (wanted,) = run_tflm(split.bundle.model, [x])
        np.testing.assert_array_equal(split.run(x), wanted)
        name = split.plan["inputs"][0]["tensor"]
        for form in ([x], {name: x}, x[0]):
            np.testing.assert_array_equal(split.run(form), wanted)


def test_it_verifies_and_can_fail(split: tflsplit.SplitModel, tmp_path: Path):
    passed = split.verify(runs=1)
    assert passed
    assert re.match(r"the same bits: \d devices and the unsplit model on tflm, ", repr(passed))
    folder = bundle_of(tmp_path / "out", "ds_cnn", 2)
    assert tflsplit.load(folder).verify(runs=1)

    def spoil(graph: Graph) -> None:
        """Other weights on one device."""
        weights = next(value for value in graph.constants() if value.dtype is DType.INT8)
        assert weights.data is not None
        replace_value(graph, weights, replace(weights, data=-weights.data))

    rewrite_node(folder, 1, spoil)
    failed = tflsplit.load(folder, check=False).verify(runs=1)
    assert not failed
    assert re.match("FAILED: tensor .* differs on rank 1", repr(failed))


def test_it_is_simulated_on_what_it_was_made_for(split: tflsplit.SplitModel):
    simulation = split.simulate()
    assert {device.board for device in split.cluster.devices} == {"pico"}
    assert split.cluster.link.bit_rate == 3_000_000
    assert simulation.latency_ms > simulation.graph_ms > 0
    assert f"{split.world_size} pico in a ring of UARTs at 3 Mbit/s" in repr(simulation)
    elsewhere = split.simulate(cluster=default_cluster(split.world_size))
    assert elsewhere.latency_ms < simulation.latency_ms
    with pytest.raises(PlanError, match="the cluster has 64"):
        split.simulate(cluster=default_cluster(64))


def test_the_command_line_writes_and_reads_the_same(
    split: tflsplit.SplitModel, model: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source, out = tmp_path / "model.tflite", tmp_path / "cli"
    source.write_bytes(model)
    words = ["-n", "3", "--board", "pico", "--objective", "ram", "-o", str(out)]
    assert main(["rewrite", str(source), *words]) == 0
    ours = split.save(tmp_path / "api")
    names = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    folder = tmp_path / "api"
    assert names == {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    for name in names:
        assert (out / name).read_bytes() == (folder / name).read_bytes(), name
    capsys.readouterr()
    assert main(["simulate", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["latencies_us"][0] / 1000 == ours.simulate().latency_ms


def test_a_saved_plan_is_replayed(
    split: tflsplit.SplitModel, model: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source, saved = tmp_path / "model.tflite", tmp_path / "saved.json"
    source.write_bytes(model)
    saved.write_text(json.dumps(split.plan))
    ours = tflsplit.rewrite(source, plan=saved)
    assert ours.plan["layers"] == split.plan["layers"]
    assert ours.plan["objective"] is None, "nobody searched it"
    out = tmp_path / "out"
    assert main(["rewrite", str(source), "--plan", str(saved), "-o", str(out)]) == 0
    assert tflsplit.load(out).plan == ours.plan


def test_an_inference_in_processes_says_what_was_sent(split: tflsplit.SplitModel):
    x = random_input(split)
    here, apart = split.infer(x), split.infer(x, processes=True)
    np.testing.assert_array_equal(here.outputs[0], apart.outputs[0])
    sent = [entry["sent_bytes"] for entry in split.plan["devices"]]
    assert [d.sent_bytes for d in here.devices] == sent == [d.sent_bytes for d in apart.devices]
    assert split.infer(x).devices[0].sent_bytes == sent[0], "of one inference, not of all so far"


def test_a_report_and_a_folder_that_is_taken(split: tflsplit.SplitModel, tmp_path: Path):
    pytest.importorskip("jinja2", reason="needs Jinja2: pip install '.[report]'")
    page = split.report(tmp_path / "r.html")
    assert "<html" in page.path.read_text()
    assert page.latency_ms == split.simulate().latency_ms
    assert re.match(r".*r\.html \(.* KiB\): everything fits, ", repr(page))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    with pytest.raises(PlanError, match="holds other things"):
        split.save(tmp_path / "taken")
    split.save(tmp_path / "taken", force=True)
    assert (tmp_path / "taken" / "mine.txt").read_text() == "mine"
    with pytest.raises(PlanError, match="holds this already"):
        tflsplit.load(tmp_path / "taken").save(tmp_path / "elsewhere")


class Texts(HTMLParser):
    """The tags and texts of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_objects_print_well_and_escape_what_they_show(model: bytes, tmp_path: Path):
    path = tmp_path / "<script>.tflite"
    path.write_bytes(model)
    split = tflsplit.rewrite(path, devices=2, objective="ram")
    for shown in (split, split.simulate(), split.verify(runs=0)):
        assert "object at 0x" not in repr(shown)
        page = Texts()
        page.feed(shown._repr_html_())
        assert "script" not in page.tags
    page = Texts()
    page.feed(split._repr_html_())
    assert page.tags.count("tr") == 1 + split.world_size
    assert any("<script> on" in text for text in page.texts)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "say how many devices there are"),
        ({"devices": 0}, "must be 1 to"),
        ({"devices": 2, "board": "picco"}, "did you mean 'pico'"),
        ({"devices": 2, "board": ["pico"] * 3}, "3 boards are named for 2 devices"),
        ({"devices": 2, "topology": "bus"}, "unknown topology 'bus'"),
        ({"devices": 2, "link": "wifi"}, "unknown kind of link 'wifi'"),
        ({"devices": 2, "objective": "fast"}, "unknown objective 'fast'"),
        ({"devices": 3, "cluster": default_cluster(2)}, "devices=3, but the cluster has 2"),
        ({"board": "pico", "cluster": default_cluster(2)}, "leave out board"),
        ({"devices": 2, "max_arena": "much"}, "'much' is no size"),
        ({"devices": 2, "max_ram": "less"}, "'less' is no size"),
        ({"plan": "none.json"}, "none.json: no such file"),
        ({"devices": 2, "plan": "none.json", "objective": "ram"}, "give one of them"),
        ({"devices": 2, "board": "pico2"}, "there is no firmware for pico2"),
        ({"cluster": default_cluster(2, board="pico2")}, "device 0 of the cluster: there is no fi"),
    ],
)
def test_what_is_refused(words: dict[str, object], message: str, model: bytes):
    with pytest.raises(UserError, match=message):
        tflsplit.rewrite(model, **words)  # type: ignore[arg-type]


def test_what_does_not_fit(split: tflsplit.SplitModel):
    with pytest.raises(UserError, match=r"has shape \[1, 2, 2, 3\]"):
        split.run(np.zeros((1, 2, 2, 3), np.int8))
    with pytest.raises(UserError, match="the model has 1 input"):
        split.run([random_input(split)] * 2)
    with pytest.raises(UserError, match="the model's inputs are"):
        split.run({"nobody": random_input(split)})
    with pytest.raises(ModelError):
        tflsplit.rewrite(b"no model", devices=2)


def test_importing_costs_nothing_and_misspelt_names_are_errors():
    code = "import sys, tflsplit; assert not {'numpy', 'simpy', 'tflsplit.api'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"rewrite", "load", "SplitModel"} <= set(dir(tflsplit))
    with pytest.raises(AttributeError, match="no attribute 'rewrit'"):
        tflsplit.rewrit  # type: ignore[attr-defined]  # noqa: B018
    from tflsplit import api

    assert set(api.__all__) == set(tflsplit._FACADE)  # type: ignore[attr-defined]
    stub = (ROOT / "rewriter" / "tflsplit" / "__init__.pyi").read_text()
    named = re.findall(r"^from tflsplit.api import (\w+) as \1$", stub, re.MULTILINE)
    assert set(named) == set(api.__all__)
