# SPDX-License-Identifier: Apache-2.0
"""``firmware.json``: how the devices of a plan are wired and set up (docs/cluster_protocol.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any

from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.plan_schema import MAX_WORLD_SIZE
from tflsplit.bundle.schema import ListOf, Nullable, Record, Text, Truth, Whole
from tflsplit.bundle.strict_json import strict_loads
from tflsplit.errors import PlanError
from tflsplit.untrusted import MAX_TEXT_FILE_BYTES, read_file
from tflsplit.wire.frames import MAX_MTU_BYTES, MIN_MTU_BYTES
from tflsplit.wire.timers import MULTICAST_HOLD_US, Timing
from tflsplit.wire.topology import Topology

FILE = "firmware.json"
FORMAT = "tflsplit-firmware"
VERSION = 3
_SHOWN_PROBLEMS = 5
_MOST = (1 << 32) - 1
_WIRED = [topology.value for topology in Topology]
SETUP = Record(
    {
        "format": Text(FORMAT, f"'{FORMAT}'"),
        "version": Whole(1, VERSION),
        "fingerprint": Text("[0-9a-f]{32}", "32 hex digits"),
        "world_size": Whole(1, MAX_WORLD_SIZE),
        "gateway": Whole(0, MAX_WORLD_SIZE - 1),
        "topology": Text("|".join(_WIRED), f"one of {', '.join(_WIRED)}"),
        "mtu_bytes": Whole(MIN_MTU_BYTES, MAX_MTU_BYTES),
        "host_baud": Nullable(Whole(1, _MOST)),
        "timing": Record(
            {key: Whole(0, _MOST) for key in [*vars(Timing()), "multicast_hold_us"]},
        ),
        "timeout_ms": Whole(1, _MOST),
        "devices": ListOf(Record({"board": Text(most=255)}), most=MAX_WORLD_SIZE),
    },
    {"direct": Truth(), "ahead": Truth()},
)
"""What the host reads of the file; it may hold more."""


@dataclass(frozen=True)
class FirmwareSetup:
    """What all firmware of a plan agrees on, and the host must know.

    direct: every device has a link to the host; else only ``gateway`` has.
    ahead: devices have memory for the next inference's input.
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
    direct: bool = False
    ahead: bool = False

    @property
    def gateways(self) -> tuple[int, ...]:
        """The devices that have a link to the host."""
        return tuple(range(self.world_size)) if self.direct else (self.gateway,)

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
    if not os.path.lexists(path):
        return default_setup(plan)
    try:
        document = strict_loads(read_file(path, MAX_TEXT_FILE_BYTES))
        problems = list(islice(SETUP.problems(document, ""), _SHOWN_PROBLEMS))
    except ValueError as error:
        problems = [str(error)]
    if problems:
        raise PlanError(
            f"{path} is damaged or of another version ({'; '.join(problems)}); "
            "generate the firmware again"
        )
    setup = setup_of_document(document)
    if (setup.fingerprint, setup.world_size) != (plan["fingerprint"], plan["world_size"]):
        raise PlanError(
            f"{path} was made for another plan ({setup.fingerprint}, not {plan['fingerprint']}): "
            "generate the firmware again, then flash it"
        )
    if setup.gateway >= setup.world_size or len(setup.devices) not in (0, setup.world_size):
        raise PlanError(
            f"{path} is damaged: its gateway or its devices are not of the {setup.world_size} "
            "ranks; generate the firmware again"
        )
    return setup


def setup_of_document(document: Json) -> FirmwareSetup:
    """What the host reads of a firmware.json that is sound."""
    times = document["timing"]
    return FirmwareSetup(
        document["fingerprint"],
        document["world_size"],
        Topology(document["topology"]),
        document["gateway"],
        document["mtu_bytes"],
        document["host_baud"],
        Timing(**{item.name: times[item.name] for item in fields(Timing)}),
        times["multicast_hold_us"],
        document["timeout_ms"],
        tuple(document["devices"]),
        document.get("direct", False),
        document.get("ahead", False),
    )
