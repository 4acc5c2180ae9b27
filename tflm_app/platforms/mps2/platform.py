# SPDX-License-Identifier: Apache-2.0
"""PlatformIO platform for QEMU's MPS2/MPS3 boards; it needs nothing from PlatformIO's registry."""

from platformio.public import PlatformBase


class Mps2Platform(PlatformBase):
    """Toolchain and emulator come from the operating system (see builder/main.py)."""

    def is_embedded(self) -> bool:
        return True
