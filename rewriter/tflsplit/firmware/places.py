# SPDX-License-Identifier: Apache-2.0
"""Where the devices' sources lie, and where what is built from them may be kept.

In a checkout both are in the checkout; an installed tflsplit has the sources in its package, and
builds in the user's cache.
"""

from __future__ import annotations

import os
from pathlib import Path

from tflsplit.errors import ClusterError

_CHECKOUT = Path(__file__).resolve().parents[3]
_SHIPPED = Path(__file__).resolve().parents[1]
SOURCES = "tflm_app"
_CACHE_VARIABLE = "XDG_CACHE_HOME"


def device_sources() -> Path:
    """The folder ``tflm_app``: libraries, ports and the main program of the devices.

    Raises ClusterError where neither a checkout nor the package has it.
    """
    for folder in (_CHECKOUT / SOURCES, _SHIPPED / SOURCES):
        if (folder / "lib" / "split_core").is_dir():
            return folder
    raise ClusterError(
        f"the devices' sources are missing: there is no {SOURCES} in {_SHIPPED}; install tflsplit "
        "again, or run it from a checkout"
    )


def checkout() -> Path | None:
    """The folder of the checkout that this package lies in; None where it was installed."""
    return _CHECKOUT if (_CHECKOUT / SOURCES / "lib").is_dir() else None


def build_cache() -> Path:
    """Where libraries are kept that several output folders share; made when it is needed."""
    if checkout() is not None:
        return _CHECKOUT / "build"
    home = os.environ.get(_CACHE_VARIABLE, "")
    return (Path(home) if home else Path.home() / ".cache") / "tflsplit"
