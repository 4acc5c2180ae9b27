# SPDX-License-Identifier: Apache-2.0
"""How a device's program is started: as a QEMU machine or as a process of this computer."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tflsplit.emulate.wiring import LINKS_PER_DEVICE
from tflsplit.errors import ClusterError

HOST_BOARD = "host"
"""The board whose programs run on this computer itself."""

QEMU_MACHINES: Mapping[str, str] = {
    "mps2_an386": "mps2-an386",
    "mps2_an500": "mps2-an500",
    "mps2_an505": "mps2-an505",
    "mps3_an547": "mps3-an547",
}
"""QEMU's machine for each emulated board of ``tflm_app/platforms/mps2/boards``."""

INSTRUCTION_COUNT_SHIFT = 6
"""With ``-icount shift=6`` an instruction takes 2**6 ns of the emulated clock."""


def find_qemu() -> str:
    """Returns the emulator's path.

    Raises:
        ClusterError: it is not installed.
    """
    path = shutil.which("qemu-system-arm")
    if path is None:
        raise ClusterError(
            "qemu-system-arm is not on the PATH; it emulates the boards. "
            "On Debian or Ubuntu: apt-get install qemu-system-arm; on macOS: brew install qemu"
        )
    return path


def command(
    board: str,
    program: Path,
    links: Mapping[int, int],
    arguments: Mapping[str, str],
    *,
    control: int | None = None,
    count_instructions: bool = False,
) -> list[str]:
    """Returns the command that starts one device.

    Args:
        board: ``"host"`` or a key of ``QEMU_MACHINES``.
        program: ELF file built for that board.
        links: file descriptor of a connected socket for each wired link.
        arguments: start-up arguments; neither keys nor values may contain spaces or commas.
        control: descriptor of a connected socket for QEMU's control protocol.
        count_instructions: let the emulated clock follow the number of instructions.

    Raises:
        ClusterError: unknown board, missing emulator, or an argument that cannot be passed.
    """
    words = [f"{key}={value}" for key, value in arguments.items()]
    for word in words:
        if " " in word or "," in word:
            raise ClusterError(f"the device argument {word!r} contains a space or a comma")
    if board == HOST_BOARD:
        return [str(program), *words, *(f"link{link}=fd:{fd}" for link, fd in links.items())]
    if board not in QEMU_MACHINES:
        known = ", ".join([HOST_BOARD, *QEMU_MACHINES])
        raise ClusterError(f"board {board!r} cannot be emulated; boards that can: {known}")
    return [
        *(find_qemu(), "-M", QEMU_MACHINES[board], "-display", "none", "-monitor", "none"),
        *("-semihosting-config", _semihosting(words), "-kernel", str(program)),
        *("-serial", "stdio"),
        *_serial_ports(links),
        *(_control(control) if control is not None else []),
        *(["-icount", f"shift={INSTRUCTION_COUNT_SHIFT}"] if count_instructions else []),
    ]


def _semihosting(words: list[str]) -> str:
    return ",".join(["enable=on,target=native", "arg=firmware", *(f"arg={word}" for word in words)])


def _serial_ports(links: Mapping[int, int]) -> list[str]:
    """UART 0 is the console; UART k + 1 is link k.

    A multiplexed character device buffers 32 bytes for its receiver, which more than doubles
    the rate; 0x100 as escape character switches the multiplexer's own commands off.
    """
    options = ["-echr", "0x100"]
    for link in range(LINKS_PER_DEVICE):
        if link in links:
            options += ["-chardev", f"socket,mux=on,id=link{link},fd={links[link]}"]
            options += ["-serial", f"chardev:link{link}"]
        else:
            options += ["-serial", "null"]
    return options


def _control(descriptor: int) -> list[str]:
    return [
        *("-chardev", f"socket,id=control,fd={descriptor}"),
        *("-mon", "chardev=control,mode=control"),
    ]
