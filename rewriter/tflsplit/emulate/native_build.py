# SPDX-License-Identifier: Apache-2.0
"""Builds the firmware of an output folder as programs of this computer, with TFLM from its wheel.

The same sources as for a board: ``split_*``, the host's port, the main program, what was generated
for the device.  Needs a C++ compiler and the wheel, and neither TFLM's sources nor PlatformIO.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tflsplit.bundle import Bundle
from tflsplit.emulate.compiler import (
    archive,
    built_once,
    compile_all,
    compile_cxx,
    digest_of,
    writing,
)
from tflsplit.emulate.firmware_build import (
    BuiltFirmware,
    build_folder,
    take_firmware,
    write_sources,
)
from tflsplit.emulate.machines import HOST_BOARD
from tflsplit.emulate.wheel_file import installed_wheel
from tflsplit.emulate.wheel_tree import WheelTree, wheel_tree
from tflsplit.firmware import FirmwareOptions
from tflsplit.firmware.escape import c_string
from tflsplit.firmware.places import build_cache, device_sources

_PARTS = (
    "lib/split_core", "lib/split_device", "lib/split_deploy", "lib/split_kernels", "lib/split_port",
    "lib/split_tflm", "ports/host",
)  # fmt: skip
_LIBRARY = "libsplit.a"
_MAIN = "src/main.cc"
_GENERIC = "src/generic.cc"
_GENERIC_PROGRAM = "generic.elf"
_WORK_BYTES = 16 << 20
_LEFT_OUT = ("split_core_c.cc",)  # the link layer as the host runtime loads it
_FLAGS = ("-std=gnu++17", "-O2", "-DNDEBUG", "-fno-exceptions", "-fno-rtti")


def build_native(
    bundle: Bundle,
    options: FirmwareOptions,
    wheel: tuple[Path, str] | None = None,
    flags: Sequence[str] = (),
    app: Path | None = None,
) -> BuiltFirmware:
    """Generate and build what has changed since the last time, in ``DIR/emulated/host``.

    wheel: another ``_runtime.so`` than this Python's, and its version.
    flags: of the compiler, beside the usual ones (sanitizers).
    app: a folder with the sources of an application that drives the cluster from its gateway.
    Raises ClusterError if the wheel or a compiler is missing, if the wheel is no release that the
    declarations are known to fit, or if the build fails: with what the compiler said.
    """
    tree = wheel_tree(*(wheel or installed_wheel()))
    options = replace(options, boards=(HOST_BOARD,), tflm_dir=tree.folder, name_tflm_dir=False)
    library = _library(tree, flags)
    ranks = range(len(bundle.devices))
    with writing(build_folder(bundle, options)), ThreadPoolExecutor(os.cpu_count()) as pool:
        folder = write_sources(bundle, options)
        (folder / "programs").mkdir(exist_ok=True)

        def make(rank: int) -> None:
            is_driver = rank == options.gateway and app is not None
            sources = sorted(app.glob("*.cc")) if is_driver and app else []
            _build_program(folder, rank, tree, library, flags, sources)

        list(pool.map(make, ranks))
    return take_firmware(bundle, folder)


def build_generic(
    wheel: tuple[Path, str] | None = None, flags: Sequence[str] = (), key: str | None = None
) -> Path:
    """The firmware without a model, as a program; built once for its sources and flags.

    Arguments of the program: ``link0=`` … ``link3=`` (the last leads to the host), ``id=`` (at most
    16 characters), ``store=FILE``, ``store_bytes=`` of each of its slots, ``work_bytes=``.
    key: compiled in; deployments without its signature are refused.
    Raises ClusterError as ``build_native`` does.
    """
    tree = wheel_tree(*(wheel or installed_wheel()))
    library = _library(tree, flags)
    main = device_sources() / _GENERIC
    given = [f'-DTFLSPLIT_BOARD="{HOST_BOARD}"', f"-DTFLSPLIT_WORK_BYTES={_WORK_BYTES}"]
    if key is not None:
        given.append(f"-DTFLSPLIT_KEY={c_string(key)}")
    words = [*_FLAGS, *flags, *given, *_includes(tree), main, library, *tree.libraries, "-lm"]

    def build(fresh: Path) -> None:
        compile_cxx([*words, "-o", fresh / _GENERIC_PROGRAM], "the generic firmware")

    digest = digest_of(map(str, words), [main])
    return built_once(build_cache() / "generic" / digest, build) / _GENERIC_PROGRAM


def _library(tree: WheelTree, flags: Sequence[str]) -> Path:
    """What all devices share, as a static library, built once for the same sources and flags."""
    app = device_sources()
    sources = [app / _MAIN, *(file for part in _PARTS for file in sorted((app / part).rglob("*")))]
    sources = [file for file in sources if file.is_file()]
    units = [f for f in sources if f.suffix == ".cc" and f.name not in _LEFT_OUT]
    words = [*_FLAGS, *flags, *_includes(tree)]
    key = digest_of(map(str, words), sources)

    def build(fresh: Path) -> None:
        objects = [fresh / f"{number}_{unit.stem}.o" for number, unit in enumerate(units)]
        compile_all(
            ([*words, "-c", unit, "-o", target], unit.name)
            for unit, target in zip(units, objects, strict=True)
        )
        archive(fresh / _LIBRARY, objects)
        for made in objects:
            made.unlink()

    return built_once(build_cache() / "native" / key, build) / _LIBRARY


def _includes(tree: WheelTree) -> list[str | Path]:
    app = device_sources()
    ours = [app / part / "include" for part in _PARTS if (app / part / "include").is_dir()]
    # As system headers: warnings about the wheel's declarations help nobody.
    theirs = [word for path in tree.includes for word in ("-isystem", path)]
    return [*theirs, *(word for path in ours for word in ("-I", path))]


def _build_program(
    folder: Path,
    rank: int,
    tree: WheelTree,
    library: Path,
    flags: Sequence[str],
    app: Sequence[Path] = (),
) -> None:
    """``programs/node<rank>.elf``, unless it is what these sources give."""
    name = f"node{rank}"
    generated = folder / "firmware" / name
    program, stamp = folder / "programs" / f"{name}.elf", folder / "programs" / f"{name}.key"
    words: list[str | Path] = [*_FLAGS, *flags, *_includes(tree), "-I", generated]
    words += [*app, generated / "device.cc", generated / "model.S", library, *tree.libraries, "-lm"]
    key = digest_of(map(str, words), [*sorted(generated.iterdir()), *app])
    if program.is_file() and stamp.is_file() and stamp.read_text() == key:
        return
    stamp.unlink(missing_ok=True)
    fresh = program.with_suffix(".new")
    # From where model.S finds node<rank>/model.tflite.
    compile_cxx([*words, "-o", fresh], f"{name} of {folder}", folder=generated.parent)
    fresh.replace(program)
    stamp.write_text(key)
