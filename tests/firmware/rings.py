# SPDX-License-Identifier: Apache-2.0
"""Runs the self-tests of tflm_app/selftest on a cluster and checks that every device passes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tflsplit.emulate import Cluster, Device, DeviceExit, FaultModel, line, ring
from tflsplit.emulate.segment import Segment

BYTES = 102_400
TIMEOUT_SECONDS = 100
FAULTS = FaultModel(
    flips_per_byte=1e-4, drops_per_byte=5e-5, duplicates_per_byte=5e-5, stalls_per_byte=1e-5
)

MANY_FAULTS = FaultModel(flips_per_byte=5e-4, drops_per_byte=3e-4, duplicates_per_byte=2e-4)
"""For blocks of few bytes: some fifty on 50,000 bytes of wires."""


def devices(programs: list[Path], boards: list[str], **arguments: int) -> list[Device]:
    words = {"bytes": str(BYTES), **{key: str(value) for key, value in arguments.items()}}
    return [Device(*pair, words) for pair in zip(programs, boards, strict=True)]


def wires(world_size: int, self_test: str):
    """split_core takes two devices as a line: their second wire would be idle."""
    return line(2) if world_size == 2 and self_test == "all_gather" else ring(world_size)


def run(
    platformio: Any, self_test: str, boards: list[str], total_bytes: int = BYTES, **options: Any
) -> list[DeviceExit]:
    programs = platformio.build(*(f"{self_test}_{board}" for board in boards))
    started = devices(programs, boards, bytes=total_bytes)
    cluster = Cluster(started, wires(len(boards), self_test), **options)
    with cluster:
        ends = cluster.wait(TIMEOUT_SECONDS)
        if "faults" in options:
            harmed = [counts for pair in cluster.fault_counts().values() for counts in pair]
            assert sum(counts.events for counts in harmed) > 10
    report = [end.console for end in ends]
    assert [end.status for end in ends] == [0] * len(boards), report
    for rank, end in enumerate(ends):
        text = f"PASS {self_test}: rank {rank} of {len(boards)}, {total_bytes} bytes"
        assert end.console[-1].startswith(text), report
    return ends


def run_on_ethernet(
    platformio: Any, boards: list[str], faults: FaultModel | None = None
) -> list[DeviceExit]:
    """all_gather among boards, and programs of this computer, at one switch."""
    programs = platformio.build(*(f"all_gather_ethernet_{board}" for board in boards))
    total_bytes = BYTES // len(boards) * len(boards)
    segment = Segment([board != "host" for board in boards], faults, seed=3)
    started = devices(programs, boards, bytes=total_bytes)
    with Cluster(started, (), segment=segment) as cluster:
        ends = cluster.wait(TIMEOUT_SECONDS)
    report = [end.console for end in ends]
    assert [end.status for end in ends] == [0] * len(boards), report
    # How many depends on who has granted when a block begins: which is the machine's business.
    assert sum(segment.groups) > 0
    assert (sum(segment.lost) > 10) == (faults is not None)
    return ends


def frames_resent(ends: list[DeviceExit]) -> int:
    text = "\n".join(line for end in ends for line in end.console)
    return sum(int(count) for count in re.findall(r"frames_resent=(\d+)", text))
