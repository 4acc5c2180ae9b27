# SPDX-License-Identifier: Apache-2.0
"""RAM beside the main RAM: banks that are slower, or lie elsewhere (docs/arena.md).

A device has ``ram_bytes`` of main RAM, in which stack, program data, links and the begin of the
arena are, and then banks, which hold nothing but activations that found no room there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tflsplit.cluster.table import Table

KEY = "bank"
"""Of a ``[[device]]``: ``[[device.bank]]``."""
MOST = 3
"""Banks of one device."""


@dataclass(frozen=True)
class Bank:
    """One bank.

    name: as the board's firmware knows it, or as the user likes.
    size_bytes: of it, all for activations.
    read_cycles_per_byte, write_cycles_per_byte: of the processor, that an access takes longer than
        one to the main RAM, which is in the device's cycles.
    section: of the linker's, where the firmware puts it; "" where the board's firmware knows.
    """

    name: str
    size_bytes: int
    read_cycles_per_byte: float = 0.0
    write_cycles_per_byte: float = 0.0
    section: str = ""


def without_chip(board: str) -> str:
    """A board by its name in the table, without the memory chip that some have: they are alike."""
    return board.removesuffix("_psram")


def read_banks(table: Table, default: Sequence[Bank]) -> tuple[Bank, ...]:
    """The banks of a device's table, all of them; ``default`` where it names none.

    Raises ClusterError for a wrong key or number, two of one name, or too many.
    """
    if not table.has(KEY):
        return tuple(default)
    banks = tuple(_bank(each) for each in table.tables(KEY))
    names = [bank.name for bank in banks]
    if len(set(names)) < len(names):
        raise table.error(KEY, f"two banks have one name: {', '.join(names)}")
    if len(banks) > MOST:
        raise table.error(KEY, f"{len(banks)} banks are too many: at most {MOST}")
    return banks


def _bank(table: Table) -> Bank:
    size_bytes = table.integer("size_bytes", None, low=16, high=1 << 30) // 16 * 16
    bank = Bank(
        name=table.text("name", None),
        size_bytes=size_bytes,
        read_cycles_per_byte=table.number("read_cycles_per_byte", 0.0),
        write_cycles_per_byte=table.number("write_cycles_per_byte", 0.0),
        section=table.text("section", ""),
    )
    if not bank.name.isidentifier() or not bank.name.isascii():
        raise table.error("name", f"{bank.name!r} is no name of letters, digits and _")
    if not set(bank.section) <= _OF_SECTIONS:
        raise table.error("section", f"{bank.section!r} is no name of a section")
    table.refuse_unknown()
    return bank


_OF_SECTIONS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def bank_tables(banks: Iterable[Bank]) -> list[dict[str, Any]]:
    """What ``read_banks`` reads back."""
    return [{key: value for key, value in vars(bank).items() if value} for bank in banks]


def shared_out(rooms: Iterable[int], limit_bytes: int | None) -> tuple[int, ...]:
    """``rooms``, cut from the last on so that they come to no more than a limit."""
    left = sum(rooms := tuple(rooms)) if limit_bytes is None else limit_bytes
    found = []
    for room in rooms:
        found.append(min(room, left))
        left -= found[-1]
    return tuple(found)


def limited_banks(banks: Sequence[Bank], most_bytes: int) -> tuple[Bank, ...]:
    """The first of the banks, as far as they come to no more than so much together."""
    sizes = shared_out((bank.size_bytes for bank in banks), most_bytes)
    cut = (
        replace(bank, size_bytes=size // 16 * 16) for bank, size in zip(banks, sizes, strict=True)
    )
    return tuple(bank for bank in cut if bank.size_bytes)
