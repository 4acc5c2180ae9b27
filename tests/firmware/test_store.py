# SPDX-License-Identifier: Apache-2.0
"""The boards' stores: the self-test in QEMU, and on a bare core with a modelled flash."""

from __future__ import annotations

from typing import Any

import pytest

from tests.firmware.bare_chip import BareChip, Registers
from tests.firmware.test_stm32f405_port import MEMORY, MODE_OF_RESET, clock_tree, on_access
from tflsplit.emulate import Cluster, Device

STOP = "_ZN10split_port4stopEi"
KEYR, SR, CR = 0x40023C04, 0x40023C0C, 0x40023C10
KEYS = [0x45670123, 0xCDEF89AB]
PROGRAM, ERASE, START, LOCK = 1 << 0, 1 << 1, 1 << 16, 1 << 31
SECTOR_BYTES, FIRST_SECTOR, FLASH = 128 << 10, 4, 0x08000000


class Flash:
    """Of an STM32F405 (RM0090, 3.6): changes only when it was unlocked and told to.

    spoilt: an error that it reports after every erasure.
    """

    def __init__(self, spoilt: int = 0) -> None:
        self.uc: Any = None
        self.chip: BareChip | None = None
        self.spoilt = spoilt
        self.erased: list[int] = []
        self.words = 0
        self.error = 0
        self.seen = 0

    def begin(self, uc: Any) -> None:
        import unicorn

        self.uc = uc
        uc.hook_add(
            unicorn.UC_HOOK_MEM_WRITE, self._program, begin=FLASH, end=FLASH + (1 << 20) - 1
        )

    def status(self, registers: Registers, plain: int) -> int:
        """Reading it shows what was asked for since."""
        for address, value in self._news():
            if address == SR:
                self.error &= ~value
            if address == CR and value & START:
                assert self._is_unlocked()
                assert value & ERASE
                sector = value >> 3 & 15
                assert 8 <= sector <= 11, "the program's own sectors"
                self.erased.append(sector)
                at = FLASH + SECTOR_BYTES * (sector - FIRST_SECTOR)
                self.uc.mem_write(at, b"\xff" * SECTOR_BYTES)
                self.error |= self.spoilt
        return self.error

    def _news(self) -> list[tuple[int, int]]:
        assert self.chip is not None
        news = self.chip.writes[self.seen :]
        self.seen += len(news)
        return news

    def _is_unlocked(self) -> bool:
        """Both keys, and no lock since."""
        assert self.chip is not None
        keys: list[int] = []
        for address, value in self.chip.writes:
            if address == KEYR:
                keys.append(value)
            if address == CR and value & LOCK:
                keys = []
        return keys == KEYS

    def _program(
        self, uc: Any, access: int, address: int, size: int, value: int, data: Any
    ) -> None:
        assert self.chip is not None
        assert self.chip.registers.get(CR, LOCK) & (PROGRAM | 3 << 8) == PROGRAM | 2 << 8
        assert self._is_unlocked()
        assert size == 4
        assert address >= FLASH + (512 << 10)
        old = int.from_bytes(uc.mem_read(address, 4), "little")
        assert old == 0xFFFFFFFF or value == 0
        self.words += 1


def stm32f405(platformio: Any, flash: Flash) -> BareChip:
    (image,) = platformio.build("store_stm32f405")
    answers = clock_tree() | {SR: flash.status}
    chip = BareChip(
        image, "CORTEX_M4", MEMORY, answers, on_access, dict(MODE_OF_RESET),
        until=STOP, on_start=flash.begin,
    )  # fmt: skip
    flash.chip = chip
    return chip.run()


def test_the_flash_of_an_stm32f405_is_written_as_its_manual_has_it(platformio: Any):
    flash = Flash()
    assert stm32f405(platformio, flash).result == 0
    assert flash.erased == [10, 10, 11, 11]
    assert flash.words == 2 * (960 + 96) // 4


def test_an_error_of_the_flash_is_one_of_the_store(platformio: Any):
    assert stm32f405(platformio, Flash(spoilt=1 << 7)).result == 1


@pytest.mark.parametrize(
    ("board", "place", "needed"),
    [("mps2_an500", "", "qemu"), ("stm32f405", "_ram", "qemu"), ("rp2040", "", "rp2040js")],
    ids=["mps2_an500", "stm32f405 in RAM", "rp2040"],
)
def test_the_self_test_passes(
    platformio: Any, request: pytest.FixtureRequest, board: str, place: str, needed: str
):
    request.getfixturevalue(needed)
    (program,) = platformio.build(f"store_{board}{place}")
    with Cluster([Device(program, board)], ()) as cluster:
        (end,) = cluster.wait(60)
    assert end.status == 0, end.console
    assert any(line.startswith("PASS store: two slots") for line in end.console)
