# SPDX-License-Identifier: Apache-2.0
"""One generic firmware on emulated Cortex-M boards: blank, two plans over their wires, a reset."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.emulate import generic_host as gh
from tests.emulate.test_generic import Plan
from tflsplit.emulate import Cluster, Device, ring
from tflsplit.errors import LinkError
from tflsplit.host import SocketStream
from tflsplit.host.coordinator import Coordinator

ROOT = Path(__file__).resolve().parents[2]
BOARD, DEVICES = "mps2_an500", 3
BUILD_SECONDS = 1800
FORWARD_SECONDS = 3.0


@pytest.fixture(scope="module")
def program(
    platformio: Any, tmp_path_factory: pytest.TempPathFactory, tflm_tree: Path, arm_compiler: None,
    qemu: None,
) -> Path:  # fmt: skip
    """Built by PlatformIO; TFLM itself is built once and kept in the project's .pio."""
    builds = tmp_path_factory.mktemp("generic")
    settings = {
        "PLATFORMIO_CORE_DIR": str(platformio.folder / "core"),
        "PLATFORMIO_BUILD_DIR": str(builds),
        "PLATFORMIO_WORKSPACE_DIR": str(ROOT / ".pio"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "TFLSPLIT_TFLM_DIR": str(tflm_tree),
    }
    command = [platformio.python, "-m", "platformio", "run", "-s", "-e", f"generic_{BOARD}"]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True,
        timeout=BUILD_SECONDS, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-4000:]
    return builds / f"generic_{BOARD}" / "firmware.elf"


def infer(host: Coordinator, plan: Plan) -> None:
    outputs = host.infer(plan.case.inputs, 120).outputs
    assert all(map(np.array_equal, outputs, plan.wanted))


def test_one_firmware_on_all_boards_takes_plan_after_plan(
    program: Path, tflm_tree: Path, tmp_path: Path
):
    plans = []
    for model in ("mobilenet", "resnet"):
        (tmp_path / model).mkdir()
        plans.append(Plan(tmp_path / model, model, DEVICES, BOARD, tflm_tree))
    devices = [Device(program, BOARD, {"id": f"chip{rank}"}) for rank in range(DEVICES)]
    with Cluster(devices, ring(DEVICES, gateway=0)) as cluster:
        end = cluster.host_sockets[0]
        for rank, way in enumerate(gh.ways(DEVICES)):
            kind, body = gh.ask(end, gh.IDENTIFY, way)
            assert kind == gh.IDENTITY
            assert body[:6] == b"chip%d\0" % rank
            assert body[16:27] == BOARD.encode() + b"\0"
            assert body[37:39] == bytes([3, 0])  # ports, blank
            assert body[39] & ~4 == 0  # memory only; whose kernels is the tree's
        for plan in plans:
            gh.deploy(end, plan.images, FORWARD_SECONDS)
            end.settimeout(None)
            with Coordinator(SocketStream(end.dup()), plan.bundle, plan.setup) as host:
                host.connect(120)
                infer(host, plan)
                if plan is plans[-1]:
                    # Its store keeps what it has over a reset: it is back with its plan.
                    cluster.reset(1)
                    with contextlib.suppress(LinkError):
                        host.infer(plan.case.inputs, 120)
                    infer(host, plan)
