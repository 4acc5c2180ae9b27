# SPDX-License-Identifier: Apache-2.0
"""RP2040s under npm's rp2040js: one chip a process, by ``tflm_app/tools/rp2040/device.mjs``."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
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
