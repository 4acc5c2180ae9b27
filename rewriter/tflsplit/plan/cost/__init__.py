# SPDX-License-Identifier: Apache-2.0
"""What a plan costs on a cluster: time of computing and of moving, memory, flash.

Each term has a module, and a test against a case computed by hand:

    work        what a node does, by operator family
    compute     that work in microseconds on a device; shares by speed
    exchange    microseconds of simultaneous transfers over shared links (alpha-beta)
    arrival     microseconds until each device has its part of the input
    polling     what polls from a timer take from kernels, and the bytes that they move
    predict     a whole plan: a list simulation over the positions of the nodes
    fit         arena and flash of a device graph against what its device has left
    calibrate   cycles per multiply-accumulate from measured runs

**Overlap.** A device is one thread.  A byte moves only while both of its ends, and every device
that forwards it, drive their links, that is, stand in a RECV; during a kernel nothing but the
port's small ring buffers moves, unless a timer polls (``polling``).  Of what moves then only the
input is counted here; ``tflsplit.sim`` follows every frame.
"""

from tflsplit.plan.cost.arrival import arrivals_us
from tflsplit.plan.cost.calibrate import Measurement, calibrate, calibration_toml
from tflsplit.plan.cost.compute import compute_us, default_shares, local_node_us
from tflsplit.plan.cost.exchange import LinkCost, step_cost
from tflsplit.plan.cost.families import family_of
from tflsplit.plan.cost.fit import Fit, fit_device
from tflsplit.plan.cost.predict import Prediction, StepTime, predict
from tflsplit.plan.cost.work import Work, work_of

__all__ = [
    "Fit",
    "LinkCost",
    "Measurement",
    "Prediction",
    "StepTime",
    "Work",
    "arrivals_us",
    "calibrate",
    "calibration_toml",
    "compute_us",
    "default_shares",
    "family_of",
    "fit_device",
    "local_node_us",
    "predict",
    "step_cost",
    "work_of",
]
