# SPDX-License-Identifier: Apache-2.0
"""What a folder remembers of its wires, an option takes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bundles import plan_of
from tests.splits import tiny
from tflsplit.cli import main
from tflsplit.tflite import write_model

MADE = ["-n", "2", "--board", "pico", "--manual", "split=rows"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("taken back")
    (place / "m.tflite").write_bytes(write_model(tiny("resnet")))
    assert main(["rewrite", str(place / "m.tflite"), *MADE, "-o", str(place / "out")]) == 0
    return place / "out"


@pytest.mark.parametrize(
    ("given", "back"),
    [
        (
            ["--direct", "--baud", "1000000", "--background-poll-us", "0"],
            ["--no-direct", "--baud", "auto", "--background-poll-us", "auto"],
        ),
        (
            ["--link", "spi", "--topology", "line", "--gateway", "1", "--mtu", "256"],
            [
                "--link",
                "uart",
                "--baud",
                "auto",
                "--topology",
                "ring",
                "--gateway",
                "0",
                "--mtu",
                "512",
            ],
        ),
    ],
)
def test_an_option_takes_back_what_another_said(
    given: list[str], back: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
):
    before = plan_of(folder)["cluster"], (folder / "firmware.json").read_text()
    assert main(["firmware", str(folder), *given]) == 0
    changed = plan_of(folder)["cluster"]
    assert changed != before[0]
    capsys.readouterr()
    assert main(["firmware", str(folder)]) == 0
    assert (plan_of(folder)["cluster"], capsys.readouterr().err) == (changed, ""), "remembered"
    assert main(["firmware", str(folder), *back]) == 0
    assert " (it was for 2 " in " ".join(capsys.readouterr().err.split())
    assert (plan_of(folder)["cluster"], (folder / "firmware.json").read_text()) == before


@pytest.mark.parametrize("words", [["--link", "spi"], ["--no-direct"], ["--baud", "auto"]])
def test_what_a_file_says_no_option_says_again(
    words: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "c.toml"
    file.write_text('[[device]]\nboard = "pico"\ncount = 2\n')
    assert main(["firmware", str(folder), "--cluster", str(file), *words]) == 2
    assert f"leave out {words[0].replace('no-', '')}" in " ".join(capsys.readouterr().err.split())


def test_a_host_at_the_gateway_alone_is_simulated(folder: Path, capsys: pytest.CaptureFixture[str]):
    """For once, whatever the folder was made for."""
    assert main(["firmware", str(folder), "--direct"]) == 0
    times = []
    for words in ([], ["--no-direct"], ["--direct"]):
        capsys.readouterr()
        assert main(["simulate", str(folder), "--json", *words]) == 0
        said = capsys.readouterr()
        times.append(json.loads(said.out)["latencies_us"])
        assert ("note: the gateway alone" in said.err) == (words == ["--no-direct"])
    assert times[0] == times[2] != times[1]
    assert main(["firmware", str(folder), "--no-direct"]) == 0
