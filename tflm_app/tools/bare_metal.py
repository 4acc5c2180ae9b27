# SPDX-License-Identifier: Apache-2.0
"""What the platforms of boards without an operating system share: arm-none-eabi-gcc and its flags.

A board's manifest gives the processor flags and the linker script (the platform's ldscripts/ and
those of ports/cortex_m are on the library path).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Builder, Default

TOOLCHAIN_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"
_APP = Path(__file__).resolve().parents[1]
_SCRIPTS = (_APP / "ports", _APP / "platforms")


def require(env: Any, tool: str, packages: str) -> str:
    """Returns ``tool``; ends the build with the Debian packages to install if it is missing."""
    if shutil.which(tool) is None:
        sys.exit(
            f"{env['PIOENV']}: {tool} is not on the PATH. "
            f"On Debian or Ubuntu: apt-get install {packages}"
        )
    return tool


def configure(env: Any) -> None:
    """Compiler, flags and linker script of the environment's board."""
    board = env.BoardConfig()
    cpu_flags = board.get("build.cpu_flags").split()
    env.Replace(
        CC=require(env, "arm-none-eabi-gcc", TOOLCHAIN_PACKAGES),
        CXX=require(env, "arm-none-eabi-g++", TOOLCHAIN_PACKAGES),
        AS="arm-none-eabi-gcc",
        AR="arm-none-eabi-gcc-ar",
        RANLIB="arm-none-eabi-gcc-ranlib",
        OBJCOPY="arm-none-eabi-objcopy",
        SIZETOOL="arm-none-eabi-size",
        SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
        SIZEPRINTCMD="$SIZETOOL -B -d $SOURCES",
        # Sections of ports/cortex_m/ldscripts/sections.ld, counted where they lie at run time.
        SIZEPROGREGEXP=r"^(?:\.boot2|\.vectors|\.text|\.model|\.ARM\.exidx|\.init_array|\.data)"
        r"\s+(\d+).*",
        SIZEDATAREGEXP=r"^(?:\.data|\.bss|\.noinit|\.stack)\s+(\d+).*",
        PROGNAME="firmware",
        PROGSUFFIX=".elf",
    )
    env.Append(
        CCFLAGS=[
            *cpu_flags,
            "-O2",
            "-g",
            "-Wall",
            "-Wextra",
            "-ffunction-sections",
            "-fdata-sections",
        ],
        CXXFLAGS=[
            "-fno-exceptions",
            "-fno-rtti",
            "-fno-threadsafe-statics",
            "-fno-use-cxa-atexit",
        ],
        ASFLAGS=cpu_flags,
        ASPPFLAGS=["-x", "assembler-with-cpp"],
        LINKFLAGS=[
            *cpu_flags,
            "--specs=nano.specs",
            "-nostartfiles",
            "-Wl,--gc-sections",
            "-Wl,--fatal-warnings",
        ],
        LIBPATH=[
            f"{env.PioPlatform().get_dir()}/ldscripts",
            str(_APP / "ports" / "cortex_m" / "ldscripts"),
        ],
        LIBS=["m", "c", "gcc"],
        BUILDERS={
            "ElfToBin": Builder(
                action=env.VerboseAction("$OBJCOPY -O binary $SOURCES $TARGET", "Building $TARGET"),
                suffix=".bin",
            )
        },
    )
    if not env.get("LDSCRIPT_PATH"):
        env.Replace(LDSCRIPT_PATH=board.get("build.ldscript"))


def build(env: Any, images: Any = None) -> Any:
    """Builds and sizes the program; returns it.

    images: called with the program, makes further files of it and returns them.
    """
    firmware = env.BuildProgram()
    env.Depends(
        firmware, [str(path) for folder in _SCRIPTS for path in folder.glob("*/ldscripts/*.ld")]
    )
    made = images(firmware) if images is not None else []
    size = env.AddPlatformTarget(
        "size",
        firmware,
        env.VerboseAction("$SIZEPRINTCMD", "Calculating size $SOURCE"),
        "Program Size",
        "Calculate program size",
    )
    AlwaysBuild(env.Alias("nobuild", firmware))
    Default([firmware, *made, size])
    return firmware


def add_upload(env: Any, source: Any, command: Any, title: str, under_test: str) -> None:
    """``-t upload`` runs ``command()``, which is only made if it is wanted.

    under_test: what `pio test` is told, which uploads first; ``test_testing_command`` then runs the
    program in its emulator.
    """
    if "__test" in COMMAND_LINE_TARGETS:
        upload = env.VerboseAction("", under_test)
    elif "upload" in COMMAND_LINE_TARGETS:
        upload = env.VerboseAction(command(), f"{title}: $SOURCE")
    else:
        upload = env.VerboseAction("", "")
    env.AddPlatformTarget("upload", source, upload, "Upload", title)
