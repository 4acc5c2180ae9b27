# SPDX-License-Identifier: Apache-2.0
"""The self-tests of tflm_app/selftest on clusters of host processes and of emulated boards."""

import socket
import time
from threading import Thread
from typing import Any

import pytest

from tests.firmware.rings import (
    FAULTS,
    TIMEOUT_SECONDS,
    devices,
    frames_resent,
    run,
    run_on_ethernet,
)
from tflsplit.emulate import HOST, Cluster, FaultModel, Port, Wire, line, ring
from tflsplit.emulate.wiring import NEXT_LINK, PREVIOUS_LINK

ALL_EMULATED = ["mps2_an386", "mps2_an500", "mps2_an505", "mps3_an547"]


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_bytes_round_a_ring_of_processes(platformio: Any, world_size: int):
    run(platformio, "uart_ring", ["host"] * world_size)


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize("world_size", [2, 4, 8])
def test_all_gather_over_processes(platformio: Any, world_size: int):
    run(platformio, "all_gather", ["host"] * world_size)


@pytest.mark.usefixtures("host_compiler")
@pytest.mark.parametrize("seed", range(3))
def test_all_gather_over_processes_with_faults(platformio: Any, seed: int):
    ends = run(platformio, "all_gather", ["host"] * 4, faults=FAULTS, seed=seed)
    assert frames_resent(ends) > 0


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_bytes_round_a_ring_of_all_emulated_boards(platformio: Any):
    run(platformio, "uart_ring", ALL_EMULATED)


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_bytes_round_an_emulated_board_wired_to_itself(platformio: Any):
    run(platformio, "uart_ring", ["mps2_an500"])


def relay(source: socket.socket, sink: socket.socket) -> None:
    while data := source.recv(65536):
        sink.sendall(data)


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_bytes_from_an_emulated_board_through_this_process(platformio: Any):
    (program,) = platformio.build("uart_ring_mps2_an500")
    wires = [Wire(Port(0, NEXT_LINK), HOST), Wire(Port(0, PREVIOUS_LINK), HOST)]
    with Cluster(devices([program], ["mps2_an500"]), wires) as cluster:
        out, into = cluster.host_sockets
        threads = [Thread(target=relay, args=ends) for ends in ((out, into), (into, out))]
        for thread in threads:
            thread.start()
        (end,) = cluster.wait(TIMEOUT_SECONDS)
        for thread in threads:
            thread.join(TIMEOUT_SECONDS)
    assert end.status == 0, end.console


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_lost_bytes_do_not_pass_the_ring_test(platformio: Any):
    (program,) = platformio.build("uart_ring_mps2_an500")
    boards = devices([program] * 2, ["mps2_an500"] * 2, silence_ms=1500)
    model = FaultModel(drops_per_byte=1e-3, max_run_bytes=1, first_bytes=1000)
    with Cluster(boards, ring(2), faults=model) as cluster:
        ends = cluster.wait(TIMEOUT_SECONDS)
    assert [end.status for end in ends] == [1, 1]
    assert ends[0].console[-1].startswith("FAIL uart_ring: wrong byte at byte ")


@pytest.mark.usefixtures("arm_compiler", "qemu")
@pytest.mark.parametrize("boards", [["mps2_an500"] * 4, ALL_EMULATED], ids=["m7", "mixed"])
def test_all_gather_over_emulated_boards(platformio: Any, boards: list[str]):
    ends = run(platformio, "all_gather", boards)
    assert frames_resent(ends) == 0


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_all_gather_over_emulated_boards_with_faults(platformio: Any):
    ends = run(platformio, "all_gather", ["mps2_an500"] * 4, faults=FAULTS, seed=1)
    assert frames_resent(ends) > 0


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_all_gather_with_counted_instructions(platformio: Any):
    run(platformio, "all_gather", ["mps2_an500"] * 2, count_instructions=True)


@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_a_board_that_is_reset_is_noticed_and_named(platformio: Any):
    (program,) = platformio.build("all_gather_mps2_an500")
    boards = devices([program] * 2, ["mps2_an500"] * 2, rounds=10_000, timeout_ms=10_000)
    with Cluster(boards, line(2)) as cluster:
        for rank in range(2):
            assert cluster.console(rank).wait_for("READY", TIMEOUT_SECONDS)
        time.sleep(0.5)  # well inside the rounds, of which there are far too many to finish
        cluster.reset(1)
        failure = cluster.console(0).wait_for("FAIL", TIMEOUT_SECONDS)
    assert failure is not None
    assert "rank 1 (link 0) was reset during the inference" in failure


@pytest.mark.usefixtures("host_compiler", "arm_compiler", "qemu")
def test_all_gather_of_a_board_and_programs_at_one_switch(platformio: Any):
    """A board's LAN9118, for most a frame once, and a switch that loses some."""
    ends = run_on_ethernet(platformio, ["host", "mps2_an500", "host"], FaultModel(1e-4))
    assert frames_resent(ends) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("arm_compiler", "qemu")
def test_all_gather_of_every_kind_of_board_at_one_switch(platformio: Any):
    assert frames_resent(run_on_ethernet(platformio, ALL_EMULATED)) == 0
