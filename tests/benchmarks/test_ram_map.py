# SPDX-License-Identifier: Apache-2.0
"""A device's RAM by what takes it, from a linker's symbols."""

from __future__ import annotations

from benchmarks.ram_map import parts_of

LINES = """\
20000000 00000010 d (anonymous namespace)::table
20000010 00001000 b (anonymous namespace)::arena
20001010 00000400 b (anonymous namespace)::link_memory
20001410 00000200 b split_port::(anonymous namespace)::g_rings
20001610 00000030 B errno
60c00000 00030000 b (anonymous namespace)::bank_psram
20010000 N __stack_top__
2000f000 N __stack_limit__
00000100 00000020 T main
00000120 00000010 r constants
"""


def test_what_is_in_ram_is_counted_once_by_what_it_is_for():
    assert parts_of(LINES.splitlines()) == {
        "arena": 0x1000,
        "banks": 0x30000,
        "links": 0x400,
        "rings": 0x200,
        "stack": 0x1000,
        "runtime": 0x40,
    }
