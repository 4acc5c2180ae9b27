# SPDX-License-Identifier: Apache-2.0
"""``tflsplit upload``: which board becomes which rank; a program stands in for PlatformIO."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bundles import bundle_of, rewrite_plan
from tflsplit.cli import main
from tflsplit.cluster import cluster_document, default_cluster
from tflsplit.cluster.banks import without_chip
from tflsplit.errors import LinkError, PlanError
from tflsplit.firmware import BOARDS, FirmwareOptions, write_firmware
from tflsplit.firmware.upload import Target, command_of, environment_of
from tflsplit.host.known_boards import read_boards, write_boards
from tflsplit.host.usb import USB_IDS, UsbPort, ports_of

PICO = (0x2E8A, 0x00C0)
TEENSY = (0x16C0, 0x0483)
MODEM = UsbPort("/dev/modem", (0x1199, 0x9071), "m")
PIO = """\
import json, os, sys
with open(os.environ["PIO_LOG"], "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
sys.exit("node1" in sys.argv and "no such chip" if "FAIL" in os.environ else 0)
"""


def picos(*numbers: str) -> list[UsbPort]:
    return [UsbPort(f"/dev/{n}", PICO, n, f"1-{i}") for i, n in enumerate(numbers)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = bundle_of(tmp_path / "out", "autoencoder", 3)
    write_firmware(out, FirmwareOptions(boards=("pico",), tflm_dir=None))
    return out


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program that stands in for PlatformIO writes how it was called."""
    script, calls = tmp_path / "pio.py", tmp_path / "calls"
    script.write_text(PIO)
    words = [sys.executable, str(script)]
    monkeypatch.setattr("tflsplit.firmware.upload.platformio", lambda: words)
    monkeypatch.setenv("PIO_LOG", str(calls))
    return calls


def flashed(log: Path) -> dict[str, str]:
    """Environment -> port, in the order of the calls."""
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    log.unlink()
    return {call[call.index("-e") + 1]: call[call.index("--upload-port") + 1] for call in calls}


def plugged(monkeypatch: pytest.MonkeyPatch, ports: list[UsbPort]) -> None:
    monkeypatch.setattr("tflsplit.cli.upload.usb_ports", lambda: ports)


def test_boards_are_flashed_one_after_the_other_and_remembered(
    folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch
):
    plugged(monkeypatch, [*picos("a", "b", "c"), MODEM])
    assert main(["upload", str(folder)]) == 0
    assert flashed(log) == {"node0": "/dev/a", "node1": "/dev/b", "node2": "/dev/c"}
    assert read_boards(folder) == {0: "a", 1: "b", 2: "c"}
    # Plugged in elsewhere, in another order, and one more.
    plugged(monkeypatch, [MODEM, *picos("d", "c", "a", "b")])
    assert main(["upload", str(folder), "--all"]) == 0
    assert flashed(log) == {"node0": "/dev/a", "node1": "/dev/b", "node2": "/dev/c"}
    assert main(["upload", str(folder), "--rank", "2"]) == 0
    assert flashed(log) == {"node2": "/dev/c"}


def test_a_port_by_a_link_is_the_board_behind_it(
    folder: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As /dev/serial/by-id has them."""
    port, link = tmp_path / "ttyACM0", tmp_path / "usb-pico"
    port.touch()
    link.symlink_to(port)
    plugged(monkeypatch, [UsbPort(str(port), PICO, "a")])
    assert main(["upload", str(folder), "--rank", "2", "--ports", str(link)]) == 0
    assert flashed(log) == {"node2": str(link)}
    assert read_boards(folder) == {2: "a"}


def test_every_team_gets_the_same_images(
    folder: Path, log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    pairs = cluster_document(replace(default_cluster(3, board="pico"), teams=2))
    rewrite_plan(folder, lambda plan: plan.update(cluster=pairs))
    plugged(monkeypatch, picos(*"abcdef"))
    assert main(["upload", str(folder)]) == 0
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    assert [call[call.index("-e") + 1] for call in calls] == ["node0", "node1", "node2"] * 2
    assert [call[call.index("--upload-port") + 1][-1] for call in calls] == [*"abcdef"]
    assert not read_boards(folder), "no board is the only one of its rank"
    plugged(monkeypatch, picos(*"abcde"))
    assert main(["upload", str(folder)]) == 2
    assert "5 of the 6 boards" in capsys.readouterr().err
    assert main(["upload", str(folder), "--rank", "1", "--ports", "/dev/b", "--json"]) == 0
    assert [each["rank"] for each in json.loads(capsys.readouterr().out)["boards"]] == [1]


def test_a_board_that_is_replaced(folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch):
    write_boards(folder, {0: "a", 1: "b", 2: "c"})
    plugged(monkeypatch, picos("a", "new", "c"))
    assert main(["upload", str(folder)]) == 0
    assert flashed(log)["node1"] == "/dev/new"
    assert read_boards(folder) == {0: "a", 1: "new", 2: "c"}
    assert main(["upload", str(folder), "--rank", "0", "--ports", "/dev/new"]) == 0
    assert flashed(log) == {"node0": "/dev/new"}
    assert read_boards(folder) == {0: "new", 2: "c"}, "a board is one rank"


@pytest.mark.parametrize(
    ("ports", "words", "message"),
    [
        (
            [MODEM],
            [],
            "no new pico is plugged in for ranks 0, 1, 2 (pico); on USB there is: /",
        ),
        (picos("a", "b"), [], "2 of the 3 boards for ranks 0, 1, 2 (pico) are plugged in (/dev/a"),
        (picos("a", "b"), ["--rank", "1"], "2 boards may be rank 1 (pico): /dev/a, /dev/b. Unplug"),
        (picos("a"), [], "1 of the 3 boards for ranks 0, 1, 2 (pico) is plugged in (/dev/a)"),
        (picos("a"), ["--ports", "/dev/a"], "--ports names 1 port for 3 boards"),
        (picos("a"), ["--ports", "/dev/a,/dev/a,/dev/a"], "--ports names 1 port for 3 boards"),
        (
            [*picos("a"), MODEM],
            ["--rank", "1", "--ports", "/dev/nothing-here"],
            "there is no /dev/nothing-here on this computer; on USB there is: /dev/a (pico), "
            "/dev/modem",
        ),
        ([], ["--rank", "1", "--ports", "COM99"], "no COM99 on this computer; on USB there is: n"),
        (picos("a"), ["--rank", "3"], "there is no rank 3"),
    ],
)
def test_what_is_not_clear_is_not_flashed(
    ports: list[UsbPort],
    words: list[str],
    message: str,
    folder: Path,
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    plugged(monkeypatch, ports)
    assert main(["upload", str(folder), *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not log.exists()
    assert read_boards(folder) == {}


def test_a_dry_run_says_what_it_would_do(
    folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plugged(monkeypatch, picos("a", "b", "c"))
    assert main(["upload", str(folder), "--dry-run", "--json"]) == 0
    boards = json.loads(capsys.readouterr().out)["boards"]
    assert boards[1] == {"rank": 1, "board": "pico", "port": "/dev/b", "serial_number": "b"}
    assert not log.exists()


def test_a_failure_ends_it_and_what_was_flashed_is_remembered(
    folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    plugged(monkeypatch, picos("a", "b", "c"))
    monkeypatch.setenv("FAIL", "1")
    assert main(["upload", str(folder), "--json"]) == 2
    captured = capsys.readouterr()
    assert "rank 1 was not flashed at /dev/b: PlatformIO ended with 1: no such chip" in captured.err
    assert list(flashed(log)) == ["node0", "node1"]
    assert read_boards(folder) == {0: "a"}


@pytest.mark.parametrize(
    ("board", "way_out"), [("host", "--native"), ("mps2_an500", "--board mps2_an500")]
)
def test_an_emulated_board_is_not_flashed(
    board: str, way_out: str, folder: Path, log: Path, capsys: pytest.CaptureFixture[str]
):
    write_firmware(folder, FirmwareOptions(boards=(board,), tflm_dir=None))
    assert main(["upload", str(folder)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"there is no board to flash: rank 0's is {board!r}" in said
    assert f"tflsplit emulate {folder} {way_out}" in said
    assert not log.exists()


def test_what_the_uploaders_are_told():
    """As PlatformIO's platforms take it; no board was at hand to try it on."""
    folder = Path("out")
    pico = command_of(folder, Target(3, "pico", "/dev/a", "1"))
    assert pico[-6:] == ["-e", "node3", "-t", "upload", "--upload-port", "/dev/a"]
    assert pico[-9:-6] == ["run", "-d", "out"]
    for board in ("teensy41", "nucleo_h743zi"):
        assert command_of(folder, Target(3, board, "/dev/a", "1"))[-1] == "upload"
    nucleo = environment_of(Target(3, "nucleo_h743zi", "/dev/a", "0042"))
    assert nucleo == {"PLATFORMIO_UPLOAD_FLAGS": "-c\nadapter serial 0042"}
    assert environment_of(Target(3, "pico", "/dev/a", "0042")) == {}


def test_every_board_to_plug_in_has_usb_ids_and_no_other(monkeypatch: pytest.MonkeyPatch):
    real = (board.name for board in BOARDS.values() if not board.is_emulated)
    assert USB_IDS.keys() == {without_chip(name) for name in real}
    ports = [*picos("a"), MODEM, UsbPort("/dev/t", TEENSY, "t")]
    monkeypatch.setattr("tflsplit.host.usb.usb_ports", lambda: ports)
    assert [port.device for port in ports_of(["teensy41"])] == ["/dev/t"]
    assert [port.device for port in ports_of(["teensy41", "pico"], "t")] == ["/dev/t", "/dev/a"]


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"format": "tflsplit-boards", "version": 1, "serial_numbers": {"x": "1"}}',
        '{"format": "tflsplit-boards", "version": 1, "serial_numbers": {"99": "1"}}',
        '{"format": "tflsplit-boards", "version": 1, "serial_numbers": {"1": "a\\nb"}}',
        '{"format": "tflsplit-boards", "version": 2, "serial_numbers": {}}',
    ],
)  # fmt: skip
def test_a_damaged_memory_is_named(text: str, folder: Path):
    (folder / "boards.json").write_text(text)
    with pytest.raises(PlanError, match=r"boards.json is damaged .*remove it"):
        read_boards(folder)


def test_a_port_that_is_gone(monkeypatch: pytest.MonkeyPatch):
    from tflsplit.firmware.upload import touch

    pytest.importorskip("serial", reason="needs pyserial: pip install '.[host]'")
    with pytest.raises(LinkError, match="/dev/nothing-here cannot be opened"):
        touch(Target(0, "teensy41", "/dev/nothing-here"))
