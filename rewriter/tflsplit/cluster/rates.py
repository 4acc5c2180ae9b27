# SPDX-License-Identifier: Apache-2.0
"""The rate that links run at unless somebody says otherwise: that of the slowest board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tflsplit.cluster.links import LinkKind
from tflsplit.cluster.rewired import rewired
from tflsplit.cluster.spec import Cluster

_UART, _SPI = LinkKind.UART, LinkKind.SPI
_TEENSY41 = {_UART: 6_000_000, _SPI: 30_000_000}
_ESP32S3 = {_UART: 3_000_000}
USUAL_RATES: Mapping[str, Mapping[LinkKind, int]] = MappingProxyType(
    {
        "teensy41": _TEENSY41,
        "teensy41_psram": _TEENSY41,
        # Its core's driver takes an interrupt of some hundred instructions a byte and direction.
        "nucleo_h743zi": {_UART: 1_000_000},
        # An SPI slave's clock is at most a twelfth of 125 MHz (RP2040 data sheet, 4.4.3).
        "pico": {_UART: 3_000_000, _SPI: 10_000_000},
        "esp32s3": _ESP32S3,
        "esp32s3_psram": _ESP32S3,
        "nano33ble": {_UART: 1_000_000},
        # Bare metal: an interrupt for each byte and direction (firmware/serial_load.py).
        "stm32f405": {_UART: 1_000_000},
        "rp2040": {_UART: 1_000_000},
    }
)
"""Baud of UARTs and Hz of SPI by board: what its port keeps up with
(docs/adding_a_board.md, "Which rate a board can serve").  A board
that is not here has no rate of its own: an emulated one, or one without firmware."""


def usual_rate(board: str, kind: LinkKind) -> int | None:
    """Baud of a board's UARTs or Hz of its SPI; None for other links and boards without a rate."""
    return USUAL_RATES.get(board, {}).get(kind)


def own_rate(boards: Iterable[str], kind: LinkKind) -> int | None:
    """The slowest board's, baud or Hz; None where no board has a rate for such links."""
    rates = [usual_rate(board, kind) for board in boards]
    return min((rate for rate in rates if rate is not None), default=None)


def at_own_rate(cluster: Cluster, boards: Iterable[str]) -> Cluster:
    """The cluster with links at these boards' own rate; as it is where they have none."""
    return rewired(cluster, bit_rate=own_rate(boards, cluster.link.kind))
