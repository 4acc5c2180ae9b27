# SPDX-License-Identifier: Apache-2.0
"""How a compiler lays out C structs on the targets that TFLM runs on.

TFLM keeps structs in the tail of its arena, so the tail depends on the width of pointers and,
less obviously, on the width of enums: ``arm-none-eabi-gcc`` gives an enum the smallest integer
type that holds its values (AAPCS, ``-fshort-enums``), other compilers four bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

_ALIGNED_SIZES = {"?": 1, "b": 1, "h": 2, "i": 4, "f": 4, "d": 8, "q": 8}


@dataclass(frozen=True)
class Abi:
    """The sizes that differ between targets.

    pointer_bytes: of pointers, ``size_t`` and ``intptr_t``.
    enum_bytes: of a C enum whose values fit in a byte.
    compression: whether TFLM is built with USE_TFLM_COMPRESSION, which adds fields.
    """

    name: str
    pointer_bytes: int
    enum_bytes: int
    compression: bool = False

    def bytes_of(self, code: str) -> int:
        """The size of one field, which is its alignment too (see ``struct_layout``)."""
        if code in "cC":
            return self.bytes_of("i" if code == "c" else "P") if self.compression else 0
        if code == "P":
            return self.pointer_bytes
        if code == "e":
            return self.enum_bytes
        return _ALIGNED_SIZES[code]


CORTEX_M = Abi("cortex_m", pointer_bytes=4, enum_bytes=1)
ESP32 = Abi("esp32", pointer_bytes=4, enum_bytes=4)
# The tflite-micro wheel: 64 bit, and with compression.
HOST_64 = Abi("host_64", pointer_bytes=8, enum_bytes=4, compression=True)

ABIS = {abi.name: abi for abi in (CORTEX_M, ESP32, HOST_64)}


@dataclass(frozen=True)
class Layout:
    """What a struct needs: its size and the alignment that its address must have, in bytes."""

    size_bytes: int
    alignment_bytes: int


@cache
def struct_layout(fields: str, abi: Abi) -> Layout:
    """The layout of a C struct given its fields in order.

    fields: one character a field: ``P`` pointer or size_t, ``e`` enum, ``?`` bool, ``b`` 8 bit,
        ``h`` 16 bit, ``i`` 32 bit, ``q`` 64 bit, ``f`` float, ``d`` double; a struct inside stands
        in braces (its padding at the end is not reused); ``c`` and ``C`` are ``i`` and ``P`` that
        only exist in builds with compression; spaces mean nothing.
    """
    members: list[list[Layout]] = [[]]
    for code in fields.replace(" ", ""):
        if code == "{":
            members.append([])
        elif code == "}":
            inner = _joined(members.pop())
            members[-1].append(inner)
        else:
            size = abi.bytes_of(code)
            members[-1] += [Layout(size, size)] if size else []
    return _joined(members[0])


def _joined(members: list[Layout]) -> Layout:
    offset, alignment = 0, 1
    for member in members:
        offset = align_up(offset, member.alignment_bytes) + member.size_bytes
        alignment = max(alignment, member.alignment_bytes)
    return Layout(align_up(offset, alignment), alignment)


def align_up(size_bytes: int, alignment_bytes: int) -> int:
    """The next multiple of ``alignment_bytes``, the size itself if it is one."""
    return -(-size_bytes // alignment_bytes) * alignment_bytes
