# SPDX-License-Identifier: Apache-2.0
"""SCons script of the stm32f405 platform: arm-none-eabi-gcc builds, OpenOCD flashes.

``-t upload`` programs the board through an ST-Link; `tflsplit emulate` runs the same image in QEMU.
"""

import sys
from pathlib import Path

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
sys.path.insert(0, str(Path(env.PioPlatform().get_dir()).resolve().parents[1] / "tools"))
import bare_metal  # noqa: E402


def program_by_openocd() -> str:
    """Returns the command that programs and starts the board."""
    openocd = bare_metal.require(env, "openocd", "openocd")
    return (
        f"{openocd} -f interface/stlink.cfg -f target/stm32f4x.cfg $UPLOAD_FLAGS "
        '-c "program {$SOURCE} verify reset exit"'
    )


def images(firmware):
    """The same as .bin, for boot loaders (dfu-util) and probes that show themselves as a disk."""
    return [env.ElfToBin(str(Path("$BUILD_DIR") / "firmware"), firmware)]


bare_metal.configure(env)
firmware = bare_metal.build(env, images)
bare_metal.add_upload(
    env, firmware, program_by_openocd, "Flash by OpenOCD", "QEMU takes $SOURCE in the testing stage"
)
