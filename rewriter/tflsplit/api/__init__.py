# SPDX-License-Identifier: Apache-2.0
"""tflsplit for programs: what ``import tflsplit`` offers (docs/api.md).

::

    split = tflsplit.rewrite("m.tflite", devices=4, board="pico")
    split.run(x)                        all four devices, here
    split.verify()                      the same bits as the unsplit model?
    split.simulate().latency_ms
    split.report("r.html")
    split.save("build/m")               what `tflsplit rewrite` writes
"""

from tflsplit.api.clusters import board_cluster
from tflsplit.api.results import Simulation, Verification
from tflsplit.api.rewriting import load, rewrite
from tflsplit.api.split_model import SplitModel

__all__ = ["Simulation", "SplitModel", "Verification", "board_cluster", "load", "rewrite"]
