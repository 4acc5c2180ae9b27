# SPDX-License-Identifier: Apache-2.0
"""TFLM's tensor arena: predicted, planned, checked and measured (docs/arena.md)."""

from tflsplit.memory.abi import ABIS, CORTEX_M, ESP32, HOST_64, Abi
from tflsplit.memory.arena import ArenaEstimate, predict_arena
from tflsplit.memory.buffers import ArenaPlan, Buffer
from tflsplit.memory.lifetimes import lifetimes, live_bytes_over_time, peak_live_bytes
from tflsplit.memory.offline import offline_metadata
from tflsplit.memory.order import tensor_order
from tflsplit.memory.overlap import plan_violations
from tflsplit.memory.twin import ArenaMeasurement, measure_arena, memory_twin

__all__ = [
    "ABIS",
    "CORTEX_M",
    "ESP32",
    "HOST_64",
    "Abi",
    "ArenaEstimate",
    "ArenaMeasurement",
    "ArenaPlan",
    "Buffer",
    "lifetimes",
    "live_bytes_over_time",
    "measure_arena",
    "memory_twin",
    "offline_metadata",
    "peak_live_bytes",
    "plan_violations",
    "predict_arena",
    "tensor_order",
]
