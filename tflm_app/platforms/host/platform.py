# SPDX-License-Identifier: Apache-2.0
"""PlatformIO platform for this computer; it needs nothing from PlatformIO's registry."""

from platformio.public import PlatformBase


class HostPlatform(PlatformBase):
    """The compiler comes from the operating system (see builder/main.py)."""

    def is_embedded(self) -> bool:
        return False
