# SPDX-License-Identifier: Apache-2.0
"""The banks of a device in its firmware: which memory of the board each is."""

from __future__ import annotations

from dataclasses import dataclass

from tflsplit.cluster.banks import Bank
from tflsplit.errors import ClusterError
from tflsplit.firmware.arenas import banks_bytes
from tflsplit.firmware.boards import Board
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.memory.banks import bank_starts
from tflsplit.split.devices import DeviceGraph


@dataclass(frozen=True)
class PlacedBank:
    """One bank.

    start: the planned offset from which on tensors lie in it; size_bytes: what they need, 0 where
        nothing lies there.
    section: of the linker's; "": static data like any other; None: the port finds it.
    """

    name: str
    start: int
    size_bytes: int
    section: str | None


def placed_banks(
    device: DeviceGraph, board: Board, options: FirmwareOptions
) -> tuple[PlacedBank, ...]:
    """The banks that a device graph counts on; () of an arena in one piece.

    Raises ClusterError for a bank that the board has not, or that is too small.
    """
    starts = bank_starts(device.graph)
    known = options.banks[device.rank] if device.rank < len(options.banks) else ()
    found = []
    for index, size in enumerate(banks_bytes(device.graph, board, options)):
        bank = known[index] if index < len(known) else Bank(f"bank{index + 1}", size)
        if size > bank.size_bytes:
            raise ClusterError(
                f"rank {device.rank}: {size:,} bytes of activations are planned into bank "
                f"{bank.name!r} of {bank.size_bytes:,}; plan again for this cluster"
            )
        section = _section(device.rank, bank, board) if size else None
        found.append(PlacedBank(bank.name, starts[index], size, section))
    return tuple(found)


def _section(rank: int, bank: Bank, board: Board) -> str | None:
    """Where the board has the bank; an emulated one that has not keeps it with its other data."""
    if bank.section:
        return bank.section
    if bank.name in board.banks:
        return board.banks[bank.name] or None
    if board.is_emulated:
        return ""
    have = f"it has {', '.join(board.banks)}" if board.banks else "it has none"
    raise ClusterError(
        f"rank {rank}: the firmware of {board.name} knows no bank {bank.name!r} ({have}); say in "
        'which section of the linker\'s it lies: section = ".name" in its [[device.bank]]'
    )
