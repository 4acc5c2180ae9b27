// SPDX-License-Identifier: Apache-2.0
// What a linked program puts into flash.

const FLASH_START = 0x10000000;
const LOAD = 1;

// Copies the loaded segments of a 32-bit little-endian ELF file to where they lie in flash.
export function loadFlash(file, flash) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0) !== 0x7f454c46) throw new Error("this is no ELF file");
  const table = view.getUint32(28, true);
  const entryBytes = view.getUint16(42, true);
  const count = view.getUint16(44, true);
  for (let index = 0; index < count; index++) {
    const entry = table + index * entryBytes;
    const [type, offset, , address, bytes] = [0, 4, 8, 12, 16].map((at) =>
      view.getUint32(entry + at, true),
    );
    const start = address - FLASH_START;
    if (type !== LOAD || bytes === 0) continue;
    if (start < 0 || start + bytes > flash.length) throw new Error(`nothing is at ${address}`);
    flash.set(file.subarray(offset, offset + bytes), start);
  }
}
