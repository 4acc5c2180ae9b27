# SPDX-License-Identifier: Apache-2.0
"""The built-in boards: every number has a source, none contradicts itself."""

import configparser
import re
from importlib import resources
from pathlib import Path

import pytest

from tflsplit.cluster import (
    Family,
    board_names,
    board_sources,
    default_cluster,
    known_board,
    parse_cluster,
)
from tflsplit.cluster.boards import board_title
from tflsplit.cluster.links import USB_SPEEDS
from tflsplit.cluster.toml_file import TomlFile
from tflsplit.errors import ClusterError

ROOT = Path(__file__).resolve().parents[2]
NOT_NUMBERS = {"title", "kernels", "abi", "sources"}


@pytest.mark.parametrize("name", board_names())
def test_every_number_has_a_source(name: str):
    text = resources.files("tflsplit.cluster").joinpath("boards.toml").read_text()
    boards = TomlFile.parse(text, name).data
    keys = set(boards[name]) | set(boards.get(boards[name].get("like"), ())) - NOT_NUMBERS
    keys -= {*NOT_NUMBERS, "like"}
    sources = board_sources(name)
    assert keys == set(sources)
    assert all(len(source) > 10 for source in sources.values())
    assert board_title(name)


@pytest.mark.parametrize("name", board_names())
def test_memory_and_program_fit_the_board(name: str):
    board = known_board(name)
    assert board.board == name
    assert board.ram_block_bytes <= board.ram_bytes
    assert board.weights_room_bytes > 0
    assert board.stack_bytes + board.runtime_bytes < board.ram_bytes


def test_every_board_of_the_firmware_is_there():
    config = configparser.ConfigParser(interpolation=None, strict=False)
    config.read(ROOT / "platformio.ini")
    sections = {name.removeprefix("board:") for name in config.sections() if ":" in name}
    boards = {name for name in sections if name.startswith("mps") and "_" in name}
    boards |= sections & {
        "teensy41",
        "nucleo_h743zi",
        "pico",
        "esp32s3",
        "nano33ble",
        "stm32f405",
        "rp2040",
    }
    assert len(boards) >= 9
    assert boards <= set(board_names())


def test_cycles_are_scaled_as_the_table_says():
    """The instructions of an emulated board, times published over counted cycles per MAC."""
    counted = 0.06 * 2.4 + 0.75 * 1.8 + 0.19 * 8.0
    boards = (("teensy41", 4.35, "mps2_an500"), ("nano33ble", 5.0, "mps2_an386"),
              ("pico2", 4.0, "mps2_an505"))  # fmt: skip
    for name, published, emulated in boards:
        factor = published / counted
        cycles, instructions = known_board(name).cycles, known_board(emulated).cycles
        for family in Family:
            if family is not Family.COPY:
                assert cycles.of(family) == pytest.approx(
                    factor * instructions.of(family), rel=0.03
                )
    assert known_board("pico").cycles == known_board("rp2040").cycles


def test_the_host_reaches_a_gateway_by_its_usb():
    assert default_cluster(2).host_link == USB_SPEEDS["high"]
    assert default_cluster(2, board="pico").host_link == USB_SPEEDS["full"]
    text = '[[device]]\nboard = "pico"\n[[device]]\nboard = "teensy41"\n'
    assert parse_cluster(text).host_link == USB_SPEEDS["full"]
    assert parse_cluster("gateway_rank = 1\n" + text).host_link == USB_SPEEDS["high"]
    assert parse_cluster(text.replace("pico", 'pico"\nusb = "high')).host_link == USB_SPEEDS["high"]


def test_an_unknown_board():
    with pytest.raises(ClusterError, match="did you mean 'teensy41'"):
        known_board("teensy40")


def test_the_document_has_every_board_with_its_numbers():
    size = r"([\d,]+) KiB"
    row = rf"^\| `(\w+)` \| {size} \| {size} \| {size} \| ([\d.]+) MHz \| (.*) \|$"
    rows = re.findall(row, (ROOT / "docs" / "cluster_toml.md").read_text(), re.MULTILINE)
    assert [row[0] for row in rows] == list(board_names())
    for name, ram, block, flash, clock, cycles in rows:
        board = known_board(name)
        kib = [int(text.replace(",", "")) * 1024 for text in (ram, block, flash)]
        assert kib == [board.ram_bytes, board.ram_block_bytes, board.flash_bytes]
        assert float(clock) * 1e6 == board.clock_hz
        of = board.cycles
        assert [float(c) for c in cycles.split(", ")] == [of.conv, of.pointwise, of.depthwise]
