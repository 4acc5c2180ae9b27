# SPDX-License-Identifier: Apache-2.0
"""PlatformIO platform for boards with an STM32F405; it needs nothing from PlatformIO's registry."""

from platformio.public import PlatformBase


class Stm32f405Platform(PlatformBase):
    """Toolchain and emulator come from the operating system (see builder/main.py)."""

    def is_embedded(self) -> bool:
        return True
