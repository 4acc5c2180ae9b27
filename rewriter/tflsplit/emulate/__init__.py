# SPDX-License-Identifier: Apache-2.0
"""A cluster that needs no board: devices as QEMU machines or host processes, wired by sockets."""

from tflsplit.emulate.cluster import Cluster, Device, DeviceExit
from tflsplit.emulate.faults import FaultCounts, FaultModel
from tflsplit.emulate.wiring import HOST, Port, Wire, line, ring, star

__all__ = [
    "HOST",
    "Cluster",
    "Device",
    "DeviceExit",
    "FaultCounts",
    "FaultModel",
    "Port",
    "Wire",
    "line",
    "ring",
    "star",
]
