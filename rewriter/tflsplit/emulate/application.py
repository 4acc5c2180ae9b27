# SPDX-License-Identifier: Apache-2.0
"""A cluster of native programs that is driven by an application on its gateway, without a host."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tflsplit.bundle import Bundle
from tflsplit.emulate.cluster import Cluster
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import wires_of
from tflsplit.emulate.wiring import HOST
from tflsplit.errors import ClusterError, LinkError
from tflsplit.firmware import FirmwareOptions

_TURN_SECONDS = 0.02


def run_application(
    bundle: Bundle,
    options: FirmwareOptions,
    app: Path,
    inferences: int,
    on_line: Callable[[int, str], None],
    timeout_seconds: float,
) -> int:
    """Build, run until the application ends by itself; its exit status.

    app: a folder with its sources (docs/firmware.md, "Input from the application").
    inferences: its start-up argument of that name; it may heed it or not.
    on_line: called with (rank, line) for every line that a device prints, from a thread.
    Raises ClusterError if there is nothing to build, the plan has no place for an application, or
    the build fails; LinkError if it does not end in time.
    """
    if not any(app.glob("*.cc")):
        raise ClusterError(f"{app} holds no C++ source (*.cc) of an application")
    if options.direct or bundle.document.get("stream"):
        every = "every device has a port to the host"
        how = every if options.direct else "the host keeps the image"
        raise ClusterError(
            f"an application on one board cannot take the host's place where {how}: "
            f"rewrite without --{'direct' if options.direct else 'stream'}"
        )
    built = build_native(bundle, options, app=app)
    gateway = built.setup.gateway
    devices = list(built.devices)
    arguments = {"inferences": str(inferences)}
    devices[gateway] = replace(devices[gateway], arguments=arguments)
    wires = [wire for wire in wires_of(built.setup) if HOST not in (wire.a, wire.b)]
    deadline = time.monotonic() + timeout_seconds
    with Cluster(devices, wires, on_line=on_line) as cluster:
        while (status := cluster.exit_status(gateway)) is None:
            if time.monotonic() > deadline:
                raise LinkError(f"the application does not end within {timeout_seconds:g} s")
            time.sleep(_TURN_SECONDS)
        cluster.console(gateway).join(1.0)
    return status
