# SPDX-License-Identifier: Apache-2.0
"""PlatformIO platform for boards with an RP2040; it needs nothing from PlatformIO's registry."""

from platformio.public import PlatformBase


class Rp2040Platform(PlatformBase):
    """Toolchain and emulator come from the operating system (see builder/main.py)."""

    def is_embedded(self) -> bool:
        return True
