# SPDX-License-Identifier: Apache-2.0
"""Measures split_core's flash and RAM on a Cortex-M7, as docs/wire_format.md quotes them.

    python tests/core/measure_size.py [--json]

Flash: what the linker keeps of the core for a firmware that uses all of Node and Communicator and
prints errors (difference to the same start-up code without it). RAM: Node::required_bytes() minus
the frame buffers, for a device with two ring links and a host link.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORE = HERE.parents[1] / "tflm_app" / "lib" / "split_core"
FLAGS = [
    "-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard", "-std=c++17", "-Os",
    "-fno-exceptions", "-fno-rtti", "-ffunction-sections", "-fdata-sections",
    "-fno-threadsafe-statics", "-Wl,--gc-sections", "-nostartfiles", "--specs=nano.specs",
    "-Wl,-e,entry",
]  # fmt: skip


def sections(elf: Path) -> dict[str, int]:
    """Bytes of .text (with constants), .data and .bss."""
    run = subprocess.run(["arm-none-eabi-size", elf], capture_output=True, text=True, check=True)
    text, data, bss = run.stdout.splitlines()[1].split()[:3]
    return {"text": int(text), "data": int(data), "bss": int(bss)}


def symbol_bytes(elf: Path, name: str) -> int:
    """Size of one variable."""
    run = subprocess.run(
        ["arm-none-eabi-nm", "-SC", elf], capture_output=True, text=True, check=True
    )
    return next(int(line.split()[1], 16) for line in run.stdout.splitlines() if name in line)


def build(folder: Path, name: str, *options: str) -> dict[str, int]:
    elf = folder / f"{name}.elf"
    sources = [HERE / "size_probe.cc", *sorted((CORE / "src").glob("*.cc"))]
    command = ["arm-none-eabi-g++", *FLAGS, *options, f"-I{CORE / 'include'}", *sources]
    # libnosys's empty system calls are not the core's; both builds have them.
    subprocess.run([*map(str, command), "-o", str(elf), "-lc", "-lnosys"], check=True)
    return sections(elf)


def measure() -> dict[str, int]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty = build(folder, "empty", "-DPROBE_EMPTY")
        full = build(folder, "full")
        build(folder, "node", "-DPROBE_NODE_BYTES")
        build(folder, "buffers", "-DPROBE_BUFFER_BYTES")
        node_bytes = symbol_bytes(folder / "node.elf", "memory")
        frame_buffers = symbol_bytes(folder / "buffers.elf", "memory")
    return {
        "flash_bytes": full["text"] + full["data"] - empty["text"] - empty["data"],
        "ram_bytes": node_bytes - frame_buffers + full["data"] - empty["data"],
        "frame_buffer_bytes": frame_buffers,
    }


def main() -> None:
    sizes = measure()
    if "--json" in sys.argv:
        print(json.dumps(sizes))
    else:
        for key, value in sizes.items():
            print(f"{key:20} {value:6}")


if __name__ == "__main__":
    main()
