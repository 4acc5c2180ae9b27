# SPDX-License-Identifier: Apache-2.0
"""SCons script of the mps2 platform: arm-none-eabi-gcc builds, QEMU runs.

A board's manifest gives the processor flags, the linker script (ldscripts/ is on the library
path) and the QEMU machine.  ``-t upload`` starts the firmware in QEMU with the console on this
terminal; several boards wired together are started by tflsplit, not from here.
"""

import shutil
import sys

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Builder, Default, DefaultEnvironment

TOOLCHAIN_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"

env = DefaultEnvironment()
board = env.BoardConfig()


def require(tool: str, packages: str) -> str:
    """Returns ``tool``; ends the build with the Debian packages to install if it is missing."""
    if shutil.which(tool) is None:
        sys.exit(
            f"{env['PIOENV']}: {tool} is not on the PATH. "
            f"On Debian or Ubuntu: apt-get install {packages}"
        )
    return tool


cpu_flags = board.get("build.cpu_flags").split()
env.Replace(
    CC=require("arm-none-eabi-gcc", TOOLCHAIN_PACKAGES),
    CXX=require("arm-none-eabi-g++", TOOLCHAIN_PACKAGES),
    AS="arm-none-eabi-gcc",
    AR="arm-none-eabi-gcc-ar",
    RANLIB="arm-none-eabi-gcc-ranlib",
    OBJCOPY="arm-none-eabi-objcopy",
    SIZETOOL="arm-none-eabi-size",
    SIZECHECKCMD="$SIZETOOL -A -d $SOURCES",
    SIZEPRINTCMD="$SIZETOOL -B -d $SOURCES",
    # Sections of ldscripts/sections.ld, counted where they lie at run time.
    SIZEPROGREGEXP=r"^(?:\.vectors|\.text|\.model|\.ARM\.exidx|\.init_array|\.data)\s+(\d+).*",
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
    CXXFLAGS=["-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-use-cxa-atexit"],
    ASFLAGS=cpu_flags,
    ASPPFLAGS=["-x", "assembler-with-cpp"],
    LINKFLAGS=[
        *cpu_flags,
        "--specs=nano.specs",
        "-nostartfiles",
        "-Wl,--gc-sections",
        "-Wl,--fatal-warnings",
    ],
    LIBPATH=[f"{env.PioPlatform().get_dir()}/ldscripts"],
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

firmware = env.BuildProgram()
size = env.AddPlatformTarget(
    "size",
    firmware,
    env.VerboseAction("$SIZEPRINTCMD", "Calculating size $SOURCE"),
    "Program Size",
    "Calculate program size",
)


def run_in_qemu() -> str:
    """Returns the command that runs the firmware with its console on this terminal."""
    qemu = require("qemu-system-arm", "qemu-system-arm")
    return (
        f"{qemu} -M {board.get('build.qemu_machine')} -display none -monitor none -serial stdio"
        " -semihosting-config enable=on,target=native,arg=firmware -kernel $SOURCE"
    )


# `pio test` uploads, then runs `test_testing_command`, which is QEMU: nothing to do before it.
if "__test" in COMMAND_LINE_TARGETS:
    upload = env.VerboseAction("", "QEMU takes $SOURCE in the testing stage")
elif "upload" in COMMAND_LINE_TARGETS:
    upload = env.VerboseAction(run_in_qemu(), "Running $SOURCE in QEMU")
else:
    upload = env.VerboseAction("", "")
env.AddPlatformTarget("upload", firmware, upload, "Run", "Run the firmware in QEMU")
AlwaysBuild(env.Alias("nobuild", firmware))
Default([firmware, size])
