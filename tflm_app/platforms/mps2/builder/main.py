# SPDX-License-Identifier: Apache-2.0
"""SCons script of the mps2 platform: arm-none-eabi-gcc builds, QEMU runs.

``-t upload`` starts the firmware in QEMU, the board's ``qemu_machine``, with the console on this
terminal; several boards wired together are started by tflsplit, not from here.
"""

import sys
from pathlib import Path

from SCons.Script import DefaultEnvironment

env = DefaultEnvironment()
sys.path.insert(0, str(Path(env.PioPlatform().get_dir()).resolve().parents[1] / "tools"))
import bare_metal  # noqa: E402


def run_in_qemu() -> str:
    """Returns the command that runs the firmware with its console on this terminal."""
    qemu = bare_metal.require(env, "qemu-system-arm", "qemu-system-arm")
    machine = env.BoardConfig().get("build.qemu_machine")
    return (
        f"{qemu} -M {machine} -display none -monitor none -serial stdio"
        " -semihosting-config enable=on,target=native,arg=firmware -kernel $SOURCE"
    )


bare_metal.configure(env)
firmware = bare_metal.build(env)
bare_metal.add_upload(
    env, firmware, run_in_qemu, "Run in QEMU", "QEMU takes $SOURCE in the testing stage"
)
