# SPDX-License-Identifier: Apache-2.0
"""The STM32F405 port: what no emulator notices (clocks, pins, rates), and rings in QEMU."""

from __future__ import annotations

from typing import Any

import pytest

from tests.firmware.bare_chip import Answer, BareChip, Registers, field_of
from tests.firmware.rings import MANY_FAULTS, frames_resent, run

RCC_CR, RCC_PLLCFGR, RCC_CFGR = 0x40023800, 0x40023804, 0x40023808
AHB1ENR, APB1ENR, APB2ENR = 0x40023830, 0x40023840, 0x40023844
FLASH_ACR = 0x40023C00
NVIC = 0xE000E100
MODE_OF_RESET = {0x40020000: 0xA8000000, 0x40020400: 0x00000280}
"""GPIOA and B: the debugger's pins."""
GATES = {
    **{0x40020000 + 0x400 * port: (AHB1ENR, port) for port in range(9)},
    0x40004400: (APB1ENR, 17),
    0x40004800: (APB1ENR, 18),
    0x40011000: (APB2ENR, 4),
    0x40007000: (APB1ENR, 28),
    0x50060800: (0x40023834, 6),
}
"""Block of 1 KB -> register and bit that give it a clock (RM0090, chapter 7)."""
UNGATED = (0x40023800, 0x40023C00)  # RCC and the flash's interface
USARTS = {  # base -> interrupt, TX, RX, divider at full speed
    0x40004400: (38, ("A", 2), ("A", 3), 42),
    0x40004800: (39, ("B", 10), ("B", 11), 42),
    0x40011000: (37, ("A", 9), ("A", 10), 91),
}
MEMORY = {0x08000000: 1 << 20, 0x20000000: 128 << 10}


def on_access(registers: Registers, address: int, is_write: bool) -> None:
    """A peripheral without a clock takes nothing, and says nothing about it."""
    block = address & ~0x3FF
    if address < 0xE0000000 and block not in UNGATED:
        gate, bit = GATES[block]
        assert registers.get(gate, 0) >> bit & 1, f"{address:#x} before its clock is on"


def clock_tree(crystal: bool = True, pll: bool = True) -> dict[int, Answer]:
    """RCC of a chip: what is switched on gets ready, unless it is broken."""

    def control(registers: Registers, value: int) -> int:
        on = {16: crystal, 24: pll}
        ready = sum(1 << bit + 1 for bit, works in on.items() if works and value >> bit & 1)
        return value | 1 | 1 << 1 | ready

    return {RCC_CR: control, RCC_CFGR: lambda registers, value: value | (value & 3) << 2}


def chip(platformio: Any, **broken: bool) -> BareChip:
    (image,) = platformio.build("all_gather_stm32f405")
    registers = dict(MODE_OF_RESET)
    answers = clock_tree(**broken)
    return BareChip(image, "CORTEX_M4", MEMORY, answers, on_access, registers).run()


def check_usarts(registers: Registers, dividers: list[int]) -> None:
    """Each has its rate, is on, may interrupt, and has its two pins."""
    for (base, (_, tx, rx, _)), divider in zip(USARTS.items(), dividers, strict=True):
        assert registers[base + 0x08] == divider
        assert registers[base + 0x0C] & 0x202C == 0x202C  # UE, TE, RE, RXNEIE
        for port, pin in (tx, rx):
            gpio = 0x40020000 + 0x400 * (ord(port) - ord("A"))
            alternate = registers[gpio + 0x20 + 4 * (pin // 8)]
            assert field_of(registers[gpio], 2 * pin, 2) == 2, f"P{port}{pin} is no USART's"
            assert field_of(alternate, 4 * (pin % 8), 4) == 7
            assert field_of(registers[gpio + 0x0C], 2 * pin, 2) == 1, f"P{port}{pin} floats"
    for base, value in MODE_OF_RESET.items():
        mine = sum(3 << 2 * pin for _, *pins, _ in USARTS.values() for port, pin in pins
                   if 0x40020000 + 0x400 * (ord(port) - ord("A")) == base)  # fmt: skip
        assert registers[base] & ~mine == value & ~mine, "another pin has changed its mode"


@pytest.mark.usefixtures("arm_compiler")
def test_the_image_switches_on_what_it_uses(platformio: Any):
    """With a crystal: 8 MHz / 8 * 336 / 2 = 168 MHz, buses at a quarter and a half."""
    run = chip(platformio)
    registers = run.registers
    check_usarts(registers, [divider for *_, divider in USARTS.values()])
    assert run.breakpoints == 1  # nobody answers semihosting: it asks once, and never again
    pll = registers[RCC_PLLCFGR]
    assert [field_of(pll, *at) for at in ((0, 6), (6, 9), (16, 2), (22, 1), (24, 4))] == [
        8, 336, 0, 1, 7,
    ]  # fmt: skip
    assert field_of(registers[RCC_CFGR], 10, 3) == 5
    assert field_of(registers[RCC_CFGR], 13, 3) == 4
    order = [address for address, value in run.writes if address in (FLASH_ACR, RCC_CFGR)]
    assert order[0] == FLASH_ACR, "wait states come before the fast clock"
    assert registers[FLASH_ACR] & 7 == 5
    assert registers[RCC_CFGR] & 3 == 2
    enabled = {32 * (a - NVIC) // 4 + bit for a, v in run.writes if NVIC <= a < NVIC + 32
               for bit in range(32) if v >> bit & 1}  # fmt: skip
    assert enabled == {irq for irq, *_ in USARTS.values()}
    assert registers[0xE000ED20] >> 16 & 0xFF == 0xFF, "ticks would keep the USARTs waiting"


@pytest.mark.usefixtures("arm_compiler")
def test_without_a_crystal_it_runs_from_the_internal_oscillator(platformio: Any):
    run = chip(platformio, crystal=False)
    assert field_of(run.registers[RCC_PLLCFGR], 0, 6) == 16
    assert field_of(run.registers[RCC_PLLCFGR], 22, 1) == 0
    check_usarts(run.registers, [divider for *_, divider in USARTS.values()])


@pytest.mark.usefixtures("arm_compiler")
def test_without_its_pll_it_is_slow_and_keeps_its_rates(platformio: Any):
    run = chip(platformio, pll=False)
    assert run.registers.get(RCC_CFGR, 0) & 3 == 0
    check_usarts(run.registers, [16, 16, 17])


@pytest.mark.parametrize("base", USARTS)
def test_a_forgotten_clock_is_noticed(base: int):
    with pytest.raises(AssertionError, match=f"{base + 8:#x} before its clock is on"):
        on_access({APB1ENR: 1 << 28, AHB1ENR: 3}, base + 8, True)


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_all_gather_in_a_ring_with_another_core(platformio: Any):
    boards = ["stm32f405", "stm32f405", "mps3_an547"]
    run(platformio, "all_gather", boards, total_bytes=30_000)


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_all_gather_with_faults(platformio: Any):
    ends = run(platformio, "all_gather", ["stm32f405"] * 2, 32_768, faults=MANY_FAULTS, seed=1)
    assert frames_resent(ends) > 0


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_bytes_round_a_board_wired_to_itself(platformio: Any):
    run(platformio, "uart_ring", ["stm32f405"], total_bytes=5_000)
