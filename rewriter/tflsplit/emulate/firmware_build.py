# SPDX-License-Identifier: Apache-2.0
"""Builds the firmware of an output folder for boards that this computer can emulate.

::

    DIR/emulated/<board>/firmware/node0 …    generated sources, nodes.ini, firmware.json
                         platformio.ini      and tflm_app: a project of its own
                         programs/node0.elf …

The output folder's own firmware, which is for real boards, stays as it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tflsplit.bundle import Bundle
from tflsplit.emulate.builders import run_builder
from tflsplit.emulate.cluster import Device
from tflsplit.errors import ClusterError
from tflsplit.firmware import FirmwareOptions, all_files
from tflsplit.firmware.options import TFLM_DIR_VARIABLE
from tflsplit.firmware.places import SOURCES, build_cache, checkout
from tflsplit.firmware.platformio import platformio
from tflsplit.firmware.project import generated_files
from tflsplit.host import FirmwareSetup, read_firmware_setup

_BUILT = ("firmware.elf", "program", "program.exe")


@dataclass(frozen=True)
class BuiltFirmware:
    """Programs of every rank, and how they are wired."""

    setup: FirmwareSetup
    devices: tuple[Device, ...]


def take_firmware(bundle: Bundle, folder: Path) -> BuiltFirmware:
    """Firmware that ``build_firmware`` (or whoever fills such a folder) left there.

    Raises ClusterError or PlanError if it is not there, or not this plan's.
    """
    setup = read_firmware_setup(folder, bundle.document)
    if not setup.devices:
        raise ClusterError(f"{folder} holds no built firmware: there is no firmware.json in it")
    programs = [folder / "programs" / f"node{rank}.elf" for rank in range(setup.world_size)]
    missing = [program for program in programs if not program.is_file()]
    if missing:
        raise ClusterError(f"{missing[0]} is missing: leave --firmware out and it will be built")
    devices = [
        Device(program, str(device["board"]))
        for program, device in zip(programs, setup.devices, strict=True)
    ]
    return BuiltFirmware(setup, tuple(devices))


def build_firmware(bundle: Bundle, options: FirmwareOptions) -> BuiltFirmware:
    """Generate and build what has changed since the last time.

    Raises ClusterError if PlatformIO or TFLM's sources are missing, or if the build fails: with
    what the compiler said.
    """
    if options.tflm_dir is None:
        raise ClusterError(
            f"the firmware needs TFLM's sources: point {TFLM_DIR_VARIABLE} at a tree made by its "
            "create_tflm_tree.py; without them, --native runs the firmware as programs of this "
            "computer"
        )
    folder = write_sources(bundle, options)
    write_project(folder, all_files(bundle.document, bundle.devices, options))
    names = [f"node{rank}" for rank in range(len(bundle.devices))]
    run_platformio(folder, names, options.tflm_dir)
    for name in names:
        program = program_in(folder / "build" / name)
        (folder / "programs").mkdir(exist_ok=True)
        shutil.copy2(program, folder / "programs" / f"{name}.elf")
    return take_firmware(bundle, folder)


def program_in(folder: Path) -> Path:
    """What PlatformIO has built in an environment's folder; ClusterError if there is nothing."""
    for name in _BUILT:
        if (folder / name).is_file():
            return folder / name
    raise ClusterError(f"PlatformIO left no program in {folder}")


def build_folder(bundle: Bundle, options: FirmwareOptions) -> Path:
    """Where firmware of an output folder is built: ``DIR/emulated/<board>``, boards joined by +."""
    boards = dict.fromkeys(options.boards)
    name = options.boards[0] if len(boards) == 1 else "+".join(options.boards)
    return bundle.folder.resolve() / "emulated" / name


def write_sources(bundle: Bundle, options: FirmwareOptions) -> Path:
    """Write the generated sources for the options' board to ``build_folder``, which it returns."""
    folder = build_folder(bundle, options)
    for name, contents in generated_files(bundle.document, bundle.devices, options).items():
        _write(folder / name, contents)
    return folder


def write_project(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write them, and remove sources that another version had."""
    for path in sorted((folder / SOURCES).rglob("*")):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, contents in files.items():
        _write(folder / name, contents)


def _write(path: Path, contents: bytes) -> None:
    """Write a file unless it says so already: its time decides what is compiled again."""
    if path.is_file() and path.read_bytes() == contents:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)


def run_platformio(folder: Path, names: list[str], tflm_dir: Path) -> None:
    """Build environments of a project.  ClusterError, with what it said, if they do not build."""
    command = [*platformio(), "run", "-s", "-d", str(folder)]
    command += [word for name in names for word in ("-e", name)]
    settings = {
        "PLATFORMIO_BUILD_DIR": str(folder / "build"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        TFLM_DIR_VARIABLE: str(tflm_dir.resolve()),
    }
    result = run_builder(command, environment={**_shared(), **os.environ, **settings})
    if result.returncode:
        words = (result.stderr + result.stdout).strip().splitlines()[-12:]
        raise ClusterError("the firmware does not build: " + "\n".join(words))


def _shared() -> dict[str, str]:
    """Where all output folders find the libraries of TFLM, which take minutes to build."""
    root = checkout()
    if root is None:
        return {"PLATFORMIO_WORKSPACE_DIR": str(build_cache() / "platformio")}
    pio = root / ".pio"
    return {"PLATFORMIO_WORKSPACE_DIR": str(pio), "PLATFORMIO_CORE_DIR": str(pio / "core")}
