# SPDX-License-Identifier: Apache-2.0
"""The host against devices that are right, wrong, missing, silent, reset: by rank, by name."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.soft_cluster import SoftCluster, check_all, quick_setup
from tests.splits import needs_tflm
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.emulate import FaultModel, Port, core_device
from tflsplit.emulate.core_device import CoreDevice
from tflsplit.errors import EngineError, LinkError
from tflsplit.host import Coordinator, Inference, SocketStream
from tflsplit.host.figures import check_traffic, wire_figures
from tflsplit.verify import Case
from tflsplit.wire.control import CONTROL_VERSION, Ask, pack, unpack
from tflsplit.wire.topology import NEXT_PORT, PREVIOUS_PORT, Topology

pytestmark = needs_tflm

FINGERPRINT = "0123456789abcdef" * 2
NOISY = FaultModel(flips_per_byte=2e-4, drops_per_byte=1e-4, duplicates_per_byte=1e-4)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(bundle_of(tmp_path_factory.mktemp("host") / "plan", "autoencoder", 3))


def infer(host: Coordinator, case: Case) -> Inference:
    return host.infer(case.inputs, 20)


@pytest.mark.parametrize("topology", [Topology.RING, Topology.LINE, Topology.STAR])
def test_inferences_are_right(bundle: Bundle, cases: list[Case], expected, topology: Topology):
    setup = quick_setup(bundle, topology=topology, gateway=1 if topology is Topology.LINE else 0)
    with SoftCluster(bundle, setup) as cluster, Coordinator(cluster.host, bundle, setup) as host:
        infos = host.connect(20)
        assert [info.board for info in infos] == ["core_only"] * 3
        check_all(host, bundle, cases, expected)


def test_damaged_frames_are_sent_again(bundle: Bundle, cases: list[Case], expected):
    with (
        SoftCluster(bundle, faults=NOISY) as cluster,
        Coordinator(cluster.host, bundle, cluster.setup) as host,
    ):
        host.connect(20)
        before = host.links()
        for _ in range(4):
            check_all(host, bundle, cases, expected)
        wires = wire_figures(before, host.links(), 4 * len(cases))
    assert cluster.injected() > 10
    assert sum(wire.resent for wire in wires) > 0
    assert {(wire.a, wire.b) for wire in wires} >= {(3, 0), (0, 3), (0, 1), (1, 2), (2, 0)}


def error_at_connect(cluster: SoftCluster, bundle: Bundle) -> str:
    with (
        cluster,
        Coordinator(cluster.host, bundle, cluster.setup) as host,
        pytest.raises(LinkError) as raised,
    ):
        host.connect(4)
    assert raised.value.exit_code == 2
    return str(raised.value)


def other_plan(bundle: Bundle) -> SoftCluster:
    return SoftCluster(bundle, quick_setup(bundle, fingerprint=FINGERPRINT))


def test_a_device_of_another_plan_is_named(bundle: Bundle):
    wrong = other_plan(bundle).setups[1]
    text = error_at_connect(SoftCluster(bundle, changes={1: wrong}), bundle)
    assert "rank 1 runs another plan; flash it from this one [seen by rank 0]" in text
    assert "(2 of 3 devices answer)" in text


def test_a_gateway_of_another_plan_is_named(bundle: Bundle):
    wrong = other_plan(bundle).setups[0]
    text = error_at_connect(SoftCluster(bundle, changes={0: wrong}), bundle)
    assert text == "rank 0 runs another plan; flash it from this one"


def test_a_missing_device_is_named(bundle: Bundle):
    text = error_at_connect(SoftCluster(bundle, changes={2: None}), bundle)
    assert "rank 2 does not answer on port 0 of rank 0: it has no power or" in text
    assert "rank 1 does" not in text


def test_behind_a_missing_device_of_a_line_only_that_one_is_blamed(bundle: Bundle):
    setup = quick_setup(bundle, topology=Topology.LINE)
    text = error_at_connect(SoftCluster(bundle, setup, {1: None}), bundle)
    assert text.startswith("rank 1 does not answer")
    assert "rank 2" not in text
    assert "(1 of 3 devices answer)" in text


def test_exchanged_devices_are_named(bundle: Bundle):
    ones = SoftCluster(bundle).setups
    text = error_at_connect(SoftCluster(bundle, changes={1: ones[2], 2: ones[1]}), bundle)
    assert text.startswith("the cables of rank 0 are in each other's ports: port 0 belongs to")
    assert "; or the boards of ranks 1 and 2 are exchanged (1 of 3 devices answer)" in text


def test_a_board_in_the_wrong_place_is_named(bundle: Bundle):
    two = SoftCluster(bundle).setups[2]
    text = error_at_connect(SoftCluster(bundle, changes={1: two}), bundle)
    assert text.startswith(
        "rank 2 is wired to port 1 of rank 0, where rank 1 belongs: exchange the boards, or flash "
        "them anew"
    )


def exchange_ports(cluster: SoftCluster, rank: int) -> None:
    """Put each of the two cables of a ring's rank into the other's port."""
    peers = cluster._peers
    ours = [Port(rank, PREVIOUS_PORT), Port(rank, NEXT_PORT)]
    theirs = [peers.pop(port) for port in ours]
    for port, end in zip(ours, reversed(theirs), strict=True):
        peers[port], peers[end] = end, port


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_cables_in_each_other_s_ports_are_named(bundle: Bundle, rank: int):
    cluster = SoftCluster(bundle)
    exchange_ports(cluster, rank)
    text = error_at_connect(cluster, bundle)
    near = [(rank - 1) % 3, (rank + 1) % 3]
    assert text.startswith(
        f"the cables of rank {rank} are in each other's ports: port 0 belongs to port 1 of rank "
        f"{near[0]} and port 1 belongs to port 0 of rank {near[1]}"
    )


def test_a_cable_in_the_wrong_device_is_named(bundle: Bundle):
    wrong = SoftCluster(bundle, quick_setup(bundle, gateway=1)).setups[1]
    text = error_at_connect(SoftCluster(bundle, changes={1: wrong}, host_at=1), bundle)
    assert "leads to rank 1, but the firmware of this plan has the host at rank 0" in text


CUT = (
    "rank 1 (port 1) and rank 2 (port 0) do not hear each other, and both run: check the cable "
    "between them (3 of 3 devices answer)"
)


def cut(cluster: SoftCluster) -> None:
    """Between ranks 1 and 2."""
    peers = cluster._peers
    for end in [port for port in peers if port.rank == 1 and peers[port].rank == 2]:
        del peers[peers.pop(end)]


def test_a_wire_that_is_cut_is_named(bundle: Bundle):
    cluster = SoftCluster(bundle)
    cut(cluster)
    assert error_at_connect(cluster, bundle) == CUT


def test_a_wire_that_is_cut_in_an_inference_is_named_at_once(bundle: Bundle, cases: list[Case]):
    with SoftCluster(bundle) as cluster, Coordinator(cluster.host, bundle, cluster.setup) as host:
        host.connect(20)
        cluster.when(all_compute, partial(cut, cluster))
        with pytest.raises(LinkError) as raised:
            infer(host, cases[0])
    assert str(raised.value) == CUT


@pytest.fixture
def line() -> Iterator[tuple[socket.socket, SocketStream]]:
    ours, theirs = socket.socketpair()
    stream = SocketStream(ours, "the line")
    yield theirs, stream
    stream.close()
    theirs.close()


def test_a_dead_port_is_told_from_a_port_that_talks_nonsense(bundle: Bundle, line):
    theirs, stream = line
    host = Coordinator(stream, bundle, quick_setup(bundle))
    with pytest.raises(LinkError, match=r"rank 0, the gateway, .* the line .* not one byte came"):
        host.connect(0.3)
    theirs.sendall(os.urandom(300).replace(b"\0", b"x") + b"\0")
    with pytest.raises(LinkError, match=r"are no frames: check the baud rate and the firmware"):
        host.connect(0.3)
    theirs.close()
    with pytest.raises(LinkError, match="the line is gone"):
        host.connect(0.3)


def test_a_broken_device_tells_why(bundle: Bundle):
    cluster = SoftCluster(bundle)
    bad = replace(cluster.setups[2], engine_name="nothing")
    text = error_at_connect(SoftCluster(bundle, changes={2: bad}), bundle)
    assert text.startswith("rank 2 refuses to run: ")
    assert "is not installed" in text


def test_a_device_reset_during_an_inference_is_named_and_the_next_is_right(
    bundle: Bundle, cases: list[Case], expected
):
    with SoftCluster(bundle) as cluster, Coordinator(cluster.host, bundle, cluster.setup) as host:
        host.connect(20)
        check_all(host, bundle, cases, expected)
        for position in (1, 0, 2):
            cluster.when(all_compute, partial(cluster.reset_now, position))
            with pytest.raises(LinkError, match=f"rank {position} was reset during the inference"):
                infer(host, cases[0])
            check_all(host, bundle, cases, expected)


def all_compute(devices: Sequence[CoreDevice | None]) -> bool:
    return all(device is not None and device.is_computing for device in devices)


@pytest.mark.parametrize("position", [0, 1])
def test_a_device_that_falls_silent_is_named_and_may_come_back(
    bundle: Bundle, cases: list[Case], expected, position: int
):
    with SoftCluster(bundle) as cluster, Coordinator(cluster.host, bundle, cluster.setup) as host:
        host.connect(20)
        cluster.when(all_compute, partial(cluster.silent.add, position))
        with pytest.raises(LinkError, match=rf"rank {position}\b.*does not answer"):
            infer(host, cases[0])
        with pytest.raises(LinkError, match=f"rank {position}"):
            host.connect(1.5)
        cluster.silent.clear()
        check_all(host, bundle, cases, expected)


def test_a_failing_operator_is_told_in_its_own_words(
    bundle: Bundle, cases: list[Case], expected, monkeypatch: pytest.MonkeyPatch
):
    with SoftCluster(bundle) as cluster, Coordinator(cluster.host, bundle, cluster.setup) as host:
        host.connect(20)
        device = cluster.devices[1]
        assert device is not None
        graph = device._computation
        assert graph is not None

        def fail(_):
            raise EngineError("TFLSPLIT_CONV_2D cannot go on")
            yield

        with monkeypatch.context() as patch:
            patch.setattr(graph, "infer", fail)
            with pytest.raises(LinkError, match=r"^rank 1: TFLSPLIT_CONV_2D cannot go on$"):
                infer(host, cases[0])
        check_all(host, bundle, cases, expected)


def test_the_host_gives_up_by_name(
    bundle: Bundle, cases: list[Case], expected, monkeypatch: pytest.MonkeyPatch
):
    with SoftCluster(bundle) as cluster, Coordinator(cluster.host, bundle, cluster.setup) as host:
        host.connect(20)
        with monkeypatch.context() as patch:
            patch.setattr(cluster.devices[2], "_on_start", lambda _: None)
            with pytest.raises(LinkError, match=r"rank [02] .*did not deliver in time"):
                host.infer(cases[0].inputs, 0.7)
        check_all(host, bundle, cases, expected)


def test_a_second_host_goes_on_where_the_first_stopped(bundle: Bundle, cases, expected):
    with SoftCluster(bundle) as cluster:
        first = Coordinator(cluster.host, bundle, cluster.setup)
        first.connect(20)
        check_all(first, bundle, cases, expected)
        second = Coordinator(cluster.host, bundle, cluster.setup)
        infos = second.connect(20)
        assert all(info.inferences == len(cases) for info in infos)
        assert {info.last_epoch for info in infos} == {len(cases)}
        check_all(second, bundle, cases, expected)


def test_answers_to_earlier_questions_do_not_count(bundle: Bundle):
    with SoftCluster(bundle) as cluster, Coordinator(cluster.host, bundle, cluster.setup) as host:
        host.connect(20)
        inbox = host.inbox
        old = inbox.infos[1]
        assert inbox.ask(Ask.INFO, lambda: 1 in inbox.infos, 5, [1])
        assert inbox.infos[1].token != old.token
        inbox.infos.clear()
        inbox._on_message(1, old)
        inbox._on_message(3, replace(old, token=inbox.infos[1].token if inbox.infos else 0))
        assert 1 not in inbox.infos
        assert 3 not in inbox.infos


def test_traffic_that_is_not_the_plans_is_refused(bundle: Bundle, cases: list[Case]):
    with SoftCluster(bundle) as cluster, Coordinator(cluster.host, bundle, cluster.setup) as host:
        reports = list(infer(host, cases[0]).reports)
    reports[1] = replace(reports[1], sent_bytes=reports[1].sent_bytes + 1)
    with pytest.raises(Exception, match=r"rank 1 sent and received .* but plan\.json says"):
        check_traffic(bundle.document, reports)


def test_a_folder_without_firmware_json_has_the_default_wiring(tmp_path: Path, bundle: Bundle):
    setup = Coordinator(SocketStream(socket.socketpair()[0]), bundle).setup
    assert (setup.topology, setup.gateway, setup.world_size) == (Topology.RING, 0, 3)


@pytest.mark.parametrize("faults", [None, NOISY])
def test_two_in_flight_are_right(bundle: Bundle, cases: list[Case], expected, faults):
    with (
        SoftCluster(bundle, faults=faults) as cluster,
        Coordinator(cluster.host, bundle, cluster.setup) as host,
    ):
        host.connect(20)
        order = [index % len(cases) for index in range(9)]
        outcomes = host.infer_each((cases[index].inputs for index in order), 20, in_flight=2)
        for index, outcome in zip(order, outcomes, strict=True):
            assert isinstance(outcome, Inference)
            for got, want in zip(outcome.outputs, expected[index], strict=True):
                assert (got == want).all()
            check_traffic(bundle.document, outcome.reports)
        check_all(host, bundle, cases, expected)  # and one at a time behind them
        with pytest.raises(LinkError, match="one or two"):
            next(host.infer_each([cases[0].inputs], 20, in_flight=3))


def test_of_two_in_flight_the_second_is_begun_anew_behind_one_that_failed(
    bundle: Bundle, cases: list[Case], expected
):
    """A device is reset while both are under way."""
    with (
        SoftCluster(bundle) as cluster,
        Coordinator(cluster.host, bundle, cluster.setup) as host,
    ):
        host.connect(20)
        inputs = [cases[index % len(cases)].inputs for index in range(5)]
        outcomes = []
        for outcome in host.infer_each(inputs, 20, in_flight=2):
            outcomes.append(outcome)
            if len(outcomes) == 1:
                cluster.reset(2)
        lost = [index for index, each in enumerate(outcomes) if isinstance(each, LinkError)]
        assert len(outcomes) == 5
        assert lost in ([], [1], [2])  # the first noticed it, or was over by then; one at most
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, Inference):
                want = expected[index % len(cases)]
                assert all((a == b).all() for a, b in zip(outcome.outputs, want, strict=True))
        assert all("rank 2 was reset" in str(outcomes[index]) for index in lost)


def test_devices_of_another_version_are_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    """They take no QUERY of this version, and this host no INFO of theirs."""

    def older(payload: bytes):
        return unpack(bytes([CONTROL_VERSION]) + payload[1:]) if payload[:1] == b"\3" else None

    monkeypatch.setattr(core_device, "unpack", older)
    monkeypatch.setattr(core_device, "pack", lambda message: b"\3" + pack(message)[1:])
    with (
        SoftCluster(bundle) as cluster,
        Coordinator(cluster.host, bundle, cluster.setup) as host,
        pytest.raises(LinkError, match=r"rank 0 speaks version 3, .* this computer version 4: gen"),
    ):
        host.connect(3)
