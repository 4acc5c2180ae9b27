# SPDX-License-Identifier: Apache-2.0
"""Every device in a process of its own gives what all of them give in one, byte for byte."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.splits import needs_litert, needs_tflm, tiny, tiny_split
from tflsplit.bundle import read_bundle
from tflsplit.errors import EngineError, LinkError, ModelError
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import Split, split_model
from tflsplit.runtime.engines import engine
from tflsplit.runtime.local import LocalCluster, assemble
from tflsplit.runtime.processes import ProcessCluster, Report, SocketTransport
from tflsplit.split.devices import tensor_labels
from tflsplit.verify import Case, make_cases


def cases_of(split: Split, count: int = 2) -> list[Case]:
    return list(make_cases(split.whole, count, seed=5))[3:]


def outputs(split: Split, reports: list[Report]) -> list[bytes]:
    labels = tensor_labels(split.whole)
    whole = assemble(split.whole, labels, split.devices, [r.outputs for r in reports])
    return [array.tobytes() for array in whole]


def in_process(split: Split, case: Case, engine_name: str) -> list[Report]:
    local = LocalCluster(split.devices, engine(engine_name)[1])
    local.infer(case.inputs)
    return [Report(d.outputs, d.sent_bytes, d.received_bytes) for d in local.devices]


@pytest.mark.parametrize(
    ("name", "ways", "engine_name"),
    [
        pytest.param("temporal", "auto", "tflm", marks=needs_tflm),
        pytest.param("mobilenet", "auto", "tflm", marks=needs_tflm),
        pytest.param("autoencoder", "in_channels", "litert", marks=needs_litert),
    ],
)
def test_processes_give_what_one_process_gives(name: str, ways: str, engine_name: str):
    split = tiny_split(name, 3, ways)
    with ProcessCluster(split.devices, engine_name) as cluster:
        for case in cases_of(split):
            apart, together = cluster.infer(case.inputs), in_process(split, case, engine_name)
            assert outputs(split, apart) == outputs(split, together)
            for one, other in zip(apart, together, strict=True):
                assert (one.sent_bytes, one.received_bytes) == (
                    other.sent_bytes,
                    other.received_bytes,
                )


@needs_tflm
def test_processes_move_what_plan_json_says(tmp_path: Path):
    bundle = read_bundle(bundle_of(tmp_path / "out", "ds_cnn", 2))
    (case,) = cases_of(tiny_split("ds_cnn", 2), 1)
    with ProcessCluster(bundle.devices, "tflm") as cluster:
        reports = cluster.infer(case.inputs)
    for entry, report in zip(bundle.document["devices"], reports, strict=True):
        assert (entry["sent_bytes"], entry["received_bytes"]) == (
            report.sent_bytes,
            report.received_bytes,
        )
        assert report.sent_bytes > 0


@needs_tflm
def test_a_process_that_died_is_named():
    split = tiny_split("temporal", 3)
    (case,) = cases_of(split, 1)
    with ProcessCluster(split.devices, "tflm") as cluster:
        cluster.infer(case.inputs)
        dead = cluster._processes[1]
        dead.kill()
        dead.join()
        with pytest.raises(LinkError, match=r"^the process of rank 1 has died of SIGKILL$"):
            cluster.infer(case.inputs)


@needs_tflm
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals to stop a process")
def test_a_process_that_hangs_is_named():
    split = tiny_split("temporal", 2)
    (case,) = cases_of(split, 1)
    with ProcessCluster(split.devices, "tflm", silence_seconds=3) as cluster:
        cluster.infer(case.inputs)
        pid = cluster._processes[1].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(LinkError, match=r"^the process of rank 1 does not answer$"):
            cluster.infer(case.inputs)


@needs_tflm
def test_what_a_device_raises_is_what_the_cluster_raises():
    """Not that its neighbours find it gone."""
    split = split_model(tiny("resnet"), Wishes(2, split="rows"))  # a copy of its own, to break
    (case,) = cases_of(split, 1)
    node = next(n for n in split.devices[1].graph.nodes if n.op == "TFLSPLIT_CONV_2D")
    node.attrs = node.attrs.replace(rounding=9)
    with (
        ProcessCluster(split.devices, "tflm") as cluster,
        pytest.raises(ModelError, match=r"^rank 1: TFLSPLIT_CONV_2D .*option 'rounding' is 9"),
    ):
        cluster.infer(case.inputs)


def test_no_processes_without_the_engine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="is not installed"):
        ProcessCluster(tiny_split("temporal", 2).devices, "tflm")


def test_too_many_sockets_are_said_and_none_is_left_open(monkeypatch: pytest.MonkeyPatch):
    made: list[socket.socket] = []
    real = socket.socketpair

    def scarce() -> tuple[socket.socket, socket.socket]:
        if len(made) >= 4:
            raise OSError(24, "Too many open files")
        pair = real()
        made.extend(pair)
        return pair

    monkeypatch.setattr(socket, "socketpair", scarce)
    with pytest.raises(LinkError, match=r"3 devices need 3 sockets.*ulimit -n 12.*--processes"):
        ProcessCluster(tiny_split("resnet", 3).devices, "tflm")
    assert [link.fileno() for link in made] == [-1] * 4


@pytest.fixture
def pair() -> tuple[SocketTransport, socket.socket]:
    ours, theirs = socket.socketpair()
    return SocketTransport(0, {3: ours}, silence_seconds=60), theirs


def test_a_box_travels_with_its_channel_and_length(pair: tuple[SocketTransport, socket.socket]):
    transport, far = pair
    other = SocketTransport(3, {0: far}, silence_seconds=60)
    data = np.arange(6, dtype=np.int32)
    other.post(7, 0, data)
    other.post(9, 0, data[:0])
    assert transport.take(9, 3) == b""
    assert transport.take(7, 3) == data.tobytes()


def test_silence_is_told_with_rank_and_channel():
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(LinkError, match=r"^rank 0: rank 3 is silent \(channel 8\)$"):
        SocketTransport(0, {3: ours}, silence_seconds=0.1).take(8, 3)


@needs_tflm
def test_a_process_that_starts_late_is_not_silent(monkeypatch: pytest.MonkeyPatch):
    """On a busy computer, one of many starts long after the first."""
    split = tiny_split("temporal", 2)
    (case,) = cases_of(split, 1)
    real = ProcessCluster._start

    def late(self: ProcessCluster, worker: Any, links: dict[int, socket.socket]) -> None:
        real(self, worker, links)
        if worker.part.rank == 1:
            pid = self._processes[1].pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            threading.Timer(4, os.kill, (pid, signal.SIGCONT)).start()

    monkeypatch.setattr(ProcessCluster, "_start", late)
    with ProcessCluster(split.devices, "tflm", silence_seconds=2) as cluster:
        cluster.infer(case.inputs)


def test_a_peer_that_goes_in_the_middle_of_a_box(pair: tuple[SocketTransport, socket.socket]):
    transport, far = pair
    far.sendall((8).to_bytes(4, "little") + (100).to_bytes(8, "little") + b"half")
    threading.Timer(0.05, far.close).start()
    with pytest.raises(LinkError, match=r"^rank 0: rank 3 has gone \(channel 8\)$"):
        transport.take(8, 3)
    with pytest.raises(LinkError, match=r"^rank 0: rank 3 has gone$"):
        transport.post(1, 3, np.zeros(1 << 22, np.int8))
