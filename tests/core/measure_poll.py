# SPDX-License-Identifier: Apache-2.0
"""What ``Node::poll`` costs on an emulated Cortex-M7, for the simulator's background polls.

    PYTHONPATH=rewriter:. python -m tests.core.measure_poll

``tflsplit.plan.cost.polling`` holds the numbers; tests/sim/test_polling.py compares them.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.cortex_m import COMPILER, PLATFORM, board, emulate, needs
from tests.kernels.kernel_driver import ROOT
from tflsplit.cluster import LinkKind

BOARD = "mps2_an500"
CORE = ROOT / "tflm_app" / "lib" / "split_core"
PORT = ROOT / "tflm_app" / "lib" / "split_port"


@dataclass(frozen=True)
class PollCost:
    """Instructions.

    idle: of a poll that finds nothing, with three links up.
    sent_byte, received_byte: for each byte of a wire beside that, of messages that begin or end
        here; forwarded_byte: of one that comes and leaves again, both bytes together.
    """

    idle: float
    sent_byte: float
    received_byte: float
    forwarded_byte: float


def measure(kind: LinkKind) -> PollCost:
    """Build, run in QEMU, divide; skips a test without the compiler or QEMU.

    kind: of the links. UARTs take and give single bytes, as those of Arduino cores do, SPI and
        Ethernet what lies in a ring; of Ethernet, what carries frames over it is included, with
        frames of 1,024 bytes.
    """
    with tempfile.TemporaryDirectory() as name:
        program = Path(name) / "poll.elf"
        _build(program, kind)
        answers = emulate(BOARD, program, b"", "-icount", "shift=0").decode()
    rows = {what: tuple(map(int, rest)) for what, *rest in map(_cells, answers.splitlines())}
    taken, polls, moved = rows["idle"]
    assert moved == 0
    idle = taken / polls

    def per_byte(what: str) -> float:
        taken, polls, moved = rows[what]
        return (taken - polls * idle) / moved

    return PollCost(idle, per_byte("send"), per_byte("receive"), 2 * per_byte("forward"))


def _cells(line: str) -> list[str]:
    return line.split(";")


def _build(program: Path, kind: LinkKind) -> None:
    scripts, target = PLATFORM / "ldscripts", board(BOARD)
    sources = [
        *sorted((CORE / "src").glob("*.cc")),
        ROOT / "tests" / "core" / "measure_poll.cc",
        ROOT / "tests" / "kernels" / "cortex_m.cc",
    ]
    includes = [f"-I{CORE / 'include'}", f"-I{PORT / 'include'}"]
    if kind is LinkKind.UART:
        includes += ["-DBYTE_BY_BYTE"]
    if kind is LinkKind.ETHERNET:
        sources += [PORT / "src" / "ethernet_frame.cc", PORT / "src" / "segment_sender.cc"]
        includes += ["-DON_ETHERNET"]
    command = [
        *(needs(COMPILER), *target["cpu_flags"], "-O2", "-std=c++17", "-fno-exceptions"),
        *("-fno-rtti", "-ffunction-sections", "-Wl,--gc-sections", *includes),
        *map(str, sources),
        *("--specs=rdimon.specs", "-nostartfiles", f"-L{scripts}"),
        f"-L{ROOT / 'tflm_app' / 'ports' / 'cortex_m' / 'ldscripts'}",
        *(f"-T{scripts / target['ldscript']}", "-Wl,--defsym=end=__bss_end__"),
        *("-o", str(program)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def main() -> None:
    """Print them."""
    for kind in LinkKind:
        for what, instructions in vars(measure(kind)).items():
            print(f"{what:16} {instructions:8.1f} ({kind.value})")


if __name__ == "__main__":
    main()
