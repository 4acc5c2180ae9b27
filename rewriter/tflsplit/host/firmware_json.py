# SPDX-License-Identifier: Apache-2.0
"""``firmware.json``: how the devices of a plan are wired and set up (docs/cluster_protocol.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tflsplit.bundle.plan_json import Json
from tflsplit.errors import PlanError
from tflsplit.wire.timers import MULTICAST_HOLD_US, Timing
from tflsplit.wire.topology import Topology

FILE = "firmware.json"
FORMAT = "tflsplit-firmware"
VERSION = 1


@dataclass(frozen=True)
class FirmwareSetup:
    """What all firmware of a plan agrees on, and the host must know.

    host_baud: of the gateway's host link; None where it has none (USB, emulated).
    multicast_hold_us: how long a SEND waits for all of its receivers before it serves some.
    timeout_ms: longest wait of a device for one box.
    devices: as in the file; empty if no firmware was generated.
    """

    fingerprint: str
    world_size: int
    topology: Topology = Topology.RING
    gateway: int = 0
    mtu_bytes: int = 512
    host_baud: int | None = None
    timing: Timing = field(default_factory=Timing)
    multicast_hold_us: int = MULTICAST_HOLD_US
    timeout_ms: int = 10_000
    devices: tuple[Mapping[str, Any], ...] = ()

    @property
    def host_rank(self) -> int:
        """The host's rank: one more than the last device's."""
        return self.world_size


def default_setup(plan: Json) -> FirmwareSetup:
    """For devices that no firmware was generated for: a ring with the gateway at rank 0."""
    return FirmwareSetup(plan["fingerprint"], plan["world_size"])


def read_firmware_setup(folder: Path, plan: Json) -> FirmwareSetup:
    """The firmware.json beside a plan.json, or the defaults if there is none.

    Raises PlanError if it is damaged, of another version or of another plan.
    """
    path = folder / FILE
    if not path.is_file():
        return default_setup(plan)
    try:
        document = json.loads(path.read_bytes())
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError(f"version {document['version']}, not {VERSION}")
        setup = _parse(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlanError(
            f"{path} is damaged or of another version ({type(error).__name__}: {error}); "
            "generate the firmware again"
        ) from None
    if (setup.fingerprint, setup.world_size) != (plan["fingerprint"], plan["world_size"]):
        raise PlanError(
            f"{path} was made for another plan ({setup.fingerprint}, not {plan['fingerprint']}): "
            "generate the firmware again, then flash it"
        )
    return setup


def _parse(document: Json) -> FirmwareSetup:
    times = document["timing"]
    return FirmwareSetup(
        document["fingerprint"],
        int(document["world_size"]),
        Topology(document["topology"]),
        int(document["gateway"]),
        int(document["mtu_bytes"]),
        document["host_baud"],
        Timing(**{item.name: int(times[item.name]) for item in fields(Timing)}),
        int(times["multicast_hold_us"]),
        int(document["timeout_ms"]),
        tuple(document["devices"]),
    )
