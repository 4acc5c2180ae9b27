# SPDX-License-Identifier: Apache-2.0
"""cluster.toml: what it may say, and errors that name file, line and key."""

import os
import re
from pathlib import Path

import pytest

from tflsplit.cluster import (
    BESIDE_MACS,
    Duplex,
    Family,
    Medium,
    Topology,
    default_cluster,
    known_board,
    parse_cluster,
)
from tflsplit.cluster import read_cluster as read
from tflsplit.cluster.fewer import fewer
from tflsplit.cluster.links import USB_SPEEDS
from tflsplit.cluster.toml_file import TomlFile
from tflsplit.errors import ClusterError

ROOT = Path(__file__).resolve().parents[2]
MIXED = """\
# One fast device, two slow ones, one slower still.
topology = "line"
gateway_rank = 1

[link]
kind = "uart"
baud = 2_000_000
duplex = "half"

[[wire]]                      # the last cable is long
ranks = [3, 2]
baud = 115_200

[[device]]
board = "teensy41"
weights_limit_bytes = 524_288

[[device]]
board = "pico"
count = 2

[[device]]
name = "mine"
ram_bytes = 65_536
flash_bytes = 262_144
clock_hz = 48_000_000
code_bytes = 100_000
[device.cycles_per_mac]
conv = 10
pointwise = 11.5
depthwise = 30
fully_connected = 12
other_per_byte = 90
copy_per_byte = 4
"""


def test_all_that_a_file_may_say():
    cluster = parse_cluster(MIXED)
    assert [device.board for device in cluster.devices] == ["teensy41", "pico", "pico", ""]
    assert [device.name for device in cluster.devices] == [
        "teensy41-0",
        "pico-1",
        "pico-2",
        "mine-3",
    ]
    assert cluster.topology is Topology.LINE
    assert (cluster.input_rank, cluster.output_rank) == (1, 1)
    assert cluster.link.duplex is Duplex.HALF
    assert cluster.link_of((1, 0)).bit_rate == 2_000_000
    assert cluster.link_of((3, 2)).bit_rate == 115_200
    assert cluster.link_of((3, 2)).duplex is Duplex.HALF
    assert cluster.weights_room_bytes(0) == 524_288
    assert cluster.devices[3].cycles.pointwise == 11.5
    assert cluster.weights_room_bytes(3) == 262_144 - 100_000
    assert cluster.devices[1].ram_block_bytes == 262_144
    assert cluster.devices[3].ram_block_bytes == 65_536


def test_the_shortest_file_is_the_default_cluster():
    assert parse_cluster('[[device]]\nboard = "teensy41"\ncount = 8\n') == default_cluster(8)
    spi = '[link]\nkind = "spi"\nclock_hz = 30_000_000\n[[device]]\nboard = "teensy41"\ncount = 3\n'
    assert parse_cluster(spi) == default_cluster(3, "spi")


def test_direct_input_goes_over_each_devices_own_usb():
    boards = '[[device]]\nboard = "teensy41"\n[[device]]\nboard = "pico"\n'
    cluster = parse_cluster(f"[host]\ndirect = true\n{boards}")
    assert cluster.gateways == cluster.output_gateways == (0, 1)
    assert cluster.link_of((2, 0)) == USB_SPEEDS["high"]
    assert cluster.link_of((1, 2)) == USB_SPEEDS["full"]
    assert cluster.link_count(1) == 2
    assert cluster.routes.path(2, 1) == ((2, 1),)
    assert cluster.routes.path(1, 2) == ((1, 2),)
    assert fewer(cluster, 1)[0].host_links == (USB_SPEEDS["high"],)
    described = parse_cluster(f"[host]\ndirect = true\nbit_rate = 1_000_000\n{boards}")
    assert {described.link_of((rank, 2)).bit_rate for rank in (0, 1)} == {1_000_000}
    assert parse_cluster(f"[host]\nstream = true\n{boards}").stream
    assert parse_cluster(f"[host]\nahead = true\n{boards}").ahead
    assert parse_cluster(f"[host]\nahead = true\n{boards}").host_link == USB_SPEEDS["high"]
    with pytest.raises(ClusterError, match="not ahead: not both"):
        parse_cluster(f"[host]\nahead = true\nstream = true\n{boards}")
    assert parse_cluster(f"[host]\ndirect = false\n{boards}").gateways == (0,)


def test_overriding_a_board():
    text = '[[device]]\nboard = "pico"\nclock_hz = 133_000_000\n[device.cycles_per_mac]\nconv = 9\n'
    device = parse_cluster(text).devices[0]
    assert (device.clock_hz, device.cycles.conv) == (133_000_000, 9.0)
    assert device.cycles.pointwise == known_board("pico").cycles.pointwise
    # Another RAM is another chip: the board's block says nothing about it.
    other = parse_cluster('[[device]]\nboard = "pico"\nram_bytes = 100_000\n').devices[0]
    assert other.ram_block_bytes == 100_000


