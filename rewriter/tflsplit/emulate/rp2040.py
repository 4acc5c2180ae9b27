# SPDX-License-Identifier: Apache-2.0
"""RP2040s under npm's rp2040js: one chip a process, or a whole ring in one.

The programs are those of ``tflm_app/tools/rp2040``: ``device.mjs`` and ``cluster.mjs``.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tflsplit.errors import ClusterError
from tflsplit.firmware.places import build_cache, device_sources

BOARD = "rp2040"
LINKS = (0, 1, 3)
"""The links that the chip has: UART0, UART1, and the host's."""


def tools() -> Path:
    """The folder with our programs for the emulator."""
    return device_sources() / "tools" / "rp2040"


def find_node() -> str:
    """JavaScript's interpreter; ClusterError if it is not installed."""
    path = shutil.which("node")
    if path is None:
        raise ClusterError(
            "node is not on the PATH; it runs the RP2040's emulator. On Debian or Ubuntu: "
            "apt-get install nodejs npm; on macOS: brew install node"
        )
    return path


def find_emulator() -> Path:
    """rp2040js's module; ClusterError, saying how to install it, if it is not there."""
    folder = build_cache() / "rp2040js"
    module = folder / "node_modules" / "rp2040js" / "dist" / "esm" / "index.js"
    if not module.is_file():
        quoted, source = shlex.quote(str(folder)), shlex.quote(str(tools()))
        raise ClusterError(
            f"rp2040js, the RP2040's emulator, is not installed: mkdir -p {quoted} && "
            f"cp {source}/package*.json {quoted} && npm ci --prefix {quoted}"
        )
    return module


def command(
    program: Path, links: Mapping[int, int], words: Sequence[str], control: int | None = None
) -> list[str]:
    """Returns the command that starts one chip; arguments as those of ``machines.command``.

    Raises:
        ClusterError: node or rp2040js is missing.
    """
    wires = [f"link{link}={descriptor}" for link, descriptor in links.items()]
    wires += [] if control is None else [f"control={control}"]
    device = [find_node(), str(tools() / "device.mjs"), str(find_emulator()), str(program)]
    return [*device, *wires, "--", *words]


@dataclass(frozen=True)
class LockStepRun:
    """How a cluster ended, and what it took; equal for equal programs, arguments and seeds.

    statuses: by rank; None for one that had not ended.
    consoles: lines by rank.
    instructions: by rank.
    time_us: of the chips' own clocks.
    sent_bytes, dropped_bytes: on all wires.
    overrun_bytes: that found a receiver's FIFO full.
    """

    statuses: tuple[int | None, ...]
    consoles: tuple[tuple[str, ...], ...]
    instructions: tuple[int, ...]
    time_us: float
    sent_bytes: int
    dropped_bytes: int
    overrun_bytes: int


def lock_step(
    program: Path,
    world_size: int,
    arguments: Mapping[str, str],
    *,
    drops_per_byte: float = 0.0,
    seed: int = 0,
    most_seconds: float = 60.0,
) -> LockStepRun:
    """Runs a ring of chips in one process, in lock-step: deterministic to the instruction.

    most_seconds: of the chips' own time.
    Raises ClusterError if node or rp2040js is missing, or if the emulator fails.
    """
    options = [f"drops={drops_per_byte}", f"seed={seed}", f"seconds={most_seconds}"]
    words = [f"{key}={value}" for key, value in arguments.items()]
    cluster = [find_node(), str(tools() / "cluster.mjs"), str(find_emulator()), str(program)]
    done = subprocess.run(
        [*cluster, str(world_size), *options, "--", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"the RP2040's emulator failed: {done.stderr.strip()[-2000:]}")
    result = json.loads(done.stdout)
    ranks = result["ranks"]
    return LockStepRun(
        statuses=tuple(rank["status"] for rank in ranks),
        consoles=tuple(tuple(rank["console"]) for rank in ranks),
        instructions=tuple(rank["instructions"] for rank in ranks),
        time_us=result["nanos"] / 1000,
        sent_bytes=result["sent_bytes"],
        dropped_bytes=result["dropped_bytes"],
        overrun_bytes=sum(rank["overrun_bytes"] for rank in ranks),
    )
