# SPDX-License-Identifier: Apache-2.0
"""Builds the firmware without a model for emulated boards, by PlatformIO, in a project of its own.

::

    build/generic_boards/mps2_an500+mps3_an547/platformio.ini, tflm_app/ …
                                               build/generic_mps2_an500/firmware.elf …

Boards whose flash the emulator does not let them write keep their images in RAM.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from tflsplit.emulate.compiler import writing
from tflsplit.emulate.firmware_build import program_in, run_platformio, write_project
from tflsplit.emulate.machines import MACHINES
from tflsplit.errors import ClusterError
from tflsplit.firmware.boards import Board, board_named
from tflsplit.firmware.options import TFLM_DIR_VARIABLE
from tflsplit.firmware.places import build_cache
from tflsplit.firmware.project_files import CONFIG, generic_config, project_files


def build_generic_boards(names: Collection[str]) -> dict[str, Path]:
    """A program for each kind of board; what has not changed is not built again.

    Raises ClusterError if TFLM's sources or PlatformIO are missing, or the build fails.
    """
    tflm_dir = os.environ.get(TFLM_DIR_VARIABLE, "")
    if not tflm_dir:
        raise ClusterError(
            f"the firmware needs TFLM's sources: point {TFLM_DIR_VARIABLE} at a tree made by its "
            "create_tflm_tree.py; without them, --native runs it as programs of this computer"
        )
    boards = [board_named(name) for name in sorted(names)]
    environments = {board.name: _environment(board) for board in boards}
    folder = build_cache() / "generic_boards" / "+".join(environments)
    with writing(folder):
        write_project(folder, generic_project(boards, list(environments.values())))
        run_platformio(folder, list(environments.values()), Path(tflm_dir))
    return {name: program_in(folder / "build" / each) for name, each in environments.items()}


def _environment(board: Board) -> str:
    in_ram = board.name in MACHINES and not MACHINES[board.name].writes_flash
    return f"generic_{board.section}{'_ram' if in_ram else ''}"


def generic_project(boards: Sequence[Board], environments: Sequence[str]) -> dict[str, bytes]:
    """As in an output folder, but without the nodes of a plan."""
    files = dict(project_files("no plan", boards))
    files[CONFIG] = generic_config(boards, environments).encode()
    return files
