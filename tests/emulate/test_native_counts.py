# SPDX-License-Identifier: Apache-2.0
"""Frames of the whole firmware on its wires, with ASKs and early RECVs, are those simulated.

Programs of this computer with the timer that polls their links in kernels, so that RECVs are early
and GRANTs leave ahead.  What the plan decides is compared: DATA and GRANT frames, and their
payload, on every direction of every wire.  None of it depends on when something happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.native import needs_cxx, needs_wheel_reader
from tests.splits import tiny
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cluster import Edge, default_cluster
from tflsplit.emulate import HOST, FaultModel
from tflsplit.emulate.faults import FaultStream, Piece
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import whole_firmware
from tflsplit.firmware import FirmwareOptions
from tflsplit.ir import DType
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.passes.prepare import prepare
from tflsplit.plan.policy import choose_plan
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.sim import simulate
from tflsplit.sim.network import NetworkOptions
from tflsplit.sim.program import program_of
from tflsplit.sim.run import run_programs
from tflsplit.tflite import write_model
from tflsplit.verify import make_cases
from tflsplit.wire import custom_ops as wire
from tflsplit.wire.frames import Frame, FrameDecoder, FrameType, parse

pytestmark = [needs_wheel_reader, needs_cxx]
WORLD_SIZE = 3


def made(folder: Path, split: str, world_size: int, overlap: bool) -> Bundle:
    """A network that all devices share, in a folder."""
    (folder / "model.tflite").write_bytes(write_model(tiny("mobilenet")))
    wishes = Wishes(world_size, split, fuse=True, weights_limit=1.0)
    plan = replace(choose_plan(prepare(tiny("mobilenet")), wishes), overlap=overlap)
    rewrite(folder / "model.tflite", folder / "plan", lambda _: plan)
    return read_bundle(folder / "plan")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A plan whose devices ask ahead, and compute while rows arrive."""
    found = made(tmp_path_factory.mktemp("counts"), "rows", WORLD_SIZE, overlap=True)
    nodes = [node for device in found.devices for node in device.graph.nodes]
    assert any(node.op == wire.ASK for node in nodes)
    assert any(node.op == wire.RECV and RecvOptions.of(node).early for node in nodes)
    return found


class Tap(FaultStream):
    """Passes everything on and keeps it."""

    def __init__(self) -> None:
        super().__init__(FaultModel(), 0)
        self.data = bytearray()

    def feed(self, data: bytes) -> list[Piece]:
        self.data += data
        return super().feed(data)


@contextmanager
def tapped(bundle: Bundle) -> Iterator[tuple[object, Mapping[Edge, Tap]]]:
    """The host of a running cluster, and what each direction of each wire carries from now on."""
    built = build_native(bundle, FirmwareOptions(tflm_dir=None))
    with whole_firmware(
        bundle, built.setup, built.devices, count_instructions=False, pluggable=True
    ) as session:
        session.coordinator.connect(60)
        taps: dict[Edge, Tap] = {}
        for each, directions in zip(session.wires, session.cluster.proxy._wires, strict=True):
            a, b = (len(bundle.devices) if end == HOST else end.rank for end in (each.a, each.b))
            for edge, direction in zip(((a, b), (b, a)), directions, strict=True):
                taps[edge] = direction.stream = Tap()
        yield session.coordinator, taps


def messages(tap: Tap, mtu_bytes: int) -> list[Frame]:
    """Whole DATA and GRANT frames, those that were written again once."""
    found: dict[tuple[object, ...], Frame] = {}
    for raw in FrameDecoder(mtu_bytes).feed(bytes(tap.data)):
        frame = parse(raw)
        if frame.type in (FrameType.DATA, FrameType.GRANT):
            found[frame.type, frame.source, frame.channel, frame.offset, frame.destinations] = frame
    return list(found.values())


def assert_carried_as_simulated(bundle: Bundle) -> None:
    """DATA and GRANT frames and their payload, by direction of every wire."""
    cluster = default_cluster(len(bundle.devices))
    programs = [program_of(d, h) for d, h in zip(bundle.devices, cluster.devices, strict=True)]
    expected = run_programs(programs, cluster, network=NetworkOptions(hold_us=float("inf"))).wires
    (case, *_) = make_cases(bundle.model, 1, seed=1)
    with tapped(bundle) as (host, taps):
        host.infer(case.inputs, 60)  # type: ignore[attr-defined]
        carried = {edge: messages(tap, cluster.mtu_bytes) for edge, tap in taps.items()}
    assert set(carried) == set(expected)
    for edge, frames in carried.items():
        kinds, count = [frame.type for frame in frames], expected[edge]
        assert kinds.count(FrameType.DATA) == count.data_frames, edge
        assert kinds.count(FrameType.GRANT) == count.grant_frames, edge
        assert sum(len(frame.payload) for frame in frames) == count.payload_bytes, edge


def test_frames_of_devices_that_ask_ahead_are_those_simulated(bundle: Bundle):
    assert_carried_as_simulated(bundle)


def test_frames_of_cells_and_of_sums_of_16_bits_are_those_simulated(tmp_path: Path):
    bundle = made(tmp_path, "grid", 4, overlap=True)
    assert {layer["way"] for layer in bundle.document["layers"]} >= {"grid"}
    sums = [
        node.output.dtype
        for device in bundle.devices
        for node in device.graph.nodes
        if node.op == wire.RECV and node.outputs and RecvOptions.of(node).add
    ]
    assert DType.INT16 in sums
    assert_carried_as_simulated(bundle)


def test_asking_ahead_changes_no_frame_but_when(bundle: Bundle, tmp_path: Path):
    """The same plan without overlap: the same frames, later."""
    cluster = default_cluster(WORLD_SIZE)
    plain = made(tmp_path, "rows", WORLD_SIZE, overlap=False)
    before, after = (simulate(each.devices, cluster) for each in (plain, bundle))
    assert after.latency_us < before.latency_us
    for edge, count in before.wires.items():
        assert count.data_frames == after.wires[edge].data_frames
        assert count.grant_frames == after.wires[edge].grant_frames
