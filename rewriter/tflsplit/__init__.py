# SPDX-License-Identifier: Apache-2.0
"""tflsplit: split one int8 .tflite network over several microcontrollers, bit for bit.

``tflsplit.rewrite`` and ``tflsplit.load`` give a ``SplitModel`` (docs/api.md).  They are imported
when they are first used: the package itself costs no time.
"""

from importlib import import_module

__version__ = "0.1.0"

_FACADE = ("Simulation", "SplitModel", "Verification", "board_cluster", "load", "rewrite")
_SERVING = ("Event", "ServeOptions", "Service", "serve")


def __getattr__(name: str) -> object:
    """What tflsplit.api and tflsplit.serving have; AttributeError for everything else."""
    for names, module in ((_FACADE, "tflsplit.api"), (_SERVING, "tflsplit.serving")):
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'tflsplit' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, imported or not."""
    return sorted({*globals(), *_FACADE, *_SERVING})
