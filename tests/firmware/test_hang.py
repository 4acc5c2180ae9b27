# SPDX-License-Identifier: Apache-2.0
"""The program of an emulated board is made to hang, and its reset button brings it back."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.firmware.rings import TIMEOUT_SECONDS, devices
from tflsplit.emulate import Cluster, ring
from tflsplit.emulate.interventions import read_event

pytestmark = pytest.mark.usefixtures("arm_compiler")


@pytest.mark.parametrize(
    ("board", "needed"), [("mps2_an500", "qemu"), ("rp2040", "rp2040js")], ids=["qemu", "rp2040js"]
)
def test_a_program_hangs_until_it_is_reset(
    platformio: Any, request: pytest.FixtureRequest, board: str, needed: str
):
    request.getfixturevalue(needed)
    (program,) = platformio.build(f"uart_ring_{board}")
    started = devices([program] * 2, [board] * 2, silence_ms=300)
    with Cluster(started, ring(2)) as cluster:
        read_event("0 hang 1", 2).happen(cluster)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while cluster.exit_status(0) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert "silence" in cluster.console(0).lines[-1]
        time.sleep(1)  # rank 1 would give up, too, if it ran
        assert cluster.exit_status(1) is None
        assert not any("silence" in line for line in cluster.console(1).lines)
        read_event("0 reset 1", 2).happen(cluster)
        ends = cluster.wait(TIMEOUT_SECONDS)
    assert "silence" in ends[1].console[-1]  # it runs, and finds nobody
