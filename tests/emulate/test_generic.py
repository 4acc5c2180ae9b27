# SPDX-License-Identifier: Apache-2.0
"""Generic firmware, as processes of this computer: blank, deployed to, switched off, run."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.emulate import generic_host as gh
from tests.native import needs_cxx, needs_wheel_reader
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.emulate import Cluster, Device, ring
from tflsplit.emulate.native_build import build_generic
from tflsplit.host import SocketStream
from tflsplit.host.coordinator import Coordinator
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import TflmProgram
from tflsplit.verify import make_cases
from tflsplit.verify.inputs import EDGES
from tflsplit.wire.handshake import PeerError

pytestmark = [needs_wheel_reader, needs_cxx]

DEVICES = 3
STORE_BYTES = 256 * 1024
POWER_STATUS = 75


class Plan:
    """A bundle, its images by rank, an input, and the unsplit model's answer."""

    def __init__(
        self, folder: Path, model: str, world_size: int = DEVICES, board: str = "host",
        tflm_dir: Path | None = None,
    ) -> None:  # fmt: skip
        self.bundle: Bundle = read_bundle(bundle_of(folder / "plan", model, world_size))
        self.images, self.setup = gh.deployable(self.bundle, folder, board, tflm_dir)
        model_graph = prepare(self.bundle.model)
        (self.case,) = islice(make_cases(model_graph, 1, 5), len(EDGES), None)
        self.wanted = TflmProgram(self.bundle.model).run(list(self.case.inputs.values()))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return Plan(tmp_path_factory.mktemp("first"), "mobilenet")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return Plan(tmp_path_factory.mktemp("second"), "resnet")


@contextmanager
def blank(
    folder: Path, program: Path | None = None, world_size: int = DEVICES,
    arguments: Sequence[dict[str, str]] | None = None,
) -> Iterator[Cluster]:  # fmt: skip
    """A ring of generic devices, each with a store in the folder."""
    program = program or build_generic()
    devices = [
        Device(program, "host", {
            "id": f"chip{rank}", "store": str(folder / f"store{rank}"),
            "store_bytes": str(STORE_BYTES), **(arguments[rank] if arguments else {}),
        })
        for rank in range(world_size)
    ]  # fmt: skip
    with Cluster(devices, ring(world_size, gateway=0)) as cluster:
        yield cluster


def infer(cluster: Cluster, plan: Plan, seconds: float = 60) -> None:
    """The same bits as the unsplit model."""
    cluster.host_sockets[0].settimeout(None)
    stream = SocketStream(cluster.host_sockets[0].dup())
    with Coordinator(stream, plan.bundle, plan.setup) as host:
        host.connect(seconds)
        outputs = host.infer(plan.case.inputs, seconds).outputs
    assert all(map(np.array_equal, outputs, plan.wanted))


def identities(cluster: Cluster) -> list[bytes]:
    end = cluster.host_sockets[0]
    answers = [gh.ask(end, gh.IDENTIFY, way) for way in gh.ways(DEVICES)]
    assert all(kind == gh.IDENTITY for kind, _ in answers)
    return [body for _, body in answers]


def holding(body: bytes) -> tuple[int, int, int, int]:
    """Rank, world_size, slices, and the slice that ran last."""
    return body[90], body[91], body[54], body[57]


def test_blank_devices_take_one_plan_and_then_another(tmp_path: Path, first: Plan, second: Plan):
    with blank(tmp_path) as cluster:
        end = cluster.host_sockets[0]
        for rank, body in enumerate(identities(cluster)):
            assert body[:6] == b"chip%d\0" % rank
            assert body[16:21] == b"host\0"
            assert body[37:40] == bytes([3, 0, 1])  # ports, blank, survives
            assert struct.unpack_from("<I", body, 40)[0] == STORE_BYTES - 192
            assert holding(body) == (255, 0, 0, 255)
        assert all(answer[2] == gh.PREPARED for answer in gh.deploy(end, first.images).values())
        infer(cluster, first)
        for rank, body in enumerate(identities(cluster)):
            assert body[38] == 1  # holds an image
            assert body[58:74] == gh.deployment_of(first.images)
            assert body[74:90].hex() == first.bundle.document["fingerprint"]
            assert holding(body) == (rank, DEVICES, 1, 0)
        # Nothing is sent again, and the other plan takes the place of this one.
        assert all(answer[2] == gh.ACTIVE for answer in gh.deploy(end, first.images).values())
        infer(cluster, first)
        gh.deploy(end, second.images)
        infer(cluster, second)
        gh.deploy(end, first.images)
        infer(cluster, first)
    with blank(tmp_path) as cluster:  # after the power was off
        infer(cluster, first)


