# SPDX-License-Identifier: Apache-2.0
"""SCons script of the rp2040 platform: arm-none-eabi-gcc builds, OpenOCD flashes.

Beside firmware.elf stands firmware.uf2, for the disk that a board shows while BOOTSEL is held.
``-t upload`` programs the board through a debug probe; `tflsplit emulate` runs the same image under
rp2040js.
"""

import sys
from pathlib import Path

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
sys.path.insert(0, str(Path(env.PioPlatform().get_dir()).resolve().parents[1] / "tools"))
import bare_metal  # noqa: E402
import rp2040_image  # noqa: E402


def program_by_openocd() -> str:
    """Returns the command that programs and starts the board."""
    openocd = bare_metal.require(env, "openocd", "openocd")
    return (
        f"{openocd} -f interface/cmsis-dap.cfg -f target/rp2040.cfg $UPLOAD_FLAGS "
        '-c "adapter speed 5000; program {$SOURCE} verify reset exit"'
    )


def seal(target, source, env):
    """Puts the boot loader's checksum into the program."""
    rp2040_image.seal_elf(env.subst("$OBJCOPY"), Path(str(target[0])))


def write_uf2(target, source, env):
    """The program's flash image as .uf2."""
    Path(str(target[0])).write_bytes(rp2040_image.uf2(Path(str(source[0])).read_bytes()))


def images(firmware):
    """firmware.bin and firmware.uf2."""
    env.AddPostAction(firmware, env.VerboseAction(seal, "Sealing $TARGET"))
    binary = env.ElfToBin(str(Path("$BUILD_DIR") / "firmware"), firmware)
    make = env.VerboseAction(write_uf2, "Building $TARGET")
    return [binary, env.Command(str(Path("$BUILD_DIR") / "firmware.uf2"), binary, make)]


bare_metal.configure(env)
firmware = bare_metal.build(env, images)
bare_metal.add_upload(
    env, firmware, program_by_openocd, "Flash by OpenOCD", "rp2040js takes $SOURCE in the tests"
)
