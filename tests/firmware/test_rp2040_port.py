# SPDX-License-Identifier: Apache-2.0
"""The RP2040 port: what no emulator notices (resets, clocks, pins, rates), the image, and rings."""

from __future__ import annotations

import re
import struct
from typing import Any

import pytest

from tests.firmware.bare_chip import Answer, BareChip, Registers, field_of
from tests.firmware.rings import run
from tflm_app.tools.rp2040_image import boot2_checksum, sealed, uf2
from tflsplit.emulate.rp2040 import lock_step

RESETS, RESET_DONE = 0x4000C000, 0x4000C008
CLK_REF, CLK_SYS, CLK_PERI = 0x40008030, 0x4000803C, 0x40008048
XOSC_CTRL, XOSC_STATUS = 0x40024000, 0x40024004
PLL_CS, PLL_PWR, PLL_FBDIV, PLL_PRIM = 0x40028000, 0x40028004, 0x40028008, 0x4002800C
WATCHDOG_TICK = 0x4005802C
IO_BANK0, PADS_BANK0, PIO0 = 0x40014000, 0x4001C000, 0x50200000
NVIC = 0xE000E100
IN_RESET = {  # block -> bit of RESETS
    0x40014000: 5, 0x4001C000: 8, 0x50200000: 10, 0x40028000: 12, 0x40054000: 21, 0x40034000: 22,
    0x40038000: 23,
}  # fmt: skip
UARTS = {0x40034000: (20, 0, 1), 0x40038000: (21, 8, 9)}  # interrupt, TX, RX
MEMORY = {0x10000000: 2 << 20, 0x20000000: 264 << 10}
AFTER_RESET = {RESETS: 0x01FFFFFF, PLL_PWR: 0x2D}


def on_access(registers: Registers, address: int, is_write: bool) -> None:
    """A peripheral in reset takes nothing; the atomic aliases belong to its block."""
    block = address & ~0x3FFF
    if block in IN_RESET:
        assert not registers[RESETS] >> IN_RESET[block] & 1, f"{address:#x} while it is in reset"


def answers(crystal: bool = True, pll: bool = True) -> dict[int, Answer]:
    """Clocks of a chip: what is switched on gets ready, unless it is broken."""

    def stable(registers: Registers, value: int) -> int:
        is_on = registers.get(XOSC_CTRL, 0) >> 12 == 0xFAB
        return int(crystal and is_on) << 31

    def locked(registers: Registers, value: int) -> int:
        return value | int(pll and not registers[PLL_PWR] & 0x21) << 31

    return {
        RESET_DONE: lambda registers, value: ~registers[RESETS] & 0x01FFFFFF,
        XOSC_STATUS: stable,
        PLL_CS: locked,
        CLK_REF + 8: lambda registers, value: 1 << (registers.get(CLK_REF, 0) & 3),
        CLK_SYS + 8: lambda registers, value: 1 << (registers.get(CLK_SYS, 0) & 1),
    }


def chip(platformio: Any, **broken: bool) -> BareChip:
    (image,) = platformio.build("all_gather_rp2040")
    of_chip = BareChip(image, "CORTEX_M0", MEMORY, answers(**broken), on_access, dict(AFTER_RESET))
    of_chip.has_aliases = True
    return of_chip.run()


def check_uarts(registers: Registers, clock_hz: int) -> None:
    for base, (_, *pins) in UARTS.items():
        divider = registers[base + 0x24] + registers[base + 0x28] / 64
        assert clock_hz / 16 / divider == pytest.approx(1_000_000, rel=0.005)
        assert registers[base + 0x2C] == 0x70  # 8 bits, FIFOs
        assert registers[base + 0x30] == 0x301
        for pin in pins:
            assert registers[IO_BANK0 + 8 * pin + 4] == 2, f"GP{pin} is no UART's"
    for pin in (0, 1, 4, 5, 8, 9):
        assert registers[PADS_BANK0 + 4 + 4 * pin] & 0xCC == 0x48, "input on, pulled up, output on"


@pytest.mark.usefixtures("arm_compiler")
def test_the_image_switches_on_what_it_uses(platformio: Any):
    """12 MHz * 125 / 6 / 2 = 125 MHz; microseconds from the crystal."""
    run = chip(platformio)
    registers = run.registers
    check_uarts(registers, 125_000_000)
    assert run.breakpoints == 1  # nobody answers semihosting: it asks once, and never again
    assert registers[PLL_FBDIV] == 125
    assert [field_of(registers[PLL_PRIM], shift, 3) for shift in (16, 12)] == [6, 2]
    assert registers[PLL_PWR] & 0x29 == 0
    assert (registers[CLK_REF] & 3, registers[CLK_SYS] & 0xE1) == (2, 1)
    assert registers[CLK_PERI] == 1 << 11
    assert registers[WATCHDOG_TICK] == 12 | 1 << 9
    irqs = {irq for irq, *_ in UARTS.values()} | {0, 1, 7}
    assert {bit for a, v in run.writes if a == NVIC for bit in range(32) if v >> bit & 1} == irqs
    assert field_of(registers[0xE000E400], 6, 2) == field_of(registers[0xE000E400], 14, 2) == 3


