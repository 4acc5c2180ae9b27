# SPDX-License-Identifier: Apache-2.0
"""Which serial port and pins of a board are which link: the ports' ``wiring.h``.

Link 0 of a rank leads to the previous one, link 1 to the next one; both ends of a wire are told by
the same names, so that a picture can say where each cable goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tflsplit.cluster import LinkKind
from tflsplit.cluster.banks import without_chip

_UART = {
    "teensy41": ("Serial1, RX 0, TX 1", "Serial2, RX 7, TX 8"),
    "nucleo_h743zi": ("USART2, RX PD6, TX PD5", "USART6, RX PG9, TX PG14"),
    "pico": ("UART0, RX GP1, TX GP0", "UART1, RX GP9, TX GP8"),
    "esp32s3": ("UART1, RX 18, TX 17", "UART2, RX 16, TX 15"),
    "stm32f405": ("USART2, RX PA3, TX PA2", "USART3, RX PB11, TX PB10"),
    "rp2040": ("UART0, RX GP1, TX GP0", "UART1, RX GP9, TX GP8"),
    "nano33ble": ("UARTE0, RX, TX pins", "UARTE1, RX D3, TX D2"),
}
_SPI = {
    "teensy41": ("SPI slave, SCK 27", "SPI master, SCK 13"),
    "pico": ("SPI slave, SCK GP18", "SPI master, SCK GP10"),
}
PORTS: Mapping[LinkKind, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {LinkKind.UART: _UART, LinkKind.SPI: _SPI}
)
"""By the links' kind and the board, the port to the previous rank and that to the next one."""


def port_name(board: str, kind: LinkKind, forward: bool) -> str:
    """The port of a board to the previous or (``forward``) the next rank; "" if it has no name."""
    return PORTS.get(kind, {}).get(without_chip(board), ("", ""))[forward]
