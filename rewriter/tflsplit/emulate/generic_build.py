# SPDX-License-Identifier: Apache-2.0
"""Builds the firmware without a model for emulated boards, by PlatformIO, in a project of its own.

::

    build/generic_boards/mps2_an500+mps3_an547/platformio.ini, tflm_app/ …
                                               build/generic_mps2_an500/firmware.elf …
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from tflsplit.emulate.compiler import writing
from tflsplit.emulate.firmware_build import program_in, run_platformio, write_project
from tflsplit.errors import ClusterError
from tflsplit.firmware.boards import Board, board_named
from tflsplit.firmware.options import TFLM_DIR_VARIABLE
from tflsplit.firmware.places import build_cache
from tflsplit.firmware.project_files import CONFIG, project_files


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
    environments = {
        board.name: "generic" if len(boards) == 1 else f"generic_{board.section}"
        for board in boards
    }
    folder = build_cache() / "generic_boards" / "+".join(environments)
    with writing(folder):
        write_project(folder, generic_project(boards, environments.values()))
        run_platformio(folder, list(environments.values()), Path(tflm_dir))
    return {name: program_in(folder / "build" / each) for name, each in environments.items()}


def generic_project(boards: Sequence[Board], environments: Iterable[str]) -> dict[str, bytes]:
    """As in an output folder, but without the nodes of a plan."""
    files = dict(project_files("no plan", boards))
    names = f"default_envs = {', '.join(environments)}"
    files[CONFIG] = re.sub(rb"(?m)^default_envs = .*$", names.encode(), files[CONFIG])
    return files
