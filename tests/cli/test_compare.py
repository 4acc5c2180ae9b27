# SPDX-License-Identifier: Apache-2.0
"""``tflsplit compare``: tables, JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bundles import bundle_of, plan_of
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.cluster import read_cluster
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.sim import simulate, simulate_seed


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    a = bundle_of(tmp_path / "a", "ds_cnn", 2)
    b = bundle_of(tmp_path / "b", "ds_cnn", 2, "rows")
    return str(a), str(b)


def test_table(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["compare", *folders]) == 0
    text = capsys.readouterr().out
    before, after = (plan_of(Path(folder))["devices"][0]["arena_bytes"] for folder in folders)
    assert f"{before:,} → {after:,}" in text
    assert "split otherwise" in text


def test_exit_codes(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    """Rows repeat the weights on every device: more of them, and fewer bytes moved."""
    assert main(["compare", *folders, "--fail-on", "weights_bytes+2%"]) == 1
    assert "REGRESSION: largest weights_bytes" in capsys.readouterr().out
    assert main(["compare", *folders[::-1], "--fail-on", "weights_bytes+2%"]) == 0
    assert "nothing got worse" in capsys.readouterr().out
    assert main(["compare", *folders, "--fail-on", "arena"]) == 2
    assert main(["compare", folders[0], "none"]) == 2


def test_json(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]):
    assert main(["compare", *folders, "--json", "--fail-on", "weights_bytes+0"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["passed"]
    assert len(found["regressions"]) == 1
    figures = {(f["key"], f["what"]): f for f in found["figures"]}
    plans = [plan_of(Path(folder)) for folder in folders]
    for rank in range(2):
        figure = figures["macs", f"rank {rank}"]
        assert figure["before"] == plans[0]["devices"][rank]["macs"]
        assert figure["after"] == plans[1]["devices"][rank]["macs"]
        assert figure["change"] == figure["after"] - figure["before"]


def test_simulated_figures_and_the_seeds_scheme(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cluster = tmp_path / "cluster.toml"
    cluster.write_text('[link]\nbaud = 1_000_000\n[[device]]\nboard = "teensy41"\ncount = 2\n')
    options = ["--simulate", "--cluster", str(cluster)]
    assert main(["compare", *folders, *options, "--json"]) == 0
    found = {(f["key"], f["what"]): f for f in json.loads(capsys.readouterr().out)["figures"]}
    known = read_cluster(cluster)
    for name, folder in zip(("before", "after"), folders, strict=True):
        bundle = read_bundle(Path(folder))
        latency_us = simulate(bundle.devices, known).latency_us
        assert found["latency_us", "simulated"][name] == latency_us
        seed = simulate_seed(fold_constants(bundle.model), known)
        assert found["latency_us", "flat splitting, simulated"][name] == seed.latency_us
    is_faster = found["latency_us", "simulated"]["change"] < 0
    worse = folders[::-1] if is_faster else folders
    assert main(["compare", *worse, *options, "--fail-on", "latency_us+2%"]) == 1
    text = capsys.readouterr().out
    assert "REGRESSION: simulated latency_us" in text
    assert "flat splitting, simulated" in text
    assert main(["compare", *worse[::-1], *options, "--fail-on", "latency_us+2%"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--fail-on", "latency_us+2%"], "needs both simulated: add --simulate"),
        (["--cluster", "c.toml"], "--cluster is what --simulate simulates on"),
        (["--simulate", "--cluster", "none.toml"], "no such file"),
        (["--simulate", "--fail-on", "each:latency_us+1"], "is no figure of each device"),
        (["--simulate", "--fail-on", "energy+1"], "no such figure"),
    ],
)
def test_errors_of_simulating(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str], words: list[str], says: str
):
    assert main(["compare", *folders, *words]) == 2
    assert says in capsys.readouterr().err


def test_a_lone_plan_cannot_be_simulated(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
):
    assert main(["compare", folders[0], f"{folders[1]}/plan.json", "--simulate"]) == 2
    assert "holds no graphs to simulate" in capsys.readouterr().err


def test_reports_know_what_was_simulated(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pages = [str(tmp_path / f"{name}.html") for name in "ab"]
    for folder, page in zip(folders, pages, strict=True):
        assert main(["report", folder, "-o", page, "--beside", "none"]) == 0
    capsys.readouterr()
    assert main(["compare", *pages, "--json"]) == 0
    found = {(f["key"], f["what"]): f for f in json.loads(capsys.readouterr().out)["figures"]}
    assert found["latency_us", "simulated"]["before"] > 0
    assert (
        found["latency_us", "flat splitting, simulated"]["change"] == 0
    )  # one model, as many devices