def test_what_a_device_does_not_take(tmp_path: Path, first: Plan):
    """It says what it is, and the others have theirs prepared; nothing changes."""
    limits: list[dict[str, str]] = [{}, {"rx_ring_bytes": "3000", "work_bytes": "1048576"}, {}]
    with blank(tmp_path, arguments=limits) as cluster:
        end = cluster.host_sockets[0]
        assert struct.unpack_from("<H", identities(cluster)[1], 92) == (3000,)
        for change, code, text in (
            (lambda data: data[:62] + b"\1" + data[63:], 11, b"rx_slots"),
            (lambda data: data[:62] + b"\6" + data[63:], 11, b"rx_slots"),  # beyond its ring
            (lambda data: data[:96] + b"\0\0\x20\0" + data[100:], 3, b""),  # 2 MiB of arena
            (lambda data: data[:128] + b"teensy41" + data[136:], 11, b"board"),
            (lambda data: data + bytes(STORE_BYTES), 7, b""),
        ):
            images = [*first.images]
            images[1] = change(images[1])
            session = secrets.token_bytes(16)
            gh.adopt(end, DEVICES, session)
            answers = gh.Host(end, DEVICES, session).offer(images)
            assert answers[1][1:4] == bytes([gh.REFUSED, code, gh.OFFER])
            assert answers[1][8:] == text
            missing = struct.unpack_from("<I", answers[1], 4)[0]
            assert (missing > 1 << 20) == (code == 3)
            assert answers[0][:3] == bytes([1, gh.ACCEPTED, gh.PREPARED])
        found = identities(cluster)
        assert [body[38] for body in found] == [0, 0, 0]  # blank still
        assert [body[39] & 8 for body in found] == [8, 0, 8]  # prepared


def test_a_device_whose_model_cannot_be_stays_where_it_is_found(tmp_path: Path, first: Plan):
    """The model of another plan; then the right one."""
    images = [*first.images]
    images[1] = gh.with_mark(images[1], b"another plan")
    with blank(tmp_path) as cluster:
        end = cluster.host_sockets[0]
        gh.deploy(end, images)
        body = gh.ask(end, gh.IDENTIFY, [1])[1]
        assert body[38] == 3  # broken
        kind, why = gh.ask(end, gh.RUN, [1], b"\0")
        assert (kind, why[0]) == (gh.REFUSED, 11)
        assert b"the model in flash is of another plan or rank" in why
        gh.deploy(end, first.images)
        infer(cluster, first)


def store_work_bytes(image: bytes) -> int:
    """Erased and written until an image is prepared: whole units, the image, a record."""
    unit, last = 4096, STORE_BYTES - 4096
    return -(-min(len(image), last) // unit) * unit + unit + len(image) + 96


@pytest.mark.parametrize("before_end", [None, 20_000, 100, -50])
def test_power_that_fails_leaves_what_was_there(
    tmp_path: Path, first: Plan, second: Plan, before_end: int | None
):
    """Of rank 1, at its first byte, in the image, in the first record and in the second.

    C++ tests take every byte of it.
    """
    left = 0 if before_end is None else store_work_bytes(second.images[1]) - before_end
    with blank(tmp_path) as cluster:
        gh.deploy(cluster.host_sockets[0], first.images)
    fails: list[dict[str, str]] = [{}, {"store_fails_after": str(left)}, {}]
    with blank(tmp_path, arguments=fails) as cluster:
        end = cluster.host_sockets[0]
        session = secrets.token_bytes(16)
        gh.adopt(end, DEVICES, session)
        host = gh.Host(end, DEVICES, session)
        host.gives_up = lambda: cluster.exit_status(1) is not None
        with contextlib.suppress(AssertionError, PeerError):
            host.offer(second.images)
            host.order(gh.COMMIT, second.images)
        assert cluster.exit_status(1) == POWER_STATUS
    with blank(tmp_path) as cluster:
        if before_end != -50:  # in its commit: the others may have done theirs
            infer(cluster, first)
        gh.deploy(cluster.host_sockets[0], second.images)
        infer(cluster, second)


def test_a_key_is_wanted_where_one_is_compiled_in(tmp_path: Path, first: Plan):
    key = "a key of the user"
    with blank(tmp_path, build_generic(key=key)) as cluster:
        end = cluster.host_sockets[0]
        assert all(body[39] & 2 for body in identities(cluster))
        session = secrets.token_bytes(16)
        gh.adopt(end, DEVICES, session)
        host = gh.Host(end, DEVICES, session)
        assert {answer[1:3] for answer in host.offer(first.images).values()} == {b"\xff\x08"}
        deployment = gh.deployment_of(first.images)
        hmacs = [
            hmac.new(
                key.encode(),
                b"tflsplit deployment 1" + deployment + struct.pack("<I", len(image))
                + hashlib.sha256(image).digest(),
                "sha256",
            ).digest()
            for image in first.images
        ]  # fmt: skip
        held = host.offer(first.images, hmacs=hmacs)
        assert {answer[1:3] for answer in held.values()} == {bytes([gh.ACCEPTED, gh.PREPARED])}
