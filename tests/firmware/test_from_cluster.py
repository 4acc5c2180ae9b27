# SPDX-License-Identifier: Apache-2.0
"""What a cluster.toml says reaches the firmware, or is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.splits import tiny
from tflsplit.cli import main
from tflsplit.cluster import parse_cluster
from tflsplit.errors import ClusterError
from tflsplit.firmware import options_of_cluster
from tflsplit.tflite import write_model
from tflsplit.wire.topology import Topology

ON_ALL = ["--manual", "split=rows"]
"""Divided by hand, because a search leaves out boards that such a small network does not need."""

MIXED = """
topology = "line"
gateway_rank = 2
[link]
kind = "uart"
bit_rate = 2_000_000
[link_layer]
mtu_bytes = 256
rx_slots = 6
background_poll_us = 300
[[device]]
board = "teensy41"
[[device]]
board = "pico"
count = 2
[[device]]
board = "nano33ble"
"""


def model_file(folder: Path) -> Path:
    path = folder / "mobilenet.tflite"
    path.write_bytes(write_model(tiny("mobilenet")))
    return path


def test_boards_wiring_and_link_layer_are_taken():
    options = options_of_cluster(parse_cluster(MIXED))
    assert options.boards == ("teensy41", "pico", "pico", "nano33ble")
    assert (options.topology, options.gateway) == (Topology.LINE, 2)
    assert (options.mtu_bytes, options.rx_slots, options.tx_slots) == (256, 6, 4)
    assert (options.baud, options.background_poll_us) == (2_000_000, 300)


def test_what_no_firmware_can_do_is_named():
    cluster = parse_cluster(MIXED)
    own = replace(cluster.devices[1], board="")
    strange = replace(cluster, devices=(cluster.devices[0], own, *cluster.devices[2:]))
    with pytest.raises(ClusterError, match="device 1 of the cluster has no board"):
        options_of_cluster(strange)
    named = options_of_cluster(strange, boards=("pico",))
    assert named.boards == ("pico",)
    with pytest.raises(ClusterError, match="input enters at rank 2 and output leaves at rank 0"):
        options_of_cluster(replace(cluster, output_rank=0))


def test_rewrite_for_a_cluster_generates_its_firmware(tmp_path: Path):
    (tmp_path / "cluster.toml").write_text(MIXED)
    model, out = model_file(tmp_path), tmp_path / "out"
    arguments = ["rewrite", str(model), "--cluster", str(tmp_path / "cluster.toml"), "-o", str(out)]
    assert main([*arguments, *ON_ALL]) == 0
    firmware = json.loads((out / "firmware.json").read_text())
    assert [each["board"] for each in firmware["devices"]] == [
        "teensy41", "pico", "pico", "nano33ble"
    ]  # fmt: skip
    assert [each["background_poll_us"] for each in firmware["devices"]] == [300] * 4
    assert (firmware["topology"], firmware["gateway"], firmware["baud"]) == ("line", 2, 2_000_000)
    assert [link["port"] for d in firmware["devices"] for link in d["links"]].count(-1) == 1
    assert "rx_slots = 6" in (out / "firmware/node0/config.h").read_text()
    assert (out / "nodes.ini").read_text().count("-DSPLIT_PORT_BAUD=2000000") == 4


def test_with_direct_input_every_device_has_a_host_link(tmp_path: Path):
    (tmp_path / "cluster.toml").write_text(MIXED + "[host]\ndirect = true\n")
    model, out = model_file(tmp_path), tmp_path / "out"
    arguments = ["rewrite", str(model), "--cluster", str(tmp_path / "cluster.toml"), "-o", str(out)]
    assert main([*arguments, *ON_ALL]) == 0
    firmware = json.loads((out / "firmware.json").read_text())
    assert firmware["direct"] is True
    for rank, device in enumerate(firmware["devices"]):
        assert device["links"][-1] == {"peer": 4, "port": -1}
        config = (out / f"firmware/node{rank}/config.h").read_text()
        assert f"{{4, 255, 0x{1 << 4:x}ULL}}" in config


def test_a_cluster_is_not_wired_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "cluster.toml").write_text(MIXED)
    model = str(model_file(tmp_path))
    arguments = ["rewrite", model, "--cluster", str(tmp_path / "cluster.toml"), "--baud", "9600"]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
    assert "says how the devices are wired" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_boards_by_option_are_planned_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model, out = str(model_file(tmp_path)), tmp_path / "out"
    boards = ["--board", "teensy41,pico", "--topology", "line"]
    assert main(["rewrite", model, "-n", "2", *boards, *ON_ALL, "-o", str(out)]) == 0
    firmware = json.loads((out / "firmware.json").read_text())
    assert [each["background_poll_us"] for each in firmware["devices"]] == [100, 480]
    assert firmware["baud"] == 3_000_000  # the slower board's
    assert (out / "nodes.ini").read_text().count("-DSPLIT_PORT_BAUD=3000000") == 2
    assert main(["rewrite", model, "-n", "3", *boards, *ON_ALL, "-o", str(out)]) == 2
    assert "2 boards are named for 3 devices" in capsys.readouterr().err


def test_an_spi_ring_is_planned_and_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    text = '[link]\nkind = "spi"\nclock_hz = 20_000_000\n[[device]]\nboard = "%s"\ncount = 3\n'
    options = options_of_cluster(parse_cluster(text % "teensy41"))
    assert (options.link, options.baud) == ("spi", 20_000_000)
    model, out = str(model_file(tmp_path)), tmp_path / "out"
    # Planned for a link that no firmware has: the plan is there, and says so.
    assert main(["rewrite", model, "-n", "2", "--link", "usb", *ON_ALL, "-o", str(out)]) == 0
    assert "no firmware: the firmware has no ring of usb" in capsys.readouterr().out
    assert main(["firmware", str(out), "--link", "spi", "--board", "teensy41"]) == 0
    assert json.loads((out / "firmware.json").read_text())["link"] == "spi"
    assert main(["firmware", str(out), "--link", "spi", "--board", "teensy41,pico"]) == 0
    assert json.loads((out / "firmware.json").read_text())["baud"] == 10_000_000  # the slower one's
    assert main(["firmware", str(out), "--link", "spi", "--board", "nano33ble"]) == 2
    assert (
        "no SPI link for nano33ble: both ends exist for teensy41, pico, teensy41_psram only"
        in capsys.readouterr().err
    )