SIX = "conv = 9\npointwise = 8\ndepthwise = 30\nfully_connected = 9\n"


def test_cycles_of_all_multiply_accumulates_include_what_goes_with_them():
    text = f'[[device]]\nboard = "pico"\n[device.cycles_per_mac]\n{SIX}'
    included = parse_cluster(text).devices[0].cycles
    assert [included.of(family) for family in BESIDE_MACS] == [0.0] * 7
    assert included.requantize_per_value == known_board("pico").cycles.requantize_per_value
    stated = parse_cluster(text + "made_per_value = 7\n").devices[0].cycles
    assert stated.made_per_value == 7
    assert stated.depthwise_per_row == known_board("pico").cycles.depthwise_per_row > 0


def test_a_device_without_a_board_needs_six_numbers_of_cycles():
    cycles = parse_cluster(MIXED).devices[3].cycles
    assert [cycles.of(family) for family in BESIDE_MACS] == [0.0] * 7
    assert (cycles.of(Family.REQUANTIZE), cycles.of(Family.TFLM)) == (90, 10)
    assert cycles.of(Family.ADD) == 90


def test_media():
    device = '[[device]]\nboard = "pico"\ncount = 3\n'
    star = parse_cluster(f'topology = "star"\n[link]\nkind = "spi"\n{device}')
    assert star.medium is Medium.SHARED
    switch = parse_cluster(f'topology = "bus"\n[link]\nkind = "ethernet"\n{device}')
    assert switch.medium is Medium.SWITCHED
    assert parse_cluster(f'topology = "star"\n{device}').medium is Medium.POINT_TO_POINT


WRONG = [
    (
        "gateway_rank = 1",
        "input_rank = 1\n[host]\ndirect = true",
        5,
        "host.direct: input enters and output leaves at every device: leave out input_rank",
    ),
    ("gateway_rank = 1", "[host]\ndirect = 1", 4, "direct: 1 is neither true nor false"),
    # (what is replaced, by what, line of the error, what it says)
    (
        'topology = "line"',
        'topology = "rnig"',
        2,
        "topology: 'rnig' is not known; did you mean 'ring'",
    ),
    ("gateway_rank = 1", "gateway_rank = 4", 3, "gateway_rank: 4 is out of range: from 0 to 3"),
    (
        "gateway_rank = 1",
        "gatway_rank = 1",
        3,
        "gatway_rank: unknown key; did you mean 'gateway_rank'",
    ),
    (
        "baud = 2_000_000",
        "baudrate = 2_000_000",
        7,
        "link.baudrate: unknown key; did you mean 'baud'",
    ),
    ("baud = 2_000_000", 'baud = "fast"', 7, "link.baud: 'fast' is no integer"),
    ("baud = 2_000_000", "baud = true", 7, "link.baud: True is no integer"),
    ("baud = 2_000_000", "baud = 12", 7, "link.baud: 12 is out of range"),
    ("baud = 2_000_000", "clock_hz = 12", 7, 'link.clock_hz: is for kind = "spi"'),
    (
        "baud = 2_000_000",
        "baud = 9600\nbit_rate = 9600",
        7,
        "link.baud: says the same as 'bit_rate'",
    ),
    ('duplex = "half"', 'duplex = "quarter"', 8, "link.duplex: 'quarter' is not known"),
    (
        "ranks = [3, 2]",
        "ranks = [3, 1]",
        11,
        "wire[0].ranks: a line of 4 has no wire between 1 and 3",
    ),
    ("ranks = [3, 2]", "ranks = [3]", 11, "wire[0].ranks: [3] are not two ranks"),
    ("ranks = [3, 2]", "ranks = [3, 9]", 11, "are not two different ranks of 0..3"),
    ("ranks = [3, 2]\n", "", 10, "wire[0].ranks: is missing"),
    (
        'board = "teensy41"',
        'board = "teensy40"',
        15,
        "device[0].board: 'teensy40' is not known; did you",
    ),
    ("weights_limit_bytes", "weight_limit_bytes", 16, "did you mean 'weights_limit_bytes'"),
    ("count = 2", "count = 0", 20, "device[1].count: 0 is out of range"),
    ("count = 2", "count = 63", 14, "device: 65 devices; at most 64"),
    ("clock_hz = 48_000_000\n", "", 22, "device[2].clock_hz: is missing"),
    ("ram_bytes = 65_536", "ram_bytes = 6.5", 24, "device[2].ram_bytes: 6.5 is no integer"),
    ("conv = 10", "conv = 0", 29, "device[2].cycles_per_mac.conv: 0.0 is out of range: at least"),
    ("conv = 10", "conv = nan", 29, "is no number"),
    ("conv = 10\n", "", 28, "device[2].cycles_per_mac.conv: is missing"),
    ("conv = 10", "konv = 10", 28, "device[2].cycles_per_mac.conv: is missing"),
]


