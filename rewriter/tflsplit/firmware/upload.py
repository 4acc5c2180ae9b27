# SPDX-License-Identifier: Apache-2.0
"""Flashing the boards of an output folder, one after the other: which port is which rank.

A board is known by its serial number once it was flashed.  Before that, a port may be any rank
whose kind of board has such USB ids: if there are as many as are wanted they are taken in the order
in which they are plugged in, since any board may become any rank; else the user says which.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tflsplit.cluster.banks import without_chip
from tflsplit.errors import ClusterError, LinkError, counted
from tflsplit.firmware.boards import BOARDS
from tflsplit.firmware.platformio import platformio
from tflsplit.host.usb import USB_IDS, UsbPort

_TOUCH_BAUD = {"teensy41": 134}
"""Opening a Teensy's port at this rate restarts it into its boot loader.  Its uploader takes no
port and programs the board that it finds there: so it finds the right one."""
_PROBES = frozenset({"nucleo_h743zi", "stm32f405", "rp2040"})
"""Boards that are flashed by a probe, which OpenOCD tells by its serial number, not by a port."""
_RESTART_SECONDS = 1.0


@dataclass(frozen=True)
class Target:
    """A rank, and the board that becomes it.

    serial_number: "" where the port has none, or is not of this computer's USB.
    """

    rank: int
    board: str
    port: str
    serial_number: str = ""


def refuse_emulated(folder: Path, boards: Sequence[str], ranks: Sequence[int]) -> None:
    """ClusterError, saying what to use instead, where there is nothing to flash."""
    for rank in ranks:
        name = boards[rank]
        if name in BOARDS and BOARDS[name].is_emulated:
            words = " --native" if name == "host" else f" --board {name}"
            raise ClusterError(
                f"there is no board to flash: rank {rank}'s is {name!r}, which runs on this "
                f"computer: tflsplit emulate {folder}{words}"
            )


def targets(
    boards: Sequence[str],
    ranks: Sequence[int],
    ports: Sequence[UsbPort],
    known: Mapping[int, str],
) -> list[Target]:
    """A port for every rank that is to be flashed.

    boards: by rank; ports: that are plugged in; known: serial numbers by rank, of earlier uploads.
    ranks: of several teams, each as often as there are teams; then no board is known.
    Raises ClusterError, saying what is there, if it is not clear which port is which.
    """
    if len(set(ranks)) < len(ranks):
        known = {}
    found: dict[int, UsbPort] = {}  # by place in ``ranks``
    for at, rank in enumerate(ranks):
        mine = [p for p in ports if p.may_be(boards[rank]) and p.serial_number == known.get(rank)]
        if mine:
            found[at] = mine[0]
    taken = {*known.values()} - {""}
    free = [port for port in ports if port.serial_number not in taken]
    for board in dict.fromkeys(boards[rank] for rank in ranks):
        wanted = [at for at, rank in enumerate(ranks) if boards[rank] == board and at not in found]
        fitting = [port for port in free if port.may_be(board) and port not in found.values()]
        if wanted and len(fitting) != len(wanted):
            raise ClusterError(_unclear(board, [ranks[at] for at in wanted], fitting, ports))
        found.update(zip(wanted, fitting, strict=False))
    return [
        Target(rank, boards[rank], found[at].device, found[at].serial_number)
        for at, rank in enumerate(ranks)
    ]


def named_targets(
    boards: Sequence[str], ranks: Sequence[int], names: Sequence[str], ports: Sequence[UsbPort]
) -> list[Target]:
    """The same with ports that the user named, one for each rank, else ClusterError."""
    if len(names) != len(ranks) or len(set(names)) != len(names):
        raise ClusterError(
            f"--ports names {counted(len(set(names)), 'port')} for "
            f"{counted(len(ranks), 'board')}: one for each, in the "
            f"order of their ranks ({', '.join(map(str, ranks))})"
        )
    numbers = {port.device: port.serial_number for port in ports}
    missing = [name for name in names if name not in numbers and not Path(name).exists()]
    if missing:
        raise ClusterError(
            f"there is no {', no '.join(missing)} on this computer; on USB there is: "
            f"{_listed(ports)}"
        )
    return [
        Target(rank, boards[rank], name, numbers.get(os.path.realpath(name), numbers.get(name, "")))
        for rank, name in zip(ranks, names, strict=True)
    ]


def _listed(ports: Sequence[UsbPort]) -> str:
    """``/dev/ttyACM0 (teensy41), /dev/ttyUSB0``."""
    return ", ".join(f"{port.device}{_may_be(port)}" for port in ports) or "nothing"


def _may_be(port: UsbPort) -> str:
    kinds = [board for board in USB_IDS if port.may_be(board)]
    return f" ({' or '.join(kinds)})" if kinds else ""


def _unclear(
    board: str, ranks: Sequence[int], fitting: Sequence[UsbPort], ports: Sequence[UsbPort]
) -> str:
    names = ", ".join(port.device for port in fitting)
    what = f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))} ({board})"
    if not fitting:
        return (
            f"no new {board} is plugged in for {what}; on USB there is: {_listed(ports)}. Plug it "
            "in, or name its port with --ports"
        )
    if len(fitting) < len(ranks):
        verb = "is" if len(fitting) == 1 else "are"
        return (
            f"{len(fitting)} of the {len(ranks)} boards for {what} {verb} plugged in ({names}): "
            "plug in the others, or flash one after the other with --rank"
        )
    return (
        f"{len(fitting)} boards may be {what}: {names}. Unplug those that are not meant, or say "
        "which with --ports"
    )


def command_of(folder: Path, target: Target) -> list[str]:
    """The words that build and flash one."""
    words = ["run", "-d", str(folder), "-e", f"node{target.rank}", "-t", "upload"]
    has_port = target.board not in _PROBES and without_chip(target.board) not in _TOUCH_BAUD
    return [*platformio(), *words, *(["--upload-port", target.port] if has_port else [])]


def environment_of(target: Target) -> dict[str, str]:
    """What tells a probe from others, for PlatformIO's environment."""
    if target.board in _PROBES and target.serial_number:
        return {"PLATFORMIO_UPLOAD_FLAGS": f"-c\nadapter serial {target.serial_number}"}
    return {}


def flash(folder: Path, target: Target, quiet: bool = False) -> None:
    """Build and flash one board; LinkError if that fails.

    quiet: what PlatformIO says is not shown, unless it fails.
    """
    touch(target)
    done = subprocess.run(
        command_of(folder, target),
        env={**os.environ, **environment_of(target)},
        capture_output=quiet,
        text=True,
        check=False,
    )
    if done.returncode:
        words = "\n".join(((done.stderr or "") + (done.stdout or "")).splitlines()[-12:])
        raise LinkError(
            f"rank {target.rank} was not flashed at {target.port}: PlatformIO ended with "
            f"{done.returncode}{': ' if words else ''}{words}"
        )


def touch(target: Target) -> None:
    """Restart this one board into its boot loader, where its uploader takes no port."""
    if without_chip(target.board) not in _TOUCH_BAUD:
        return
    try:
        import serial

        serial.Serial(target.port, _TOUCH_BAUD[without_chip(target.board)]).close()
    except ImportError:
        raise LinkError("serial ports need pyserial: pip install 'tflsplit[host]'") from None
    except (OSError, ValueError) as error:
        raise LinkError(f"{target.port} cannot be opened ({error}): was it unplugged?") from None
    time.sleep(_RESTART_SECONDS)
