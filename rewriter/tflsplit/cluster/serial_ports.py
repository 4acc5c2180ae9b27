# SPDX-License-Identifier: Apache-2.0
"""What the interrupts of boards' UARTs cost a byte (docs/adding_a_board.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tflsplit.cluster.banks import without_chip


@dataclass(frozen=True)
class SerialPort:
    """How a board's port receives and sends.

    bytes_per_interrupt: at the watermark of its receiver.  cycles: of one interrupt, estimated.
    """

    bytes_per_interrupt: int
    cycles: int


PORTS: Mapping[str, SerialPort] = {
    "teensy41": SerialPort(3, 100),  # watermark 2 of 4: teensy4/HardwareSerial.cpp
    "nucleo_h743zi": SerialPort(1, 250),  # FIFO off: the core's uart.c, HAL_UART_IRQHandler
    "pico": SerialPort(16, 300),  # half of 32: ports/arduino/src/links_pico.cc
    "esp32s3": SerialPort(64, 2000),  # 64 of 128: ports/arduino/src/links_serial.cc
    "stm32f405": SerialPort(1, 100),  # no FIFO: ports/stm32f405/src/usart.cc
    "rp2040": SerialPort(8, 600),  # watermark 8 of 32: ports/rp2040/src/uart.cc
}
"""Places and watermarks from the sources named; cycles by reading them, not measured.

Of the last two the driver's instructions are counted: 48 to receive and 54 to send a byte, 399 to
receive eight; the rest is for entry, dispatch and exit, and the Cortex-M0+'s loads of two cycles.
"""


def interrupt_cycles(board: str) -> float:
    """Of each byte that a UART sends or receives; 0 where the board's port is not known.

    Emulated boards and programs of a computer have none: their UARTs are no chip's.
    """
    port = PORTS.get(without_chip(board))
    return 0.0 if port is None else port.cycles / port.bytes_per_interrupt
