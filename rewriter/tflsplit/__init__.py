# SPDX-License-Identifier: Apache-2.0
"""tflsplit: split one int8 .tflite network over several microcontrollers, bit for bit.

``tflsplit.rewrite`` and ``tflsplit.load`` give a ``SplitModel`` (docs/api.md).  They are imported
when they are first used: the package itself costs no time.
"""

from importlib import import_module

__version__ = "0.1.0"

_FACADE = ("Simulation", "SplitModel", "Verification", "board_cluster", "load", "rewrite")


def __getattr__(name: str) -> object:
    """What tflsplit.api has; AttributeError for everything else."""
    if name in _FACADE:
        return getattr(import_module("tflsplit.api"), name)
    raise AttributeError(f"module 'tflsplit' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, imported or not."""
    return sorted({*globals(), *_FACADE})
