# SPDX-License-Identifier: Apache-2.0
"""How a device's program is started: as a QEMU machine or as a process of this computer."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tflsplit.emulate import rp2040
from tflsplit.emulate.wiring import HOST_LINK, NEXT_LINK, PREVIOUS_LINK
from tflsplit.errors import ClusterError

HOST_BOARD = "host"
"""The board whose programs run on this computer itself."""


@dataclass(frozen=True)
class Machine:
    """A machine of QEMU.

    name: what ``-M`` takes.
    serial_links: the link at each of its serial ports, in QEMU's order; None: the console.  A port
        whose link is not wired is the console, too, if it is the first.
    blocks: a byte for which its socket has no room stops the whole machine, so that a ring of them
        stands still for ever: only sockets that hold megabytes will do.
    writes_flash: False: what its program writes into its flash is ignored.
    """

    name: str
    serial_links: tuple[int | None, ...]
    blocks: bool = False
    writes_flash: bool = True

    @property
    def has_ethernet(self) -> bool:
        """Whether it is one of Arm's boards, which all have a LAN9118."""
        return self.name.startswith("mps")


_MPS2_LINKS = (None, PREVIOUS_LINK, NEXT_LINK, 2, HOST_LINK)
MACHINES: Mapping[str, Machine] = {
    "mps2_an386": Machine("mps2-an386", _MPS2_LINKS),
    "mps2_an500": Machine("mps2-an500", _MPS2_LINKS),
    "mps2_an500_64k": Machine("mps2-an500", _MPS2_LINKS),
    "mps2_an500_128k": Machine("mps2-an500", _MPS2_LINKS),
    "mps2_an500_banks": Machine("mps2-an500", _MPS2_LINKS),
    "mps2_an505": Machine("mps2-an505", _MPS2_LINKS),
    "mps3_an547": Machine("mps3-an547", _MPS2_LINKS),
    # USART1 is the console until it is the host's; USART2, USART3.
    "stm32f405": Machine(
        "netduinoplus2", (HOST_LINK, PREVIOUS_LINK, NEXT_LINK), blocks=True, writes_flash=False
    ),
}
"""By board of ``tflm_app/platforms``."""

EMULATED_BOARDS = (*MACHINES, rp2040.BOARD)
"""Boards whose programs an emulator runs."""

ETHERNET_BOARDS = tuple(name for name, machine in MACHINES.items() if machine.has_ethernet)
"""Boards that have a LAN9118."""

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


def socket_pair(boards: Collection[str]) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets for a wire between these boards.

    A unix socket counts a whole buffer for every byte that is written alone, and is full after some
    hundred of them; TCP joins them.
    """
    if not any(board in MACHINES and MACHINES[board].blocks for board in boards):
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, peer = server.accept()
    if peer != near.getsockname():
        raise ClusterError(f"another program connected to a wire of the cluster, from {peer}")
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def command(
    board: str,
    program: Path,
    links: Mapping[int, int],
    arguments: Mapping[str, str],
    *,
    control: int | None = None,
    count_instructions: bool = False,
    segment: int | None = None,
) -> list[str]:
    """Returns the command that starts one device.

    Args:
        board: ``"host"`` or one of ``EMULATED_BOARDS``.
        program: ELF file built for that board.
        links: file descriptor of a connected socket for each wired link.
        arguments: start-up arguments; neither keys nor values may contain spaces or commas.
        control: descriptor of a connected socket for QEMU's control protocol.
        count_instructions: let the emulated clock follow the number of instructions (the RP2040's
            always does).
        segment: descriptor of the socket that leads to the Ethernet switch.

    Raises:
        ClusterError: unknown board, missing emulator, or an argument that cannot be passed.
    """
    words = [f"{key}={value}" for key, value in arguments.items()]
    for word in words:
        if " " in word or "," in word:
            raise ClusterError(f"the device argument {word!r} contains a space or a comma")
    if board == HOST_BOARD:
        wired = [f"link{link}=fd:{fd}" for link, fd in links.items()]
        wired += [] if segment is None else [f"segment=fd:{segment}"]
        return [str(program), *words, *wired]
    if board not in EMULATED_BOARDS:
        known = ", ".join([HOST_BOARD, *EMULATED_BOARDS])
        raise ClusterError(f"board {board!r} cannot be emulated; boards that can: {known}")
    present = rp2040.LINKS if board == rp2040.BOARD else MACHINES[board].serial_links
    for link in links:
        if link not in present:
            raise ClusterError(f"link {link} is wired, which {board} has not")
    if segment is not None and board not in ETHERNET_BOARDS:
        raise ClusterError(
            f"{board} has no Ethernet; boards that have: {', '.join(ETHERNET_BOARDS)}"
        )
    if board == rp2040.BOARD:
        return rp2040.command(program, links, words, control)
    machine = MACHINES[board]
    return [
        *(find_qemu(), "-M", machine.name, "-display", "none", "-monitor", "none"),
        *("-semihosting-config", _semihosting(words), "-kernel", str(program)),
        *_serial_ports(machine, links),
        *(["-nic", f"socket,fd={segment}"] if segment is not None else []),
        *(_control(control) if control is not None else []),
        *(["-icount", f"shift={INSTRUCTION_COUNT_SHIFT}"] if count_instructions else []),
    ]


def _semihosting(words: list[str]) -> str:
    return ",".join(["enable=on,target=native", "arg=firmware", *(f"arg={word}" for word in words)])


def _serial_ports(machine: Machine, links: Mapping[int, int]) -> list[str]:
    """What leads to each serial port.

    A multiplexed character device buffers 32 bytes for its receiver, which more than doubles
    the rate; 0x100 as escape character switches the multiplexer's own commands off.
    """
    options = ["-echr", "0x100"]
    for number, link in enumerate(machine.serial_links):
        if link is not None and link in links:
            options += ["-chardev", f"socket,mux=on,id=link{link},fd={links[link]}"]
            options += ["-serial", f"chardev:link{link}"]
        else:
            options += ["-serial", "stdio" if number == 0 else "null"]
    return options


def _control(descriptor: int) -> list[str]:
    return [
        *("-chardev", f"socket,id=control,fd={descriptor}"),
        *("-mon", "chardev=control,mode=control"),
    ]
