# SPDX-License-Identifier: Apache-2.0
"""Services on boards that die, come back, and are too few: the right bits, or the reason."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.native import needs_cxx, needs_wheel_reader
from tests.serving.desk import PATIENT, Desk, desk, direct_desk, folder_of
from tests.splits import tiny
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.emulate.interventions import cut, join
from tflsplit.errors import ClusterError, LinkError
from tflsplit.firmware import FirmwareOptions, write_firmware
from tflsplit.serving import ServeOptions, serve
from tflsplit.tflite import write_model

RUNNING = Path(__file__).resolve().parents[2] / "docs" / "running_a_cluster.md"

pytestmark = [needs_wheel_reader, needs_cxx]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="module")
def three(folder: Path) -> Path:
    return folder_of(folder / "three", "ds_cnn", 3)


@pytest.fixture(scope="module")
def of_three(folder: Path) -> Iterator[Desk]:
    """Boards in a ring, the same for all tests of this module; each leaves them whole."""
    with desk(folder, 3) as made:
        yield made


def test_eight_blank_boards_lose_one_in_mid_inference_and_get_it_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Discover, deploy one network, serve another; rank 3 dies in an inference, and returns."""
    kws, resnet = folder_of(tmp_path / "kws", "ds_cnn", 8), folder_of(tmp_path / "r", "resnet", 8)
    with desk(tmp_path, 8) as boards:
        assert main(["discover", "--port", boards.url]) == 0
        assert "a ring of 8 boards" in capsys.readouterr().out
        assert main(["deploy", str(kws), "--port", boards.url, "--runs", "1"]) == 0
        with boards.serve(resnet) as service:
            assert boards.right(service, resnet).boards == 8
            boards.kill_in_inference(3, 300)
            served = boards.right(service, resnet)
            assert served.repeated >= 1
            assert served.boards <= 7
            assert boards.said("lost") == ["board D (host 6e617469766533) does not answer any more"]
            assert "of a line of 7 boards run the model" in boards.said("running")[-1]
            boards.cluster.restart(3)
            while not boards.said("back"):
                boards.right(service, resnet)
            assert boards.right(service, resnet).boards == 8


def test_a_board_that_dies_while_nobody_asks_is_noticed(of_three: Desk, three: Path):
    """And those that are left have their plan already: nothing is deployed then, nor later."""
    with of_three.serve(three, replace(PATIENT, survive=1, objective="latency")) as service:
        assert "; not for board A (" in of_three.said("prepared")[0]
        of_three.right(service, three)
        of_three.said("deploying")
        of_three.cluster.kill(1)
        while not of_three.said("lost"):
            service.tend()
        assert of_three.right(service, three).boards < 3
        of_three.cluster.restart(1)
        while not of_three.said("back"):
            service.tend()
        served = of_three.right(service, three)
        assert (served.boards, served.repeated) == (3, 0)
        assert not of_three.said("deploying")


def test_a_cable_that_is_cut_is_named_and_the_ring_is_a_line(of_three: Desk, three: Path):
    with of_three.serve(three) as service:
        cut(of_three.cluster, 1, 2)
        of_three.right(service, three)
        (said,) = of_three.said("lost")
        assert said.startswith("nothing comes over the cable between port 1 of board B")
        assert "of a line of 3 boards run" in of_three.said("running")[-1]
        join(of_three.cluster, 1, 2)
        while not of_three.said("back"):
            of_three.right(service, three)
        assert "of a ring of 3 boards run" in of_three.said("running")[-1]


def test_without_its_gateway_a_service_waits(of_three: Desk, three: Path):
    with of_three.serve(three) as service:
        of_three.cluster.kill(0)
        with pytest.raises(LinkError, match="nothing can be computed now: no board answers at"):
            of_three.right(service, three, timeout_seconds=8.0)
        assert "no board answers at" in service.waits_for
        assert service.boards == ()
        of_three.cluster.restart(0)
        assert of_three.right(service, three).boards == 3


def test_a_plan_with_a_port_at_every_board_outlives_any_of_them(tmp_path: Path, three: Path):
    """Also the first: the others have ports, too."""
    to = shutil.copytree(three, tmp_path / "direct")
    write_firmware(to, FirmwareOptions(boards=("host",), direct=True))
    with direct_desk(tmp_path, 3) as (boards, urls), boards.serve(to, ports=urls) as service:
        assert boards.right(service, to).boards == 3
        boards.cluster.kill(0)
        served = boards.right(service, to)
        assert served.repeated >= 1
        assert served.boards <= 2
        boards.cluster.restart(0)
        while not boards.said("back"):
            boards.right(service, to)
        assert boards.right(service, to).boards == 3


