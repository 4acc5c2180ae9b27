# SPDX-License-Identifier: Apache-2.0
"""``tflsplit emulate --native --blank N``, and the port that leads to the boards."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.native import needs_cxx, needs_wheel_reader
from tflsplit.cli import main
from tflsplit.deploy.explore import explore
from tflsplit.deploy.words import topology_words
from tflsplit.emulate.blank import Port
from tflsplit.errors import ClusterError
from tflsplit.host import open_port


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--blank", "3"], "--blank goes with --native"),
        (["x", "--native", "--blank", "3"], "without a folder"),
        (["--native", "--blank", "0"], "takes 1 to 63 boards"),
        (["--native", "--blank", "64"], "takes 1 to 63 boards"),
        (["--native", "--blank", "8", "--teams", "8"], "in all of --teams"),
        (["--native", "--blank", "3", "--listen", "70000"], "1 to 65535"),
        (["--board", "mps2_an500,stm32f405", "--blank", "3"], "--board names 2 boards for 3"),
        (["--native"], "name the folder"),
    ],
)
def test_what_cannot_be(words: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert main(["emulate", *words]) == 2
    assert said in capsys.readouterr().err


def seen(url: str) -> str:
    stream = open_port(url)
    try:
        return topology_words(explore([stream])[1])
    finally:
        stream.close()


@needs_wheel_reader
@needs_cxx
def test_boards_to_try_it_on_until_ctrl_c():
    words = [sys.executable, "-m", "tflsplit", "emulate", "--native", "--blank", "3"]
    command = subprocess.Popen(
        [*words, "--topology", "line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert command.stdin is not None
        assert command.stdout is not None
        assert command.stderr is not None
        first = command.stdout.readline()
        assert first.startswith(
            "3 blank boards, wired as a line; their port is socket://localhost:"
        )
        # One program after the other, while boards lose their power and have it again.
        for typed, boards in ((None, "3 boards"), ("kill 2", "2 boards"), ("start 2", "3 boards")):
            if typed is not None:
                command.stdin.write(f"{typed}\n")
                command.stdin.flush()
            until = time.monotonic() + 20
            while (found := seen(first.split()[-1])) != f"a line of {boards}":
                assert time.monotonic() < until, found
        command.stdin.write("kill 9\n")
        command.stdin.close()
        assert "'kill 9': there is no rank 9 of 3" in command.stderr.readline()
    finally:
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == 0


def test_port_passes_bytes_both_ways_to_one_program_after_the_other():
    inner, board = socket.socketpair()
    with inner, board, Port(inner) as port:
        for word in (b"one", b"two"):
            stream = open_port(port.url)
            stream.send(word)
            assert board.recv(100) == word
            board.sendall(word[::-1])
            heard = b""
            while len(heard) < 3:
                heard += stream.receive(5.0)
            assert heard == word[::-1]
            stream.close()
        number = int(port.url.rpartition(":")[2])
        with pytest.raises(ClusterError, match=f"port {number} cannot be had"):
            Port(inner, number)
