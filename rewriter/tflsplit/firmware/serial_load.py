# SPDX-License-Identifier: Apache-2.0
"""The rate of UART links that a board's interrupts can serve (docs/adding_a_board.md).

::

    two wires, both ways, at B baud:  4 B / 10 bytes a second
    interrupts a second = 0.4 B / bytes to an interrupt
    share of the processor = interrupts a second * cycles of one / clock
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tflsplit.cluster import Cluster, LinkKind, known_board
from tflsplit.cluster.serial_ports import PORTS, interrupt_cycles

TRUSTED_SHARE = 0.25
"""Of a processor: what is left must do for kernels, and for bytes that come in bursts."""

_DIRECTIONS, _BITS_PER_BYTE = 4, 10
_STEP_BAUD = 100_000


def interrupts_per_second(board: str, baud: int) -> float:
    """With both wires busy both ways; KeyError for a board whose port is not known."""
    return _DIRECTIONS * baud / _BITS_PER_BYTE / PORTS[board].bytes_per_interrupt


def share(board: str, baud: int) -> float:
    """Of the board's processor, for these interrupts."""
    return interrupts_per_second(board, baud) * PORTS[board].cycles / known_board(board).clock_hz


def interrupts_us(
    cluster: Cluster, wire_bytes: Mapping[tuple[int, int], int]
) -> list[float | None]:
    """By rank, the time of the interrupts for what its UARTs to other devices send and receive.

    wire_bytes: by (from, to), every frame on it.  None: the board's port is not known.
    """
    is_uart = cluster.link.kind is LinkKind.UART
    found: list[float | None] = []
    for rank, device in enumerate(cluster.devices):
        own = sum(
            count
            for edge, count in wire_bytes.items()
            if rank in edge and cluster.host_rank not in edge
        )
        is_known = is_uart and device.board in PORTS
        found.append(device.cycles_us(own * interrupt_cycles(device.board)) if is_known else None)
    return found


def trusted_baud(board: str) -> int:
    """The highest rate at which interrupts take no more than ``TRUSTED_SHARE``."""
    return int(TRUSTED_SHARE / share(board, _STEP_BAUD)) * _STEP_BAUD


def rate_warnings(boards: Sequence[str | None], kind: str, baud: int | None) -> list[str]:
    """One sentence for each kind of board that a rate is too much for.

    kind: of the links; only UARTs interrupt for single bytes.
    """
    if baud is None or kind != LinkKind.UART.value:
        return []
    return [
        f"{baud:,} baud is up to {interrupts_per_second(board, baud):,.0f} interrupts a second on "
        f"{board}, {share(board, baud):.0%} of its processor: bytes may be lost, and kernels take "
        f"longer than simulated; it is trusted with {trusted_baud(board):,} baud"
        for board in dict.fromkeys(board for board in boards if board is not None)
        if board in PORTS and share(board, baud) > TRUSTED_SHARE
    ]
