# SPDX-License-Identifier: Apache-2.0
"""Which of this computer's serial ports are boards: by their USB ids, told apart by serial number.

Sources: the boards.txt of each Arduino core; ST's ST-LINK ids (UM2448 and RN0093); Espressif's
USB-Serial-JTAG (ESP32-S3 technical reference manual, chapter 33) and the bridges of its kits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tflsplit.cluster.banks import without_chip

UsbId = tuple[int, int]
"""Vendor and product."""

_TEENSY = 0x16C0
_ST = 0x0483
# ST-LINK/V2-1 and V3, whose virtual port is the board's UART.
_ST_LINKS = frozenset((_ST, product) for product in (0x374B, 0x374E, 0x374F, 0x3753, 0x3754))
USB_IDS: Mapping[str, frozenset[UsbId]] = MappingProxyType(
    {
        # USB types with one, two and three serial ports, and with serial beside other classes.
        "teensy41": frozenset((_TEENSY, product) for product in (0x0483, 0x0487, 0x048B, 0x048C)),
        "nucleo_h743zi": _ST_LINKS,
        # The same probes, their virtual port wired to the board's USART1.
        "stm32f405": _ST_LINKS,
        "rp2040": frozenset({(0x2E8A, 0x000C)}),  # the Debug Probe, its UART wired to GP4 and GP5
        "pico": frozenset({(0x2E8A, 0x00C0), (0x2E8A, 0x000A)}),  # Arduino's core; the SDK's
        # Its own USB, and the bridges CP2102N, CH343 and CH9102F.
        "esp32s3": frozenset(
            {(0x303A, 0x1001), (0x10C4, 0xEA60), (0x1A86, 0x55D3), (0x1A86, 0x55D4)}
        ),
        "nano33ble": frozenset({(0x2341, 0x805A), (0x2341, 0x005A)}),  # running; in its boot loader
    }
)
"""By board; a board that is emulated has none."""


@dataclass(frozen=True)
class UsbPort:
    """A serial port of this computer that belongs to a USB device.

    device: its name, /dev/ttyACM0; serial_number: of the device, "" if it has none.
    location: the path of hubs and sockets, which stays while a board restarts.
    """

    device: str
    usb_id: UsbId
    serial_number: str = ""
    location: str = ""

    def may_be(self, board: str) -> bool:
        """Whether a board of this kind has such ids."""
        return self.usb_id in USB_IDS.get(without_chip(board), ())


def usb_ports() -> list[UsbPort]:
    """Those of this computer, by location; [] without pyserial.  None of them is opened."""
    try:
        from serial.tools import list_ports
    except ImportError:
        return []
    found = [
        UsbPort(port.device, (port.vid, port.pid), port.serial_number or "", port.location or "")
        for port in list_ports.comports()
        if port.vid is not None
    ]
    return sorted(found, key=lambda port: (port.location, port.device))


def ports_of(boards: Collection[str], first: str = "") -> list[UsbPort]:
    """The ports that may be one of these boards; the one with serial number ``first`` first."""
    found = [port for port in usb_ports() if any(port.may_be(board) for board in boards)]
    return sorted(found, key=lambda port: not first or port.serial_number != first)


def port_at(name: str) -> UsbPort | None:
    """The USB port of this name, or that a link of this name leads to; None if it is none."""
    if name.startswith("socket://"):
        return None
    device = str(Path(name).resolve()) if Path(name).is_symlink() else name
    return next((port for port in usb_ports() if port.device == device), None)


def moved(before: UsbPort, taken: Collection[str] = ()) -> UsbPort | None:
    """The port of the same USB device under another name; None if none is, or it is not clear.

    A device that was unplugged while a program had its port may get the next name.
    """
    same = [
        port
        for port in usb_ports()
        if port.device not in (before.device, *taken)
        and port.usb_id == before.usb_id
        and port.serial_number == before.serial_number
    ]
    if before.serial_number and len(same) == 1:
        return same[0]
    here = [port for port in same if before.location and port.location == before.location]
    return here[0] if len(here) == 1 else None
