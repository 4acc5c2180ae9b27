# SPDX-License-Identifier: Apache-2.0
"""A chip without an emulator's kindness: the core alone, and registers that the test answers for.

Runs the image that one would flash from reset to its main program, records every access to a
peripheral, and shows what emulators do not notice: a clock that was never switched on, a pin that
was never given to its UART, a rate that was never set.  No debugger is there: a breakpoint is a
fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

MAIN = "_Z14split_app_mainv"
PERIPHERALS = ((0x40000000, 0x1000_0000), (0x50000000, 0x1000_0000))
_CORE_REGISTERS = 0xE000E000
_ICSR = 0xE000ED04
_BREAKPOINT = 0xBEAB
_HARD_FAULT = 3
_FRAME_BYTES = 32
_MOST_US = 120_000_000
"""Of this computer: a program that never comes to its end is a failure, not a test that hangs."""

Registers = dict[int, int]
Answer = Callable[[Registers, int], int]
"""What reading a register gives, of all that was written."""


@dataclass
class BareChip:
    """One image on one core.

    core: of unicorn (``UC_CPU_ARM_CORTEX_M4``).
    memory: start -> bytes of flash and RAM.
    answers: registers that are more than memory.
    on_access: called with (address, is_write) before every access to a peripheral.
    """

    image: Path
    core: str
    memory: Mapping[int, int]
    answers: Mapping[int, Answer] = field(default_factory=dict)
    on_access: Callable[[Registers, int, bool], None] = lambda registers, address, is_write: None
    registers: Registers = field(default_factory=dict)
    writes: list[tuple[int, int]] = field(default_factory=list)
    breakpoints: int = 0
    until: str = MAIN
    """The function at which it stops."""
    on_start: Callable[[Any], None] = lambda uc: None
    """Called with the core (of unicorn) before it runs."""
    result: int = 0
    """Its register 0 at the end."""
    has_aliases: bool = False
    """Peripherals change single bits at offsets 0x1000 (exclusive or), 0x2000 (set), 0x3000."""

    def run(self) -> BareChip:
        """From reset to the main program; skips the test without unicorn or pyelftools."""
        unicorn: Any = pytest.importorskip(
            "unicorn", reason="needs unicorn: pip install '.[dev]' (a bare Arm core)"
        )
        arm = unicorn.arm_const
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{self.core}"))
        for start, size in self.memory.items():
            uc.mem_map(start, size)
        for start, size in PERIPHERALS:
            uc.mmio_map(start, size, self._read, start, self._write, start)
        uc.mmio_map(_CORE_REGISTERS, 0x1000, self._read, _CORE_REGISTERS, self._write,
                    _CORE_REGISTERS)  # fmt: skip
        symbols = self._load(uc)
        uc.hook_add(unicorn.UC_HOOK_INTR, lambda uc, number, data: uc.emu_stop())
        vectors = symbols["split_port_vectors"]
        stack, pc = (self._word(uc, vectors + offset) for offset in (0, 4))
        uc.reg_write(arm.UC_ARM_REG_SP, stack)
        main = symbols[self.until] & ~1
        self.on_start(uc)
        while (pc & ~1) != main:
            uc.emu_start(pc | 1, main, timeout=_MOST_US)
            pc = uc.reg_read(arm.UC_ARM_REG_PC)
            if pc != main:
                pc = self._fault(uc, arm, self._word(uc, vectors + 4 * _HARD_FAULT))
        self.result = uc.reg_read(arm.UC_ARM_REG_R0)
        return self

    def _fault(self, uc: Any, arm: Any, handler: int) -> int:
        """What a core does with a breakpoint that nobody waits for; returns where it goes on."""
        pc, sp = uc.reg_read(arm.UC_ARM_REG_PC), uc.reg_read(arm.UC_ARM_REG_SP)
        is_breakpoint = self._word(uc, pc) & 0xFFFF == _BREAKPOINT
        assert is_breakpoint, f"a fault at {pc:#x}, or {_MOST_US // 1_000_000} s without an end"
        self.breakpoints += 1
        saved = [uc.reg_read(getattr(arm, f"UC_ARM_REG_R{n}")) for n in (0, 1, 2, 3, 12)]
        lr = uc.reg_read(arm.UC_ARM_REG_LR)
        frame = sp - _FRAME_BYTES
        uc.mem_write(frame, b"".join(w.to_bytes(4, "little") for w in (*saved, lr, pc, 1 << 24)))
        uc.reg_write(arm.UC_ARM_REG_SP, frame)
        uc.reg_write(arm.UC_ARM_REG_LR, handler | 1)  # stands for the end of the exception
        uc.emu_start(handler | 1, 0, count=1)
        uc.emu_start(uc.reg_read(arm.UC_ARM_REG_PC) | 1, handler & ~1, timeout=_MOST_US)
        for number, register in enumerate((0, 1, 2, 3, 12)):
            word = self._word(uc, frame + 4 * number)
            uc.reg_write(getattr(arm, f"UC_ARM_REG_R{register}"), word)
        uc.reg_write(arm.UC_ARM_REG_LR, self._word(uc, frame + 20))
        uc.reg_write(arm.UC_ARM_REG_SP, sp)
        return self._word(uc, frame + 24)

    def _load(self, uc: Any) -> dict[str, int]:
        elffile: Any = pytest.importorskip(
            "elftools.elf.elffile", reason="needs pyelftools: pip install '.[host]'"
        )
        with self.image.open("rb") as file:
            elf = elffile.ELFFile(file)
            for segment in elf.iter_segments("PT_LOAD"):
                if segment.data():
                    uc.mem_write(segment["p_paddr"], segment.data())
            table = elf.get_section_by_name(".symtab")
            return {symbol.name: symbol["st_value"] for symbol in table.iter_symbols()}

    @staticmethod
    def _word(uc: Any, address: int) -> int:
        return int.from_bytes(uc.mem_read(address, 4), "little")

    def _read(self, uc: Any, offset: int, size: int, start: int) -> int:
        address = start + offset
        self.on_access(self.registers, address, False)
        plain = self.registers.get(address, 0)
        return self.answers[address](self.registers, plain) if address in self.answers else plain

    def _write(self, uc: Any, offset: int, size: int, value: int, start: int) -> None:
        address = start + offset
        self.on_access(self.registers, address, True)
        if self.has_aliases and start in (at for at, _ in PERIPHERALS):
            alias, address = address >> 12 & 3, address & ~0x3000
            old = self.registers.get(address, 0)
            value = (value, old ^ value, old | value, old & ~value)[alias]
        self.registers[address] = value
        self.writes.append((address, value))


def field_of(value: int, shift: int, bits: int) -> int:
    """Bits ``shift`` to ``shift + bits - 1`` of a register."""
    return value >> shift & (1 << bits) - 1
