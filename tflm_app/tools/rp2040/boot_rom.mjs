// SPDX-License-Identifier: Apache-2.0
// What a program may call of the RP2040's boot ROM (data sheet 2.8.3.1): the functions that erase and write its
// flash. The chip's own ROM is not here: each is a breakpoint and a return, and the work is done by the emulator.

const TABLE = 0x14; // of the data sheet: 16 bits, where the table of functions is
const FINDER = 0x18; // 16 bits, the function that looks one up in it
const THUMB = 1;
const RETURN = 0x4770; // bx lr
const BREAKPOINT = 0xbe00;
const FIRST = 0x40; // what follows the addresses above
const STRIDE = 4; // a breakpoint and a return
const [FIND, NOTHING, ERASE, PROGRAM] = [1, 2, 3, 4]; // codes of the breakpoints
const CODES = new Map([["RE", ERASE], ["RP", PROGRAM], ...["IF", "EX", "FC", "CX"].map((name) => [name, NOTHING])]);
// Of a W25Q16JV, which Picos have: typical times of a sector and of a page.
const [SECTOR_BYTES, SECTOR_NANOS] = [4096, 45e6];
const [PAGE_BYTES, PAGE_NANOS] = [256, 0.4e6];

const addressOf = (code) => (FIRST + (code - 1) * STRIDE) | THUMB;

export class BootRom {
  constructor(mcu) {
    this.mcu = mcu;
    const rom = new DataView(mcu.bootrom.buffer, mcu.bootrom.byteOffset);
    rom.setUint16(TABLE, FIRST, true);
    rom.setUint16(FINDER, addressOf(FIND), true);
    for (const code of [FIND, NOTHING, ERASE, PROGRAM]) {
      const at = addressOf(code) & ~THUMB;
      rom.setUint16(at, BREAKPOINT | code, true);
      rom.setUint16(at + 2, RETURN, true);
    }
  }

  // Whether a breakpoint is one of the ROM's; what it stands for is done then.
  call(code) {
    const { flash, core, clock } = this.mcu;
    const { registers } = core;
    if (code === FIND) {
      const name = String.fromCharCode(registers[1] & 0xff, (registers[1] >> 8) & 0xff);
      registers[0] = CODES.has(name) ? addressOf(CODES.get(name)) : 0;
    } else if (code === ERASE) {
      const [at, bytes] = registers;
      flash.fill(0xff, at, at + bytes);
      clock.tick((bytes / SECTOR_BYTES) * SECTOR_NANOS);
    } else if (code === PROGRAM) {
      const [at, from, bytes] = registers;
      for (let byte = 0; byte < bytes; byte++) flash[at + byte] &= this.mcu.readUint8(from + byte); // ones become zeros
      clock.tick((bytes / PAGE_BYTES) * PAGE_NANOS);
    } else return code === NOTHING;
    return true;
  }
}
