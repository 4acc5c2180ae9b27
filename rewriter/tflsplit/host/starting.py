# SPDX-License-Identifier: Apache-2.0
"""The first roll call behind a deployment."""

from __future__ import annotations

import time

from tflsplit.host.coordinator import Coordinator
from tflsplit.wire.handshake import PeerError

_AGAIN_SECONDS = 0.3


def connect_soon(cluster: Coordinator, timeout_seconds: float) -> None:
    """As soon as the boards run: they have just left another network, and allocate tensors.

    Raises LinkError as ``Coordinator.connect``.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            cluster.connect(max(_AGAIN_SECONDS, deadline - time.monotonic()))
            return
        except PeerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_SECONDS)