@pytest.mark.parametrize(("old", "new", "line", "says"), WRONG, ids=[w[1] or w[0] for w in WRONG])
def test_errors_name_file_line_and_key(old: str, new: str, line: int, says: str):
    assert MIXED.count(old) == 1
    with pytest.raises(ClusterError) as caught:
        parse_cluster(MIXED.replace(old, new), "my.toml")
    message = str(caught.value)
    assert message.startswith(f"my.toml:{line}: ")
    assert says in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("topology = ring", "my.toml: not TOML: "),
        ("version = " + "9" * 5000, "my.toml: not TOML: "),
        ("version = " + "[" * 5000, "my.toml: not TOML: nested too deeply"),
        ("[link]\nbaud = 1 2", "line 2"),
        ("", "my.toml:1: device: a cluster needs at least one [[device]]"),
        ("device = 3", "my.toml:1: device: must be written as [[device]]"),
        ('[device]\nboard = "pico"', "my.toml:1: device: must be written as [[device]]"),
        ('link = "uart"\n[[device]]\nboard = "pico"', "my.toml:1: link: 'uart' is no table"),
        ('version = 2\n[[device]]\nboard = "pico"', "my.toml:1: version: 2 is out of range"),
        (
            '[[device]]\nboard = "pico"\n[link_layer]\nmtu_bytes = 510',
            "my.toml:4: link_layer.mtu_b",
        ),
        ('[[device]]\nboard = "pico"\nname = 3', "my.toml:3: device[0].name: 3 is no text"),
        ('topology = "bus"\nmedium = "point_to_point"\n[[device]]\nboard = "pico"', "my.toml:2: m"),
    ],
)
def test_other_errors(text: str, says: str):
    with pytest.raises(ClusterError) as caught:
        parse_cluster(text, "my.toml")
    assert says in str(caught.value)


def test_lines_of_values_that_take_several():
    text = 'a = """\n[x]\nb = 1\n"""\n\n# comment\n[x]\nb = [\n  1,\n  2,\n]\nc.d = 3\n'
    text += "[[y]]\n[[y]]\nz = 1"
    file = TomlFile.parse(text, "t")
    paths: list[tuple[str | int, ...]] = [("a",), ("x",), ("x", "b"), ("x", "c", "d"), ("y", 1)]
    paths += [("y", 1, "z"), ("y", 1, "none")]
    assert [file.line_of(path) for path in paths] == [1, 7, 8, 12, 14, 15, 14]


def test_files(tmp_path: Path):
    with pytest.raises(ClusterError, match="no such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(ClusterError, match="not UTF-8"):
        read(tmp_path / "latin.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(ClusterError, match="is a named pipe, not a file"):
        read(tmp_path / "pipe.toml")
    (tmp_path / "good.toml").write_text(MIXED)
    assert read(tmp_path / "good.toml") == parse_cluster(MIXED)


def test_every_example_of_the_document_is_read():
    examples = re.findall(
        r"```toml\n(.*?)```", (ROOT / "docs" / "cluster_toml.md").read_text(), re.S
    )
    assert len(examples) >= 3
    for example in examples:
        parse_cluster(example)


@pytest.mark.parametrize(
    ("link", "boards", "rate"),
    [
        ("", ["teensy41"], 6_000_000),
        ("", ["teensy41", "stm32f405"], 1_000_000),
        ('[link]\nkind = "spi"\n', ["teensy41", "pico"], 10_000_000),
        ("[link]\nbaud = 2_000_000\n", ["stm32f405", "rp2040"], 2_000_000),
        ('[link]\nkind = "ethernet"\n', ["teensy41", "pico"], 100_000_000),
        ("", ["mps2_an500"], 6_000_000),
    ],
)
def test_links_run_at_the_slowest_boards_own_rate(link: str, boards: list[str], rate: int):
    tables = "".join(f'[[device]]\nboard = "{board}"\n' for board in boards)
    assert parse_cluster(link + tables).link.bit_rate == rate


def test_a_wire_that_gives_no_rate_has_the_links():
    wire = "[[wire]]\nranks = [0, 1]\nstep_overhead_us = 5.0\n"
    boards = '[[device]]\nboard = "pico"\ncount = 3\n'
    assert parse_cluster(wire + boards).link_of((0, 1)).bit_rate == 3_000_000
    given = parse_cluster("[link]\nbaud = 500_000\n" + wire + boards)
    assert given.link_of((0, 1)).bit_rate == 500_000
