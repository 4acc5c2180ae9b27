# SPDX-License-Identifier: Apache-2.0
"""The launcher with devices that are small Python programs; emulated boards: tests/firmware."""

import os
import socket
import stat
import sys
import time
from pathlib import Path

import pytest

from tflsplit.emulate import HOST, Cluster, Device, FaultModel, Port, Wire, line, ring
from tflsplit.emulate.machines import MACHINES, command
from tflsplit.errors import ClusterError, LinkError

PRELUDE = """
import os, signal, sys, time
given = dict(word.split("=", 1) for word in sys.argv[1:])
rank, world_size = int(given["rank"]), int(given["world_size"])
def fd(link): return int(given[f"link{link}"].removeprefix("fd:"))
"""


def program(folder: Path, body: str) -> Path:
    path = folder / "device.py"
    path.write_text(f"#!{sys.executable}\n{PRELUDE}{body}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def host_devices(folder: Path, count: int, body: str) -> list[Device]:
    return [Device(program(folder, body), "host")] * count


def open_descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_devices_get_rank_arguments_and_wires(tmp_path: Path):
    body = """
os.write(fd(1), bytes([rank]))
print("got", os.read(fd(0), 1)[0], "of", world_size, given["word"], flush=True)
sys.exit(10 + rank)
"""
    devices = [Device(program(tmp_path, body), "host", {"word": "hello"})] * 3
    with Cluster(devices, ring(3)) as cluster:
        ends = cluster.wait(20)
    assert [end.status for end in ends] == [10, 11, 12]
    assert [end.console for end in ends] == [(f"got {(r - 1) % 3} of 3 hello",) for r in range(3)]


def test_the_host_holds_the_gateway_wire(tmp_path: Path):
    body = "os.write(fd(3), os.read(fd(3), 100)[::-1])"
    with Cluster(host_devices(tmp_path, 1, body), line(1, gateway=0)) as cluster:
        (gateway,) = cluster.host_sockets
        assert cluster.exit_status(0) is None
        gateway.settimeout(20)
        gateway.sendall(b"abc")
        assert gateway.recv(100) == b"cba"
        assert cluster.wait(20)[0].status == 0
        assert cluster.exit_status(0) == 0


def test_a_wire_with_faults_harms_and_counts(tmp_path: Path):
    body = """
if rank == 0: os.write(fd(1), bytes(1000))
else: print(sum(bin(byte).count("1") for byte in os.read(fd(0), 1000)), flush=True)
"""
    (wire,) = line(2)
    model = FaultModel(flips_per_byte=1.0)
    with Cluster(host_devices(tmp_path, 2, body), [wire], faults={wire: model}) as cluster:
        ends = cluster.wait(20)
        forward, backward = cluster.fault_counts()[wire]
    assert int(ends[1].console[0]) == 1000
    assert (forward.flips, backward.bytes) == (1000, 0)


def test_lines_are_reported_while_the_devices_run(tmp_path: Path):
    seen: list[tuple[int, str]] = []
    body = "print('one', flush=True); os.read(fd(3), 1)"
    devices = host_devices(tmp_path, 1, body)
    with Cluster(devices, line(1, gateway=0), on_line=lambda *line: seen.append(line)) as cluster:
        assert cluster.console(0).wait_for("on", 20) == "one"
        assert cluster.console(0).wait_for("two", 0.05) is None
        cluster.host_sockets[0].sendall(b"!")
        cluster.wait(20)
    assert seen == [(0, "one")]


def test_who_does_not_end_in_time_is_named(tmp_path: Path):
    body = "print('waiting', flush=True)\nif rank == 1: time.sleep(60)"
    with Cluster(host_devices(tmp_path, 3, body), []) as cluster:
        for rank in range(3):
            cluster.console(rank).wait_for("waiting", 20)
        with pytest.raises(LinkError, match=r"still running: rank 1, last line 'waiting'$"):
            cluster.wait(1.0)


def test_leaving_ends_even_a_stubborn_device(tmp_path: Path):
    body = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(60)
"""
    with Cluster(host_devices(tmp_path, 1, body), []) as cluster:
        pid = int(cluster.console(0).wait_for("", 20) or 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_error_at_start_leaves_nothing_behind(tmp_path: Path):
    alive = Device(program(tmp_path, "print(os.getpid(), flush=True); time.sleep(60)"), "host")
    broken = Device(tmp_path / "device.py", "teensy41")
    before = open_descriptors()
    cluster = Cluster([alive, broken], line(2))
    with pytest.raises(ClusterError, match="'teensy41' cannot be emulated; boards that can: host"):
        cluster.__enter__()
    assert open_descriptors() == before


def test_a_killed_device_shows_to_its_neighbour(tmp_path: Path):
    body = """
if rank == 0: time.sleep(60)
print("end" if os.read(fd(0), 1) == b"" else "data", flush=True)
"""
    with Cluster(host_devices(tmp_path, 2, body), line(2)) as cluster:
        cluster.kill(0)
        ends = cluster.wait(20)
    assert ends[0].status == -9
    assert ends[1].console == ("end",)


def test_a_host_process_has_no_reset_button(tmp_path: Path):
    with (
        Cluster(host_devices(tmp_path, 1, "time.sleep(60)"), []) as cluster,
        pytest.raises(ClusterError, match=r"rank 0 .* kill it"),
    ):
        cluster.reset(0)


def test_a_missing_program_is_named(tmp_path: Path):
    with pytest.raises(ClusterError, match=r"rank 0: there is no program .*none\.elf; build it"):
        Cluster([Device(tmp_path / "none.elf", "host")], [])


def test_a_device_may_be_wired_to_the_host_on_every_link(tmp_path: Path):
    body = "for link in range(4): os.write(fd(link), bytes([65 + link]))"
    wires = [Wire(Port(0, link), HOST) for link in range(4)]
    with Cluster(host_devices(tmp_path, 1, body), wires) as cluster:
        assert [end.recv(1) for end in cluster.host_sockets] == [b"A", b"B", b"C", b"D"]


def test_arguments_that_cannot_be_passed_are_refused(tmp_path: Path):
    with pytest.raises(ClusterError, match="'name=a b' contains a space"):
        command("host", tmp_path, {}, {"name": "a b"})


def test_a_missing_emulator_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="apt-get install qemu-system-arm"):
        command(next(iter(MACHINES)), tmp_path, {}, {})


def test_starts_and_ends_leak_no_descriptor():
    devices = [Device(Path("/bin/true"), "host")] * 2
    if not devices[0].program.exists():
        pytest.skip("needs /bin/true")
    before = open_descriptors()
    for _ in range(25):
        with Cluster(devices, ring(2), faults=FaultModel()) as cluster:
            cluster.wait(20)
    assert open_descriptors() == before


def test_sockets_are_connected_before_a_device_starts(tmp_path: Path):
    body = "time.sleep(0.2); print(os.read(fd(3), 5).decode(), flush=True)"
    with Cluster(host_devices(tmp_path, 1, body), line(1, gateway=0)) as cluster:
        cluster.host_sockets[0].sendall(b"early")
        begin = time.monotonic()
        assert cluster.wait(20)[0].console == ("early",)
        assert time.monotonic() - begin < 20
    assert isinstance(cluster.host_sockets[0], socket.socket)
