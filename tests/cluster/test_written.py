# SPDX-License-Identifier: Apache-2.0
"""A cluster as the JSON object that an output folder keeps, and back."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import pytest

from tflsplit.cluster import (
    Cluster,
    Cycles,
    Device,
    LinkKind,
    LinkSpec,
    board_names,
    cluster_document,
    cluster_of_document,
    default_cluster,
    parse_cluster,
    read_cluster,
)
from tflsplit.errors import ClusterError

ROOT = Path(__file__).resolve().parents[2]
ALL_KEYS = """
topology = "line"
input_rank = 1
output_rank = 0
teams = 3
[link]
kind = "spi"
clock_hz = 12_000_000
bits_per_byte = 9.5
frame_overhead_bytes = 3
frame_overhead_us = 1.5
step_overhead_us = 7.0
duplex = "half"
[[wire]]
ranks = [1, 2]
kind = "uart"
baud = 500_000
[host]
kind = "ethernet"
stream = false
ahead = true
[link_layer]
mtu_bytes = 256
rx_slots = 3
tx_slots = 5
port_rx_bytes = 100
port_tx_bytes = 200
flow_control = "rts_cts"
background_poll_us = 250.0
[[device]]
board = "teensy41"
ram_bytes = 500_000
arena_limit_bytes = 100_000
weights_limit_bytes = 200_000
[[device]]
board = "pico"
count = 2
cycles_per_mac = { conv = 3.5 }
[[device]]
name = "mine"
ram_bytes = 65_536
ram_block_bytes = 60_000
flash_bytes = 262_144
clock_hz = 48_000_000
stack_bytes = 1
runtime_bytes = 2
code_bytes = 3
kernels = "reference"
abi = "esp32"
flash_bytes_per_s = 16e6
flash_cache_bytes = 16_384
active_mw = 10.0
idle_mw = 1.0
usb = "high"
[device.cycles_per_mac]
conv = 10
pointwise = 11
depthwise = 36
fully_connected = 11
other_per_byte = 108
copy_per_byte = 4
add_per_value = 5
[[device.bank]]
name = "near"
size_bytes = 4096
[[device.bank]]
name = "far"
size_bytes = 1_000_000
read_cycles_per_byte = 12.5
write_cycles_per_byte = 9.0
section = ".far"
"""


def there_and_back(cluster: Cluster) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(cluster_document(cluster)))
    assert cluster_of_document(document, "plan.json") == cluster
    return document


@pytest.mark.parametrize("kind", list(LinkKind))
@pytest.mark.parametrize("board", board_names())
def test_default_clusters(board: str, kind: LinkKind):
    document = there_and_back(default_cluster(3, kind, board))
    assert document["device"] == [{"board": board, "count": 3}], (
        "a board's own numbers are not kept"
    )


def test_every_key_that_a_file_may_have():
    cluster = parse_cluster(ALL_KEYS)
    there_and_back(cluster)
    there_and_back(read_cluster(ROOT / "examples" / "mixed.toml"))


def test_nothing_of_a_cluster_is_forgotten():
    """The file above sets every number of every class to another than its default."""
    cluster = parse_cluster(ALL_KEYS)
    mine = cluster.devices[3]
    for found, kind in ((mine, Device), (cluster.link, LinkSpec), (cluster, Cluster)):
        for item in fields(kind):
            if item.name in ("arena_limit_bytes", "weights_limit_bytes"):
                continue  # of device 0
            if item.name in ("medium", "direct", "host_links", "output_rank"):
                continue  # below; not with this topology; as input_rank
            if item.name == "kind" or item.default is MISSING:
                continue
            assert getattr(found, item.name) != item.default, f"{item.name} is not tried"
    assert {item.name for item in fields(Cycles)} >= {"add_per_value"}


def test_a_shared_medium():
    text = 'topology = "bus"\nmedium = "switched"\n[[device]]\nboard = "pico"\ncount = 3\n'
    assert there_and_back(parse_cluster(text))["medium"] == "switched"


@pytest.mark.parametrize("link", ["", 'kind = "ethernet"\n'])
def test_input_straight_to_every_device(link: str):
    text = f"[host]\ndirect = true\n{link}[[device]]\nboard = 'pico'\ncount = 2\n"
    text += "[[device]]\nboard = 'teensy41'\n"
    cluster = parse_cluster(text)
    assert cluster.direct
    assert bool(cluster.host_links) == (not link)
    assert there_and_back(cluster)["host"]["direct"] is True


def test_names_of_devices_that_were_left_out_move_up():
    cluster = default_cluster(3)
    without = replace(cluster, devices=(cluster.devices[0], cluster.devices[2]))
    again = cluster_of_document(cluster_document(without), "plan.json")
    assert [device.name for device in again.devices] == ["teensy41-0", "teensy41-1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"link": {"baudrate": 1}}, r"a/plan.json: cluster.link.baudrate: unknown key"),
        ({"device": [{"board": "pikko"}]}, r"cluster.device\[0\].board: 'pikko' is not known"),
        ({"device": []}, r"a cluster needs at least one"),
        ({"topology": 7}, r"cluster.topology: 7 is no text"),
        ({"device": [{"board": "pico", "count": 10**9}]}, "out of range"),
    ],
)
def test_what_is_no_cluster_is_refused_by_name(change: dict[str, Any], message: str):
    document = cluster_document(default_cluster(2)) | change
    with pytest.raises(ClusterError, match=message):
        cluster_of_document(document, "a/plan.json")