def test_a_service_drives_one_team(tmp_path: Path):
    model, to = tmp_path / "resnet.tflite", tmp_path / "teams"
    model.write_bytes(write_model(tiny("resnet")))
    words = ["--board", "host", "-n", "2", "--objective", "throughput", "-q"]
    assert main(["rewrite", str(model), "-o", str(to), *words]) == 0
    with pytest.raises(ClusterError, match=r"for 2 teams, and a service drives one: .* the 1 port"):
        serve(to, ["socket://localhost:1", "socket://localhost:2"])


def test_boards_that_cannot_hold_the_model_are_waited_for(tmp_path: Path, folder: Path):
    two = folder_of(folder / "two", "resnet", 2)
    parts = [(two / f"node{rank}.tflite").stat().st_size for rank in range(2)]
    room = -(-max(parts) // 4096) * 4096
    with desk(tmp_path, 2, store_bytes=room) as boards, boards.serve(two) as service:
        assert boards.right(service, two).boards == 2
        boards.cluster.kill(1)
        with pytest.raises(LinkError, match=r"nothing can be computed now: .*bytes"):
            boards.right(service, two, timeout_seconds=8.0)
        assert len(boards.said("waiting")) == 1
        boards.cluster.restart(1)
        assert boards.right(service, two).boards == 2


def test_what_cannot_be_served_is_said_before_anything_runs(
    of_three: Desk, three: Path, tmp_path: Path
):
    with pytest.raises(ClusterError, match="no such folder or model"):
        serve(tmp_path / "none", of_three.url)
    with pytest.raises(ClusterError, match="must be more than 0 seconds"):
        ServeOptions(patience_seconds=0)
    with pytest.raises(LinkError, match="cannot be opened"):
        serve(three, "socket://localhost:1", PATIENT)


def test_command_answers_lines_until_its_input_ends(of_three: Desk, three: Path):
    (value,) = read_bundle(three).model.inputs
    name, zeros = value.name, np.zeros(value.shape, int).tolist()
    requests = [{"id": 1, "inputs": zeros}, {"status": True}, {"id": 2, "inputs": {name: [1]}}]
    words = [sys.executable, "-m", "tflsplit", "serve", str(three), "--port", of_three.url]
    done = subprocess.run(
        words,
        input="\n".join(map(json.dumps, requests)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    answers = [one for one in said if "event" not in one]
    assert (answers[0]["id"], answers[0]["boards"]) == (1, 3)
    assert len(answers[1]["boards"]) == 3
    assert answers[2]["kind"] == "InputError"


def test_the_client_of_the_documents_is_answered(of_three: Desk, three: Path):
    (program,) = re.findall(r"^```py\n(# client.py.*?)^```", RUNNING.read_text(), re.M | re.S)
    words = [sys.executable, "-m", "tflsplit", "serve", str(three), "--port", of_three.url]
    command = subprocess.Popen(
        [*words, "--listen", "0"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert command.stderr is not None
    try:
        port = re.findall(r"clients connect to port (\d+)", command.stderr.readline())[0]
        client = subprocess.run(
            [sys.executable, "-c", program.replace("5000", port)],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        assert re.search(r"^\{'.*': \[\[.*\]\]\}$", client.stdout.splitlines()[-1]), client.stdout
    finally:
        command.terminate()
        command.communicate()


def test_command_ends_at_ctrl_c_and_sigterm_also_while_it_waits_for_boards(
    of_three: Desk, three: Path
):
    words = [sys.executable, "-m", "tflsplit", "serve", str(three), "--port", of_three.url]
    for number, word in ((signal.SIGINT, "running"), (signal.SIGTERM, "waiting")):
        command = subprocess.Popen(
            [*words, "--look", "0.5", "--patience", "0.5"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert command.stdout is not None
        assert any('"running"' in line for line in iter(command.stdout.readline, ""))
        if word == "waiting":
            of_three.cluster.kill(0)
            assert any('"waiting"' in line for line in iter(command.stdout.readline, ""))
        command.send_signal(number)
        assert command.wait(20) == 0
    of_three.cluster.restart(0)
