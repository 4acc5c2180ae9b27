# SPDX-License-Identifier: Apache-2.0
"""PlatformIO, wherever it is installed."""

from __future__ import annotations

import importlib.util
import shutil
import sys

from tflsplit.errors import ClusterError


def platformio() -> list[str]:
    """The words that call it; ClusterError, saying how to get it, where it is not there."""
    if importlib.util.find_spec("platformio") is not None:
        return [sys.executable, "-m", "platformio"]
    pio = shutil.which("pio")
    if pio is None:
        raise ClusterError("PlatformIO builds the firmware: pip install 'tflsplit[firmware]'")
    return [pio]
