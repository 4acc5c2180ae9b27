# SPDX-License-Identifier: Apache-2.0
"""Memories beside the main RAM: read, refused, limited."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tflsplit.api.clusters import limited
from tflsplit.cluster import Cluster, default_cluster, known_board, parse_cluster
from tflsplit.cluster.banks import Bank
from tflsplit.errors import ClusterError

BANK = '[[device.bank]]\nname = "sdram"\nsize_bytes = 1_000_000\n'
SDRAM = f'[[device]]\nboard = "nucleo_h743zi"\n{BANK}'


def rooms(cluster: Cluster) -> tuple[int, ...]:
    return cluster.arena_rooms(0)


def test_a_bank_is_room_behind_the_main_ram():
    plain, banked = default_cluster(1, board="nucleo_h743zi"), parse_cluster(SDRAM)
    assert banked.devices[0].banks == (Bank("sdram", 1_000_000),)
    assert rooms(plain) == (plain.arena_room_bytes(0),)
    assert rooms(banked) == (*rooms(plain), 1_000_000)
    assert banked.arena_room_bytes(0) == sum(rooms(banked))


def test_boards_have_banks_and_a_device_may_do_without():
    teensy = '[[device]]\nboard = "teensy41_psram"\n'
    assert [bank.name for bank in parse_cluster(teensy).devices[0].banks] == ["ocram", "psram"]
    assert known_board("mps2_an500_banks").banks == (Bank("psram", 4 << 20),)
    assert parse_cluster(teensy + "bank = []\n").devices[0].banks == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("size_bytes", "size"), r"cluster\.toml:3: .*size_bytes: is missing"),
        (("1_000_000", "0"), r":5: .*size_bytes: 0 is out of range"),
        (('"sdram"', '"SD RAM"'), r":4: .*name: 'SD RAM' is no name"),
        (
            ("size_bytes", 'section = ".a b"\nsize_bytes'),
            r"section: '\.a b' is no name of a section",
        ),
        (("size_bytes", "speed = 1\nsize_bytes"), r"speed: unknown key"),
        (("size_bytes", "read_cycles_per_byte = -1\nsize_bytes"), "read_cycles_per_byte: -1"),
        (("1_000_000\n", f"16\n{BANK}"), r"bank: two banks have one name: sdram, sdram"),
    ],
)
def test_what_is_wrong_is_named(change: tuple[str, str], message: str):
    with pytest.raises(ClusterError, match=message):
        parse_cluster(SDRAM.replace(*change))


def test_at_most_three():
    more = "".join(f'[[device.bank]]\nname = "b{i}"\nsize_bytes = 16\n' for i in range(3))
    with pytest.raises(ClusterError, match="4 banks are too many: at most 3"):
        parse_cluster(SDRAM + more)


def test_limits_leave_banks_what_the_main_ram_does_not_take():
    cluster = parse_cluster(SDRAM)
    main = cluster.devices[0].ram_bytes
    assert rooms(limited(cluster, None, None, main + 100_000))[1] == 100_000
    assert rooms(limited(cluster, None, None, main)) == rooms(cluster)[:1]
    assert rooms(limited(cluster, rooms(cluster)[0] + 50, None))[1] == 50
    assert rooms(limited(cluster, 1000, None)) == (1000, 0)
    device = replace(cluster.devices[0], arena_limit_bytes=None)
    assert limited(cluster, None, None).devices == (device,)
