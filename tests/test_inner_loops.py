# SPDX-License-Identifier: Apache-2.0
"""The loops that ``benchmarks.inner_loops`` finds in a listing."""

from __future__ import annotations

from benchmarks.inner_loops import Loop, innermost

LISTING = """
00000000 <product>:
   0:\tmov\tr2, r0
   2:\tldr\tr3, [r1], #4
   6:\tsmlad\tr4, r3, r5, r4
   a:\tcmp\tr1, r6
   c:\tbne.n\t2 <product+0x2>
   e:\tsubs\tr2, #1\t@ 0x1
  10:\tbne.n\t0 <product>
  12:\tbeq.n\t20 <other>

00000020 <other>:
  20:\tadds\tr0, #1
  22:\tbne.w\t20 <other>
"""


def test_only_innermost_loops_count_and_comments_are_no_operands() -> None:
    (product, loop), (other, last) = innermost(LISTING)
    assert (product, other) == ("product", "other")
    assert loop[:3] == ["ldr r3, [r1], #4", "smlad r4, r3, r5, r4", "cmp r1, r6"]
    assert loop[3:] == ["bne.n 2 <product+0x2>"]
    assert last == ["adds r0, #1", "bne.w 20 <other>"]


def test_ratios_are_of_the_loop_alone() -> None:
    loop = Loop("ours", "product", instructions=91, macs=128, cycles=80.0)
    assert (loop.instructions_per_mac, loop.cycles_per_mac) == (91 / 128, 0.625)
