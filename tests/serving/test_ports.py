# SPDX-License-Identifier: Apache-2.0
"""A service's ports, which vanish and come back under other names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.serving.test_bounds import Port
from tflsplit.errors import LinkError
from tflsplit.host import usb
from tflsplit.host.usb import UsbPort
from tflsplit.serving import boards
from tflsplit.serving.boards import Ports

BOARD = UsbPort("/dev/ttyACM0", (0x16C0, 0x0483), "1234", "1-2")
OTHER = UsbPort("/dev/ttyACM7", (0x16C0, 0x0483), "5678", "1-3")
NAMELESS = UsbPort("/dev/ttyUSB0", (0x1A86, 0x55D3), "", "2-1")


class Named(Port):
    gone = False

    def __init__(self, name: str) -> None:
        self.name = name

    def receive(self, timeout_seconds: float) -> bytes:
        if self.gone:
            raise LinkError(f"{self.name} is gone")
        return b""


class Computer:
    """USB ports that are plugged in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *ports: UsbPort) -> None:
        self.ports = list(ports)
        monkeypatch.setattr(usb, "usb_ports", lambda: self.ports)
        monkeypatch.setattr(boards, "open_port", self._open)

    def _open(self, name: str, baud: int) -> Named:
        if name not in [port.device for port in self.ports]:
            raise LinkError(f"{name} cannot be opened")
        return Named(name)


@pytest.mark.parametrize("was", [BOARD, NAMELESS], ids=["by serial number", "by its socket"])
@pytest.mark.parametrize("is_given", [True, False], ids=["opened before", "opened here"])
def test_a_port_that_has_another_name_now_is_found(
    monkeypatch: pytest.MonkeyPatch, was: UsbPort, is_given: bool
):
    there = Computer(monkeypatch, was, OTHER)
    ports = Ports.of_streams([Named(was.device)]) if is_given else Ports([was.device])
    (stream,) = ports._opened()
    there.ports = [replace(was, device="/dev/ttyACM1"), OTHER]
    stream.inner.gone = True  # type: ignore[attr-defined]
    (stream,) = ports._opened()
    assert stream.name == "/dev/ttyACM1"
    assert ports.news == [f"the port {was.device} is /dev/ttyACM1 now"]
    there.ports = [was, OTHER]  # and back
    stream.inner.gone = True  # type: ignore[attr-defined]
    assert [stream.name for stream in ports._opened()] == [was.device]


@pytest.mark.parametrize(
    "now",
    [
        [OTHER],
        [replace(BOARD, device="/dev/ttyACM1", usb_id=(1, 2))],
        [replace(BOARD, device=f"/dev/ttyACM{n}", location=f"1-{n}") for n in (3, 4)],
    ],
    ids=["another board", "another kind", "two that it may be"],
)
def test_no_other_port_is_taken_for_it(monkeypatch: pytest.MonkeyPatch, now: list[UsbPort]):
    there = Computer(monkeypatch, BOARD)
    ports = Ports([BOARD.device])
    (stream,) = ports._opened()
    there.ports = now
    stream.inner.gone = True  # type: ignore[attr-defined]
    with pytest.raises(LinkError, match="/dev/ttyACM0 cannot be opened"):
        ports._opened()
