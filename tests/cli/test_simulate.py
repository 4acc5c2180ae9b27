# SPDX-License-Identifier: Apache-2.0
"""``tflsplit simulate``: tables, JSON, sweeps, CSV, errors."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import bundle_of
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.cli.sweeps import parse_sweep
from tflsplit.cluster import default_cluster
from tflsplit.errors import ClusterError
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.sim import simulate, simulate_seed


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(bundle_of(tmp_path / "out", "ds_cnn", 3))


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["simulate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_table(folder: str, capsys: pytest.CaptureFixture[str]):
    assert main(["simulate", folder]) == 0
    text = capsys.readouterr().out
    assert "3 teensy41 in a ring of UARTs at 6 Mbit/s" in text
    assert "teensy41-2" in text
    assert "host" in text


def test_json_is_the_simulation(folder: str, capsys: pytest.CaptureFixture[str]):
    devices = read_bundle(Path(folder)).devices
    found = answer(capsys, folder, "--link", "spi", "--inputs", "2")
    expected = simulate(devices, default_cluster(3, "spi"), inputs=2)
    assert found.pop("interrupts_us") == [None] * 3  # SPI moves blocks
    assert found == json.loads(json.dumps(expected.document()))


def test_a_cluster_file(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "cluster.toml"
    file.write_text('topology = "line"\n[[device]]\nboard = "pico"\ncount = 3\n')
    slow = answer(capsys, folder, "--cluster", str(file))
    fast = answer(capsys, folder)
    assert slow["devices"][0]["compute_us"] > 5 * fast["devices"][0]["compute_us"]
    assert all(0 < us < slow["total_us"] for us in slow["interrupts_us"])
    assert slow["energy_mj"] is None
    assert fast["energy_mj"] > 0
    assert {(w["from"], w["to"]) for w in slow["wires"]} == {
        (0, 1), (1, 0), (1, 2), (2, 1), (0, 3), (3, 0)
    }  # fmt: skip


def test_sweep_of_a_rate(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    saved = tmp_path / "sweep.csv"
    rows = answer(capsys, folder, "--sweep", "baud=1e6,6e6", "--csv", str(saved))
    assert [row["baud"] for row in rows] == [1e6, 6e6]
    assert rows[0]["latency_us"] > 2 * rows[1]["latency_us"]
    with saved.open() as file:
        read = list(csv.DictReader(file))
    assert [{k: float(v) for k, v in row.items()} for row in read] == rows
    assert rows[1]["latency_us"] == answer(capsys, folder)["latencies_us"][0]


def test_sweep_of_devices_splits_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = str(bundle_of(tmp_path / "out", "resnet", 3))
    rows = answer(capsys, folder, "--sweep", "n=1..4")
    assert [row["n"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["payload_bytes"] == 0
    # one device's plan is searched, all of it on our kernels; the folder's own has stock operators
    assert rows[2]["compute_us"] < rows[0]["compute_us"]
    two = str(tmp_path / "two")
    assert main(["rewrite", f"{folder}/model.tflite", "-n", "2", "-o", two, "--json"]) == 0
    capsys.readouterr()
    assert rows[1]["latency_us"] == answer(capsys, two)["latencies_us"][0]
    # Of as many devices as the folder has, the folder's own graphs.
    assert rows[2]["latency_us"] == answer(capsys, folder)["latencies_us"][0]


def test_the_seeds_scheme_beside(folder: str, capsys: pytest.CaptureFixture[str]):
    whole = fold_constants(read_bundle(Path(folder)).model)
    seed = simulate_seed(whole, default_cluster(3, "ethernet"))
    found = answer(capsys, folder, "--link", "ethernet", "--baseline")
    assert found["seed"] == json.loads(json.dumps(seed.document()))
    assert "seed" not in answer(capsys, folder)
    assert main(["simulate", folder, "--link", "ethernet", "--baseline"]) == 0
    text = capsys.readouterr().out
    assert "flat splitting" in text
    assert f"{seed.latency_us / 1000:.2f}" in text
    rows = answer(capsys, folder, "--baseline", "--sweep", "n=2,3")
    for row in rows:
        run = simulate_seed(whole, default_cluster(int(row["n"])))
        assert row["seed_latency_us"] == run.latency_us
        assert row["seed_payload_bytes"] == run.document()["payload_bytes"]
    assert main(["simulate", folder, "--baseline", "--sweep", "baud=1e6,6e6"]) == 0
    assert "flat ms" in capsys.readouterr().out


def test_where_the_time_goes(folder: str, capsys: pytest.CaptureFixture[str]):
    found = answer(capsys, folder, "--why")
    reasons = found["why"]
    assert sum(reasons["shares_us"].values()) == pytest.approx(found["latencies_us"][0])
    assert reasons["path"][0]["start_us"] == 0
    assert reasons["path"][-1]["end_us"] == found["latencies_us"][0]
    assert "why" not in answer(capsys, folder)
    assert main(["simulate", folder, "--why"]) == 0
    text = capsys.readouterr().out
    assert "where the time goes: the critical path" in text
    assert f"{found['latencies_us'][0] / 1000:.2f}" in text
    assert main(["simulate", folder, "--why", "--sweep", "baud=1e6,6e6"]) == 2
    assert "--why is of one simulation" in capsys.readouterr().err


def test_energy_that_is_not_known_is_said(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "cluster.toml"
    file.write_text('[[device]]\nboard = "mps2_an500"\ncount = 3\n')
    assert main(["simulate", folder, "--cluster", str(file)]) == 0
    assert "not known" in capsys.readouterr().out


def test_other_sweeps(folder: str, capsys: pytest.CaptureFixture[str]):
    rates = answer(capsys, folder, "--sweep", "error_rate=0,5e-4", "--seed", "5")
    assert rates[0]["resent_frames"] == 0 < rates[1]["resent_frames"]
    flights = answer(capsys, folder, "--sweep", "in_flight=1,2", "--inputs", "3")
    assert flights[1]["throughput_per_s"] > flights[0]["throughput_per_s"]
    sizes = answer(capsys, folder, "--sweep", "mtu_bytes=256,1024")
    assert sizes[0]["frames"] > sizes[1]["frames"]
    polls = answer(capsys, folder, "--sweep", "background_poll_us=0,100")
    assert polls[1]["compute_us"] > polls[0]["compute_us"]
    assert main(["simulate", folder, "--sweep", "in_flight=1,2"]) == 0
    assert "sweep of in_flight" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--sweep", "speed=3"], "no such key; known are: n, "),
        (["--sweep", "n=1..x"], "'1..x' is neither a number nor a range"),
        (["--sweep", "n=4..1"], "a range goes up"),
        (["--sweep", "n=1.5"], "whole numbers"),
        (["--sweep", "n=65"], "must be 1 to 64"),
        (["--sweep", "baud=3"], "too few"),
        (["--sweep", "mtu_bytes=300,510"], "multiple of 4"),
        (["--csv", "x.csv"], "--csv saves the table of a --sweep"),
        (["--error-rate", "0.5"], "out of range"),
        (["--inputs", "0"], "at least one input"),
        (["--link", "uart", "--cluster", "none.toml"], "--link describes the default cluster"),
        (["--cluster", "none.toml"], "no such file"),
    ],
)
def test_errors(folder: str, capsys: pytest.CaptureFixture[str], words: list[str], says: str):
    assert main(["simulate", folder, *words]) == 2
    assert says in capsys.readouterr().err


def test_a_cluster_of_another_size(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "cluster.toml"
    file.write_text('[[device]]\nboard = "pico"\ncount = 2\n[[device]]\nboard = "pico2"\n')
    assert main(["simulate", folder, "--cluster", str(file), "--sweep", "n=2"]) == 2
    assert "equal devices" in capsys.readouterr().err
    file.write_text('[[device]]\nboard = "pico"\ncount = 2\n')
    assert main(["simulate", folder, "--cluster", str(file)]) == 2
    assert "the graphs are for 3 devices, the cluster has 2" in capsys.readouterr().err


def test_values_of_a_sweep():
    assert parse_sweep("n=1..3,8") == ("n", [1, 2, 3, 8])
    assert parse_sweep("baud=115200,6e6") == ("baud", [115200, 6e6])
    with pytest.raises(ClusterError):
        parse_sweep("baud")


def test_where_a_single_device_spends_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """No wires between devices, nothing takes less than no time, and the host has its name."""
    folder = bundle_of(tmp_path / "one", "ds_cnn", 1)
    assert main(["simulate", str(folder), "--why"]) == 0
    text = capsys.readouterr().out
    assert re.match(r"1 teensy41: [0-9.]+ ms from the host and back", text)
    assert " -0" not in text
    (result,) = (line.split() for line in text.splitlines() if "output from 0" in line)
    assert result[:2] == ["host", "result"]