@pytest.mark.usefixtures("arm_compiler")
def test_the_hosts_uart_has_its_rate_and_pins(platformio: Any):
    registers = chip(platformio).registers
    for machine in (0, 1):
        divider = registers[PIO0 + 0xC8 + 0x18 * machine] / 65536
        assert 125e6 / divider / 8 == pytest.approx(921_600, rel=0.005)
    assert (registers[IO_BANK0 + 8 * 4 + 4], registers[IO_BANK0 + 8 * 5 + 4]) == (6, 6)
    assert registers[PIO0] & 3 == 3
    assert registers[PIO0 + 0x12C] == 2


@pytest.mark.usefixtures("arm_compiler")
def test_without_its_pll_it_is_slow_and_keeps_the_links_rates(platformio: Any):
    registers = chip(platformio, pll=False).registers
    assert registers.get(CLK_SYS, 0) & 1 == 0
    divider = registers[0x40034000 + 0x24] + registers[0x40034000 + 0x28] / 64
    assert divider == pytest.approx(12 / 16, rel=0.03), "too fast for 12 MHz, as near as it goes"


@pytest.mark.usefixtures("arm_compiler")
def test_without_a_crystal_it_ends_its_waits(platformio: Any):
    registers = chip(platformio, crystal=False).registers
    assert registers[WATCHDOG_TICK] & 1 << 9


@pytest.mark.parametrize("block", IN_RESET)
def test_a_forgotten_reset_is_noticed(block: int):
    with pytest.raises(AssertionError, match="while it is in reset"):
        on_access(dict(AFTER_RESET), block + 0x2004, True)


# ---- The image ----


def test_the_checksum_is_the_one_that_the_boot_rom_wants():
    assert boot2_checksum(b"123456789") == 0x0376E6E7
    boot2 = sealed(bytes(range(200)))
    assert len(boot2) == 256
    assert boot2_checksum(boot2[:252]) == struct.unpack("<I", boot2[252:])[0]


def test_uf2_has_every_byte_at_its_address():
    image = bytes(index * 7 % 256 for index in range(600))
    blocks = uf2(image)
    assert len(blocks) == 3 * 512
    contents = b""
    for number in range(3):
        fields = struct.unpack("<8I476sI", blocks[number * 512 :][:512])
        assert fields[:2] == (0x0A324655, 0x9E5D5157)
        assert fields[2:8] == (0x2000, 0x10000000 + number * 256, 256, number, 3, 0xE48BFF56)
        assert fields[9] == 0x0AB16F30
        contents += fields[8][:256]
    assert contents[:600] == image


@pytest.mark.usefixtures("arm_compiler")
def test_the_built_image_is_sealed_and_is_what_the_uf2_holds(platformio: Any):
    (elf,) = platformio.build("all_gather_rp2040")
    image = elf.with_suffix(".bin").read_bytes()
    assert boot2_checksum(image[:252]) == struct.unpack("<I", image[252:256])[0]
    assert any(image[:64])
    stack, entry = struct.unpack("<2I", image[256:264])
    assert stack == 0x20000000 + (264 << 10) - 16, "below what a reset leaves alone"
    assert 0x10000100 < entry < 0x10000000 + len(image)
    assert elf.with_suffix(".uf2").read_bytes() == uf2(image)
    assert sealed(image[:256]) in elf.read_bytes(), "what the emulator runs is sealed, too"


# ---- Under rp2040js ----


@pytest.mark.usefixtures("arm_compiler", "rp2040js")
def test_all_gather_over_two_processes(platformio: Any):
    run(platformio, "all_gather", ["rp2040"] * 2, total_bytes=4_096)


@pytest.mark.usefixtures("arm_compiler", "rp2040js")
def test_a_lossy_ring_in_lock_step_repeats_to_the_instruction(platformio: Any):
    (program,) = platformio.build("all_gather_rp2040")
    runs = [
        lock_step(program, 2, {"bytes": "4096"}, drops_per_byte=2e-3, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0].instructions != runs[2].instructions
    for lossy in runs:
        assert lossy.statuses == (0, 0), lossy.consoles
        assert lossy.dropped_bytes > 0
        assert lossy.overrun_bytes == 0, "the receive interrupt comes in time at 1 Mbaud"
        text = "\n".join(line for lines in lossy.consoles for line in lines)
        assert sum(map(int, re.findall(r"frames_resent=(\d+)", text))) > 0
        assert text.count("PASS all_gather") == 2
