# SPDX-License-Identifier: Apache-2.0
"""``tflsplit cluster`` against devices behind a TCP port."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of, plan_of, rewrite_plan
from tests.soft_cluster import SoftCluster
from tests.splits import needs_tflm, tiny
from tflsplit.api import rewrite
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.cli.connecting import gateway_ports
from tflsplit.cluster import cluster_document, default_cluster
from tflsplit.errors import LinkError
from tflsplit.host import SocketStream, Stream, read_firmware_setup
from tflsplit.host import open_port as really_open
from tflsplit.host.firmware_json import default_setup
from tflsplit.host.known_boards import write_boards
from tflsplit.host.usb import UsbPort
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.runtime.engines import TflmProgram
from tflsplit.tflite import write_model
from tflsplit.verify import make_cases

pytestmark = needs_tflm


def relay(peer: socket.socket, gateway: SocketStream, ended: threading.Event) -> None:
    """Pass bytes both ways until an end closes.  One thread: a stream is not for two."""
    peer.settimeout(0.002)
    while not ended.is_set():
        try:
            data = peer.recv(4096)
            if not data:
                return
            gateway.send(data)
        except TimeoutError:
            pass
        except (OSError, LinkError):
            return
        try:
            peer.sendall(gateway.receive(0.002))
        except (OSError, LinkError):
            return


@contextmanager
def served(stream: SocketStream) -> Iterator[str]:
    """The URL of a port that leads to the other end of a stream."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        try:
            peer, _ = server.accept()
        except OSError:
            return
        with peer:
            relay(peer, stream, ended)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with server:
        try:
            yield f"socket://127.0.0.1:{server.getsockname()[1]}"
        finally:
            ended.set()
            server.shutdown(socket.SHUT_RDWR)  # wakes an accept
            thread.join(5)


@contextmanager
def behind_tcp(cluster: SoftCluster) -> Iterator[str]:
    """The URL of a port that leads to a cluster's gateway."""
    with cluster, served(cluster.host) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "plan", "autoencoder", 2)


def prepared(folder: Path) -> tuple[list[str], np.ndarray]:
    """An input file, as arguments, and the unsplit model's output for it."""
    bundle = read_bundle(folder)
    whole = fold_constants(bundle.model)
    *_, case = make_cases(whole, 1, seed=5)
    array = case.inputs[whole.inputs[0].name]
    np.save(folder.parent / "x.npy", array)
    return ["--input", str(folder.parent / "x.npy")], TflmProgram(whole).run([array])[0]


def soft_cluster(folder: Path, **changes) -> SoftCluster:
    bundle = read_bundle(folder)
    return SoftCluster(bundle, read_firmware_setup(folder, bundle.document), **changes)


def test_inference_over_tcp(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments, expected = prepared(folder)
    output, trace = tmp_path / "y.npy", tmp_path / "t.pftrace"
    with behind_tcp(soft_cluster(folder)) as url:
        code = main(["cluster", str(folder), "--port", url, *arguments, "--output", str(output),
                     "--loop", "3", "--trace", str(trace), "--json"])  # fmt: skip
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert np.array_equal(np.load(output), expected)
    assert document["inferences"] == len(document["seconds"]) == 3
    assert document["repeated"] == 0
    for planned, device in zip(plan_of(folder)["devices"], document["devices"], strict=True):
        assert device["board"] == "core_only"
        assert device["sent_bytes"] == planned["sent_bytes"]
        assert device["received_bytes"] == planned["received_bytes"]
    by_ends = {(wire["a"], wire["b"]): wire for wire in document["wires"]}
    assert set(by_ends) == {(0, 1), (1, 0), (0, 2), (2, 0)}
    # A frame costs 24 bytes of header, and more; input, output and control cross the same wires.
    assert by_ends[0, 1]["bytes"] > document["devices"][0]["sent_bytes"]
    if importlib.util.find_spec("perfetto") is not None:  # its messages read the trace
        from tests.report.test_perfetto import read, slices

        tracks = slices(read(trace.read_bytes()))
        assert [name for name, *_ in tracks["3 inferences"]] == [f"inference {i}" for i in range(3)]
        mine = [name for name, *_ in tracks["2 CPU (durations as reported)"]]
        assert mine.count("compute") == 3


def test_tables(folder: Path, capsys: pytest.CaptureFixture[str]):
    arguments, _ = prepared(folder)
    with behind_tcp(soft_cluster(folder)) as url:
        assert main(["cluster", str(folder), "--port", url, *arguments]) == 0
    out = capsys.readouterr().out
    for text in ("2 devices, ring", "core_only", "0 → 1", "host → 0", "1 inference in"):
        assert text in out


def test_a_wrong_device_ends_with_one_line_and_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    arguments, _ = prepared(folder)
    with behind_tcp(soft_cluster(folder)) as url:
        other = bundle_of(folder.parent / "other", "mobilenet", 2)
        more = ["--input", str(folder.parent / "z.npy")]
        np.save(folder.parent / "z.npy", np.zeros((1, 32, 32, 3), np.int8))
        assert main(["cluster", str(other), "--port", url, *more]) == 2
    error = capsys.readouterr().err
    assert error == "tflsplit: rank 0 runs another plan; flash it from this one\n"
    assert main(["cluster", str(folder), "--port", "socket://127.0.0.1:1", *arguments]) == 2
    assert "socket://127.0.0.1:1 cannot be opened" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--loop", "0"], ["--retries", "-1"], ["--timeout", "0"]])
def test_wrong_numbers(folder: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]):
    arguments, _ = prepared(folder)
    assert main(["cluster", str(folder), "--port", "x", *arguments, *wrong]) == 2
    assert "--loop must be at least 1" in capsys.readouterr().err


