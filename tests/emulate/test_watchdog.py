# SPDX-License-Identifier: Apache-2.0
"""A device whose main program hangs comes back and says why; nobody waits for a console."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.native import needs_cxx, needs_wheel_reader
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.emulate.firmware_build import BuiltFirmware
from tflsplit.emulate.interventions import impatient, read_event
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import Session, whole_firmware
from tflsplit.errors import LinkError
from tflsplit.firmware import FirmwareOptions
from tflsplit.host.figures import WireFigures, remarks
from tflsplit.passes.prepare import prepare
from tflsplit.verify import make_cases
from tflsplit.verify.inputs import EDGES
from tflsplit.wire.control import Info, ResetReason

pytestmark = [needs_wheel_reader, needs_cxx]

WATCHDOG_MS = 400


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(bundle_of(tmp_path_factory.mktemp("watchdog") / "plan", "mobilenet", 3))


@pytest.fixture(scope="module")
def built(bundle: Bundle) -> BuiltFirmware:
    return build_native(bundle, FirmwareOptions(timeout_ms=60_000, tflm_dir=None))


@contextmanager
def running(
    bundle: Bundle, built: BuiltFirmware, arguments: dict[str, str], program: Path | None = None
) -> Iterator[Session]:
    """Rank 1 gets the arguments, or is another program."""
    devices = list(built.devices)
    given = dict(devices[1].arguments) | arguments
    devices[1] = replace(devices[1], arguments=given, program=program or devices[1].program)
    with whole_firmware(bundle, built.setup, devices, count_instructions=False) as session:
        session.coordinator.connect(60)
        yield session


def test_a_program_that_hangs_is_reset_and_says_so(bundle: Bundle, built: BuiltFirmware):
    (case,) = islice(make_cases(prepare(bundle.model), 1, 5), len(EDGES), None)
    arguments = {"hang_at": "2", "watchdog_ms": str(WATCHDOG_MS)}
    with running(bundle, built, arguments) as session:
        host = session.coordinator
        assert [info.reset_reason for info in host.infos] == 3 * [ResetReason.POWER]
        first = host.infer(case.inputs, 60).outputs
        with pytest.raises(LinkError, match=r"rank 1 was reset.*by its watchdog: its program hung"):
            host.infer(case.inputs, 60)
        again = host.infer(case.inputs, 60).outputs  # the first of the program that has come back
        reasons = [info.reset_reason for info in host.infos]
        assert reasons == [ResetReason.POWER, ResetReason.WATCHDOG, ResetReason.POWER]
        assert all(map(np.array_equal, first, again))
        assert session.cluster.exit_status(1) is None  # the same process
        assert remarks(host.infos, []) == ["rank 1 was reset by its watchdog: its program hung"]


def test_a_program_hangs_by_an_event_and_comes_back(bundle: Bundle, built: BuiltFirmware):
    (case,) = islice(make_cases(prepare(bundle.model), 1, 5), len(EDGES), None)
    with running(bundle, built, {"watchdog_ms": str(WATCHDOG_MS)}) as session:
        host = session.coordinator
        first = host.infer(case.inputs, 60).outputs
        read_event("0 hang 1", 3).happen(session.cluster)
        with contextlib.suppress(LinkError):  # whoever notices it first decides whether this fails
            host.infer(case.inputs, 60)
        again = host.infer(case.inputs, 60).outputs
        assert all(map(np.array_equal, first, again))
        reasons = [info.reset_reason for info in host.connect(60)]
        assert reasons == [ResetReason.POWER, ResetReason.WATCHDOG, ResetReason.POWER]


def test_watchdogs_of_devices_that_are_to_hang_wait_less_long(built: BuiltFirmware):
    devices = [*built.devices[:2], replace(built.devices[2], board="mps2_an500")]
    events = [read_event(f"0 {word}", 3) for word in ("hang 1", "reset 0", "hang 2")]
    limits = [each.arguments.get("watchdog_ms") for each in impatient(devices, events)]
    assert limits == [None, "1000", "10000"]
    assert impatient(devices[:1], [read_event("0 hang 0", 1)]) == devices[:1]  # may compute long


def test_a_console_that_nobody_reads_stops_nothing(
    bundle: Bundle, built: BuiltFirmware, tmp_path: Path
):
    """Its pipe is full before the device has said a word."""
    (case,) = islice(make_cases(prepare(bundle.model), 1, 5), len(EDGES), None)
    pipe, program = tmp_path / "console", tmp_path / "device"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(end, bytes(4096))
    program.write_text(f'#!/bin/sh\nexec {built.devices[1].program} "$@" >{pipe}\n')
    program.chmod(0o755)
    try:
        with running(bundle, built, {}, program) as session:
            for _ in range(50):  # 3 KB of lines; 2 KB find room
                session.coordinator.infer(case.inputs, 60)
            infos = session.coordinator.connect(60)
    finally:
        os.close(end)
    assert [info.console_lost_bytes > 0 for info in infos] == [False, True, False]
    (remark,) = remarks(infos, [])
    assert remark.startswith("rank 1 dropped ")


def test_a_stack_that_is_nearly_used_up_is_remarked():
    infos = [Info(stack_bytes=4096, stack_used_bytes=used) for used in (0, 1500, 3900)]
    (remark,) = remarks([*infos, Info()], [])
    assert remark.startswith("rank 2 used 3,900 of its 4,096 bytes of stack")


def test_lost_bytes_are_remarked():
    wires = [WireFigures(2, 3, 100, 1, 0, 0, 0, lost_bytes=2.5), WireFigures(3, 2, 100, 1, 0, 0, 0)]
    (remark,) = remarks([], wires)
    assert remark.startswith("rank 3 lost bytes that came from rank 2 (2.5 counted an inference)")
