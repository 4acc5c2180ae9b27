# SPDX-License-Identifier: Apache-2.0
"""The host's side of a cluster of devices, real or emulated (docs/cluster_protocol.md)."""

from tflsplit.host.coordinator import Coordinator, Inference
from tflsplit.host.firmware_json import FirmwareSetup, read_firmware_setup
from tflsplit.host.ports import SocketStream, Stream, open_port

__all__ = [
    "Coordinator",
    "FirmwareSetup",
    "Inference",
    "SocketStream",
    "Stream",
    "open_port",
    "read_firmware_setup",
]
