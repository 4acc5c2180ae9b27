# SPDX-License-Identifier: Apache-2.0
"""What the generated firmware has to know about a board; the rest is in platformio.ini.

What a board can do (clock, RAM, links) is in ``tflsplit.cluster``; here is where its linker script
wants large constants, which structs TFLM's arena has there, and how its sections are called.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from tflsplit.cluster import LinkKind, board_names, known_board, tick_period_us
from tflsplit.cluster.rates import usual_rate
from tflsplit.errors import ClusterError
from tflsplit.memory.abi import CORTEX_M, ESP32, Abi

_HOST_TICK_US = 1_000  # a signal costs a process far more than an interrupt costs a board
_HOST = Abi("host", pointer_bytes=8, enum_bytes=4)
REGISTRY_TFLM = "spaziochirale/Chirale_TensorFLowLite@2.0.0"
"""TFLM as PlatformIO's registry has it for Arduino cores."""


@dataclass(frozen=True)
class Board:
    """One board.

    section: of platformio.ini, ``[board:<section>]``.
    port: of ``tflm_app/ports``; "arduino" for boards whose cores the registry brings, else the
        name of a platform of ours, too.
    abi: layout of TFLM's structs.
    is_emulated: runs on this computer: no serial rate, and slower than any kernel's estimate.
    cmsis_nn: whether TFLM's CMSIS-NN kernels are for it, when the tree has them.
    vectors: its core has MVE, for which those kernels are others (memory/cmsis_nn_mve.py).
    model_section: where the linker script keeps constants in flash.
    large_model_section: the same for models that the flash does not hold (emulated boards).
    flash_bytes: beyond which ``large_model_section`` is taken.
    large_arena_section: where the linker script has room for arenas of more than
        ``fast_arena_bytes``; smaller ones are static data like any other.
    has_rts_cts: its port can have RTS and CTS on its UARTs to the neighbours.
    has_ethernet: its port can join an Ethernet segment instead (docs/ethernet.md).
    core_serial_buffers: its core's serial ports have buffers of a size that is compiled in.
    dual_issue: its core issues two instructions at once (Cortex-M7), which kernels are ordered for.
    banks: the sections of its banks by their names in boards.toml; "" of one that the port finds.
    stack_is_ours: its linker script reserves what ``stack_bytes`` of boards.toml says.
    host_baud: of the gateway's port to the host computer; None: it has no rate (USB, emulated).
    """

    name: str
    section: str
    port: str = "arduino"
    abi: Abi = CORTEX_M
    is_emulated: bool = False
    cmsis_nn: bool = True
    vectors: bool = False
    model_section: str = ".rodata.tflsplit_model"
    large_model_section: str = ""
    flash_bytes: int = 0
    large_arena_section: str = ""
    fast_arena_bytes: int = 0
    has_rts_cts: bool = False
    has_ethernet: bool = False
    core_serial_buffers: bool = False
    dual_issue: bool = False
    stack_is_ours: bool = False
    banks: Mapping[str, str] = field(default_factory=dict)
    host_baud: int | None = None

    @property
    def baud(self) -> int | None:
        """Default rate of UARTs to the neighbours; None where there is none."""
        return usual_rate(self.name, LinkKind.UART)

    @property
    def spi_hz(self) -> int | None:
        """Default clock of SPI links; None: the port has not both ends of one for this board."""
        return usual_rate(self.name, LinkKind.SPI)

    @property
    def is_of_registry(self) -> bool:
        """Whether PlatformIO's registry brings its platform, and a TFLM for it."""
        return self.port == "arduino"

    @property
    def tick_us(self) -> int:
        """How often its links are polled while a kernel runs."""
        if self.section == "host":
            return _HOST_TICK_US
        return tick_period_us(known_board(self.section).clock_hz)


def _mps2(
    name: str, flash_bytes: int, vectors: bool = False, banks: Mapping[str, str] | None = None
) -> Board:
    return Board(
        name,
        name,
        port="mps2",
        is_emulated=True,
        vectors=vectors,
        large_model_section=".model",
        flash_bytes=flash_bytes,
        has_ethernet=True,
        stack_is_ours=True,
        banks=banks or {},
    )


_MB = 1 << 20
_BRIDGE_BAUD = 921_600  # SPLIT_PORT_HOST_BAUD of ports/arduino: USB bridges take no megabauds
_ALL = (
    # Teensy copies .rodata into RAM at start; .progmem stays in flash. Static data share half of
    # the RAM with the program, which leaves 384 KB; .dmabuffers is the other half, and slower.
    Board(
        "teensy41",
        "teensy41",
        model_section=".progmem.tflsplit_model",
        large_arena_section=".dmabuffers",
        fast_arena_bytes=256 * 1024,
        dual_issue=True,
    ),
    Board(
        "nucleo_h743zi",
        "nucleo_h743zi",
        has_rts_cts=True,
        core_serial_buffers=True,
        dual_issue=True,
        host_baud=_BRIDGE_BAUD,
    ),
    Board("pico", "pico", cmsis_nn=False, has_rts_cts=True),
    Board(
        "esp32s3",
        "esp32s3",
        abi=ESP32,
        cmsis_nn=False,
        has_rts_cts=True,
        host_baud=_BRIDGE_BAUD,
    ),
    Board("nano33ble", "nano33ble", has_rts_cts=True),
    Board(
        "stm32f405",
        "stm32f405",
        port="stm32f405",
        banks={"ccm": ".bank.ccm"},
        has_rts_cts=True,
        stack_is_ours=True,
        host_baud=_BRIDGE_BAUD,
    ),
    Board(
        "rp2040",
        "rp2040",
        port="rp2040",
        has_rts_cts=True,
        cmsis_nn=False,
        stack_is_ours=True,
        host_baud=_BRIDGE_BAUD,
    ),
    # Room for the program beside the model.
    _mps2("mps2_an386", 3 * _MB),
    _mps2("mps2_an500", 3 * _MB),
    _mps2("mps2_an500_64k", 3 * _MB),
    _mps2("mps2_an500_128k", 3 * _MB),
    _mps2("mps2_an500_banks", 3 * _MB, banks={"psram": ".bank.psram"}),
    _mps2("mps2_an505", 3 * _MB),
    _mps2("mps3_an547", 1 * _MB, vectors=True),
    Board(
        "host",
        "host",
        port="host",
        abi=_HOST,
        is_emulated=True,
        cmsis_nn=False,
        has_ethernet=True,
    ),
)
# The same boards with a memory more: of a Teensy's chip to be soldered on, of an ESP32's module.
_BANKED = {
    "teensy41": ("teensy41", {"ocram": ".dmabuffers", "psram": ".externalram"}),
    "esp32s3": ("esp32s3_psram", {"psram": ""}),
}


def _banked(board: Board) -> Board:
    section, banks = _BANKED[board.name]
    name = f"{board.name}_psram"
    return replace(board, name=name, section=section, banks=banks, large_arena_section="")


BOARDS: Mapping[str, Board] = MappingProxyType(
    {b.name: b for b in (*_ALL, *(_banked(b) for b in _ALL if b.name in _BANKED))}
)


def board_named(name: str) -> Board:
    """A board by the name that ``--board`` takes; ClusterError names those that exist."""
    if name in BOARDS:
        return BOARDS[name]
    if name in board_names():
        raise ClusterError(
            f"there is no firmware for {name}, only numbers to plan with (`tflsplit plan`); "
            f"firmware is generated for {', '.join(BOARDS)}"
        )
    close = difflib.get_close_matches(name, BOARDS, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    raise ClusterError(f"unknown board {name!r}; known are {', '.join(BOARDS)}{meant}")
