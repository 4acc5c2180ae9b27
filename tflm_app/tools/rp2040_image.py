# SPDX-License-Identifier: Apache-2.0
"""What the RP2040's boot ROM wants of an image: its boot loader's checksum, and the .uf2 form."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

BOOT2_BYTES = 256
FLASH_START = 0x10000000
UF2_PAYLOAD_BYTES = 256
_POLYNOMIAL = 0x04C11DB7
_MAGIC = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_HAS_FAMILY = 0x2000
_FAMILY_RP2040 = 0xE48BFF56


def boot2_checksum(code: bytes) -> int:
    """Of the boot loader's first 252 bytes: CRC-32, most significant bit first, not inverted.

    RP2040 data sheet 2.8.1.3.1 (CRC-32/MPEG-2: "123456789" gives 0x0376E6E7).
    """
    value = 0xFFFFFFFF
    for byte in code:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (_POLYNOMIAL if value >> 31 else 0)) & 0xFFFFFFFF
    return value


def sealed(boot2: bytes) -> bytes:
    """The boot loader with its checksum in the last four bytes."""
    code = boot2[: BOOT2_BYTES - 4].ljust(BOOT2_BYTES - 4, b"\0")
    return code + struct.pack("<I", boot2_checksum(code))


def seal_elf(objcopy: str, elf: Path) -> None:
    """Puts the checksum into section ``.boot2`` of a linked program."""
    section = elf.with_suffix(".boot2")
    dump = [objcopy, "-O", "binary", "--only-section=.boot2", str(elf), str(section)]
    subprocess.run(dump, check=True)
    section.write_bytes(sealed(section.read_bytes()))
    subprocess.run([objcopy, "--update-section", f".boot2={section}", str(elf)], check=True)


def uf2(image: bytes, start: int = FLASH_START) -> bytes:
    """The image as the boot ROM's disk takes it: blocks of 512 bytes, each with its address.

    The format: https://github.com/microsoft/uf2.
    """
    count = -(-len(image) // UF2_PAYLOAD_BYTES)
    blocks = []
    for number in range(count):
        data = image[number * UF2_PAYLOAD_BYTES :][:UF2_PAYLOAD_BYTES].ljust(476, b"\0")
        address = start + number * UF2_PAYLOAD_BYTES
        head = (*_MAGIC[:2], _HAS_FAMILY, address, UF2_PAYLOAD_BYTES, number, count, _FAMILY_RP2040)
        blocks.append(struct.pack("<8I476sI", *head, data, _MAGIC[2]))
    return b"".join(blocks)
