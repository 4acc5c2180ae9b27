# SPDX-License-Identifier: Apache-2.0
"""What a device's RAM is taken by, from the program that was linked for it.

    python -m benchmarks.ram_map DIR/emulated/mps2_an500_64k

prints for every program of an emulated folder its arena, link memory, ports' rings, reserved stack
and the rest: what boards.toml calls ``runtime_bytes``; and banks, where activations lie in any.
Needs binutils for Arm (arm-none-eabi-nm).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

NM = "arm-none-eabi-nm"
_LINE = re.compile(r"([0-9a-f]+) ([0-9a-f]+) ([bBdD]) (.*)")
PARTS = {
    "arena": r"::arena$",
    "banks": r"::bank_\w+$",
    "links": r"::link_memory$",
    "rings": r"::(g_rings|g_links)$",
}
"""What is counted apart, by the end of its symbol; the rest is the runtime."""


def parts_of(lines: Iterable[str]) -> dict[str, int]:
    """Bytes of RAM by part, from the lines of ``nm --print-size --demangle``.

    The stack is what lies between ``__stack_limit__`` and ``__stack_top__``.
    """
    found = dict.fromkeys([*PARTS, "stack", "runtime"], 0)
    ends: dict[str, int] = {}
    for line in lines:
        words = line.split()
        if words and words[-1] in ("__stack_top__", "__stack_limit__"):
            ends[words[-1]] = int(words[0], 16)
        match = _LINE.match(line)
        if match is None:
            continue
        name, size = match[4], int(match[2], 16)
        part = next((part for part, end in PARTS.items() if re.search(end, name)), "runtime")
        found[part] += size
    found["stack"] = ends.get("__stack_top__", 0) - ends.get("__stack_limit__", 0)
    return found


def ram_map(program: Path) -> dict[str, int]:
    """Of an ELF file; RuntimeError if nm is missing or cannot read it."""
    nm = shutil.which(NM)
    if nm is None:
        raise RuntimeError(f"{NM} is not on the PATH: apt-get install binutils-arm-none-eabi")
    words = [nm, "--print-size", "--demangle", str(program)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(result.stderr.strip())
    return parts_of(result.stdout.splitlines())


def main() -> int:
    """The table."""
    parser = argparse.ArgumentParser(description="RAM of the programs of an emulated folder")
    parser.add_argument("folder", type=Path, help="DIR/emulated/BOARD")
    programs = sorted((parser.parse_args().folder / "programs").glob("*.elf"))
    maps = [ram_map(program) for program in programs]
    # Banks are beside the main RAM, and few boards have any.
    names = [n for n in (*PARTS, "stack", "runtime") if n != "banks"]
    names += ["banks"] if any(sizes["banks"] for sizes in maps) else []
    print("| program | " + " | ".join([*names, "all"]) + " |")
    print("|---|" + "--:|" * (len(names) + 1))
    for program, sizes in zip(programs, maps, strict=True):
        cells = [f"{sizes[name]:,}" for name in names] + [f"{sum(sizes.values()):,}"]
        print(f"| {program.stem} | " + " | ".join(cells) + " |")
    return 0 if programs else 1


if __name__ == "__main__":
    sys.exit(main())