def test_a_failed_inference_is_repeated_if_asked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    arguments, _ = prepared(folder)
    cluster = soft_cluster(folder)

    def all_compute(devices) -> bool:
        return all(device is not None and device.is_computing for device in devices)

    cluster.when(all_compute, lambda: cluster.reset_now(1))
    with behind_tcp(cluster) as url:
        code = main(["cluster", str(folder), "--port", url, *arguments, "--retries", "1", "--json"])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert json.loads(captured.out)["repeated"] == 1
    assert "rank 1 was reset during the inference" in captured.err


def test_without_a_port_every_port_that_can_be_the_gateway_is_tried(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    arguments, _ = prepared(folder)
    there: list[UsbPort] = []
    monkeypatch.setattr("tflsplit.host.usb.usb_ports", lambda: there)
    assert main(["cluster", str(folder), *arguments]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "no board is plugged in here; name the gateway's port with --port" in said
    opened: list[str] = []

    def open_port(name: str, baud: int) -> Stream:
        opened.append(name)
        return really_open(name, baud)

    monkeypatch.setattr("tflsplit.cli.connecting.open_port", open_port)
    with behind_tcp(soft_cluster(folder)) as url:
        there += [
            UsbPort("/dev/a-modem", (0x1199, 0x9071)),
            UsbPort("socket://127.0.0.1:1", (0x2E8A, 0x00C0), "of another board"),
            UsbPort(url, (0x16C0, 0x0483), "1234"),
        ]
        assert main(["cluster", str(folder), *arguments]) == 0
        assert opened == ["socket://127.0.0.1:1", url], "the modem is not even opened"


# ---- A port for every device ----


@contextmanager
def all_behind_tcp(folder: Path) -> Iterator[list[str]]:
    """The URLs of all devices of firmware with direct input, by rank."""
    bundle = read_bundle(folder)
    assert main(["firmware", str(folder), "--direct", "--board", "host"]) == 0
    setup = read_firmware_setup(folder, bundle.document)
    with SoftCluster(bundle, setup) as cluster, ExitStack() as stack:
        yield [stack.enter_context(served(stream)) for stream in cluster.hosts.values()]


def named(urls: list[str]) -> list[str]:
    return [word for url in urls for word in ("--port", url)]


def test_input_straight_to_every_device(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments, expected = prepared(folder)
    output = tmp_path / "y.npy"
    with all_behind_tcp(folder) as urls:
        assert "host at every rank" in capsys.readouterr().out
        code = main(["cluster", str(folder), *named(urls[::-1]), *arguments,
                     "--output", str(output), "--json"])  # fmt: skip
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert np.array_equal(np.load(output), expected)
    ends = {(wire["a"], wire["b"]) for wire in json.loads(captured.out)["wires"]}
    assert ends == {(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)}


def test_a_streamed_input(folder: Path, capsys: pytest.CaptureFixture[str]):
    out = folder.parent / "streamed"
    model_of = bundle_of(folder.parent / "mobilenet", "mobilenet", 2) / "model.tflite"
    arguments = ["rewrite", str(model_of), "-n", "2", "--objective", "ram", "--stream"]
    assert main([*arguments, "-o", str(out)]) == 0
    assert read_bundle(out).document["stream"] is True
    assert main(["verify", str(out)]) == 0
    given, expected = prepared(out)
    with behind_tcp(soft_cluster(out)) as url:
        output = folder.parent / "y.npy"
        arguments = ["cluster", str(out), "--port", url, *given, "--output", str(output)]
        assert main(arguments) == 0, capsys.readouterr().err
    assert np.array_equal(np.load(output), expected)


def test_a_port_too_few_and_a_port_too_many(folder: Path, capsys: pytest.CaptureFixture[str]):
    arguments, _ = prepared(folder)
    with all_behind_tcp(folder) as urls:
        assert main(["cluster", str(folder), *named(urls[1:]), *arguments]) == 2
    error = capsys.readouterr().err
    assert "rank 0 has no port here: this firmware takes each device's input over its own" in error
    assert "leads to rank 1" in error
    through_rank_0 = bundle_of(folder.parent / "through rank 0", "autoencoder", 2)
    assert main(["firmware", str(through_rank_0), "--board", "host"]) == 0
    assert main(["cluster", str(through_rank_0), *named(["a", "b"]), *arguments]) == 2
    assert "2 ports are named, but the firmware of this plan has the host at rank 0 only" in (
        capsys.readouterr().err
    )


def test_all_usb_ports_are_asked_who_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    arguments, _ = prepared(folder)
    with all_behind_tcp(folder) as urls:
        ports = [urls[1], "socket://127.0.0.1:1", urls[0]]
        monkeypatch.setattr("tflsplit.cli.connecting.gateway_ports", lambda *_: ports)
        assert main(["cluster", str(folder), *arguments]) == 0, capsys.readouterr().err
    monkeypatch.setattr("tflsplit.cli.connecting.gateway_ports", lambda *_: [])
    assert main(["cluster", str(folder), *arguments]) == 2
    assert "no port was found" in capsys.readouterr().err


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Three teams of one device."""
    model = tmp_path / "model.tflite"
    model.write_bytes(write_model(tiny("autoencoder")))
    split = rewrite(model, 3, objective="throughput")
    assert (split.cluster.teams, split.world_size) == (3, 1)
    return split.save(tmp_path / "plan").bundle.folder


@contextmanager
def teams_behind_tcp(folder: Path, count: int) -> Iterator[list[str]]:
    with ExitStack() as stack:
        yield [stack.enter_context(behind_tcp(soft_cluster(folder))) for _ in range(count)]


def test_each_team_has_a_port(
    copies: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    arguments, expected = prepared(copies)
    output = copies.parent / "y.npy"
    arguments += ["--output", str(output), "--loop", "6", "--json"]
    with teams_behind_tcp(copies, 3) as urls:
        assert main(["cluster", str(copies), *named(urls), *arguments]) == 0
        document = json.loads(capsys.readouterr().out)
        assert np.array_equal(np.load(output), expected)
        assert document["inferences"] == sum(document["teams"]) == 6
        assert len(document["teams"]) == 3
        assert all(document["teams"])
        assert document["repeated"] == 0
    with teams_behind_tcp(copies, 2) as urls:  # any that answer are taken
        ports = [urls[1], "socket://127.0.0.1:1", urls[0]]
        monkeypatch.setattr("tflsplit.cli.connecting.gateway_ports", lambda *_: ports)
        assert main(["cluster", str(copies), *arguments[:-1]]) == 0
    said = capsys.readouterr()
    assert "2 teams of 1 device" in said.out
    assert "inferences of each team: " in said.out
    assert "2 of the 3 teams that the plan is for" in said.err


def test_teams_whose_devices_all_have_ports_are_named_in_turn(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    arguments, _ = prepared(folder)
    pairs = cluster_document(replace(default_cluster(2), direct=True, teams=2))
    with all_behind_tcp(folder) as first, all_behind_tcp(folder) as second:
        rewrite_plan(folder, lambda plan: plan.update(cluster=pairs))
        ports = named([*first[::-1], *second])
        assert main(["cluster", str(folder), *ports, *arguments, "--loop", "4"]) == 0
        assert "2 teams of 2 devices, ring" in capsys.readouterr().out
    assert main(["cluster", str(folder), *arguments]) == 2
    assert "those of a team after those of another" in capsys.readouterr().err
    assert main(["cluster", str(folder), *named(["a", "b", "c"]), *arguments]) == 2
    assert "3 ports for teams that have 2 each" in capsys.readouterr().err


def test_the_gateways_own_board_is_tried_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    bundle = read_bundle(folder)
    ports = [UsbPort(f"/dev/{n}", (0x16C0, 0x0483), n) for n in ("11", "22")]
    others = [UsbPort("/dev/pico", (0x2E8A, 0x00C0), "33")]
    monkeypatch.setattr("tflsplit.host.usb.usb_ports", lambda: others + ports)
    setup = replace(default_setup(bundle.document), devices=({"board": "teensy41"},) * 9)
    assert gateway_ports(bundle, setup) == ["/dev/11", "/dev/22"]
    absent = replace(setup, devices=({"board": "nano33ble"},) * 9)
    with pytest.raises(LinkError, match="no nano33ble is plugged in here"):
        gateway_ports(bundle, absent)
    write_boards(folder, {0: "22", 1: "11"})
    assert gateway_ports(bundle, setup) == ["/dev/22", "/dev/11"]
    emulated = replace(setup, devices=({"board": "host"},) * 9)
    with pytest.raises(LinkError, match="no board to plug in: run it with `tflsplit emulate"):
        gateway_ports(bundle, emulated)
