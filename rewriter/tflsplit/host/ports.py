# SPDX-License-Identifier: Apache-2.0
"""Byte streams to a gateway: a serial port, a pseudo-terminal, or a socket.

::

    /dev/ttyACM0, COM5, /dev/pts/3    pyserial
    socket://localhost:5000           a TCP connection (ser2net, an emulator, a board with Ethernet)
    a connected socket                the emulated cluster's
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Sequence
from typing import Any, Protocol

from tflsplit.errors import LinkError

DEFAULT_BAUD = 115_200
_READ_BYTES = 65_536
_CONNECT_SECONDS = 5.0
_WRITE_SECONDS = 5.0
_LOOK_SECONDS = 0.001
"""Between two looks at several ports that nothing can wait for."""


class Stream(Protocol):
    """What carries bytes to the gateway and back."""

    name: str
    """For people: which port this is."""

    def receive(self, timeout_seconds: float) -> bytes:
        """What has arrived; waits that long for a first byte. LinkError if the port is gone."""

    def send(self, data: bytes) -> None:
        """Write all of it; what finds no room at once leaves during later calls of either."""

    def close(self) -> None:
        """Let the port go."""

    def waits_on(self) -> tuple[int, bool] | None:
        """For ``wait_for_any``: the descriptor, and whether bytes wait to be written.

        None where the operating system cannot wait for it.
        """


class SocketStream:
    """A connected socket, which the stream owns from now on."""

    def __init__(self, connected: socket.socket, name: str = "the cluster's socket") -> None:
        connected.setblocking(False)
        self.name = name
        self._socket = connected
        self._unsent = bytearray()

    def receive(self, timeout_seconds: float) -> bytes:
        """See ``Stream``."""
        writers = [self._socket] if self._unsent else []
        readable, _, _ = select.select([self._socket], writers, [], timeout_seconds)
        self._flush()
        if not readable:
            return b""
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._gone(error.strerror) from None
        if not data:
            raise self._gone("it was closed at the other end")
        return data

    def send(self, data: bytes) -> None:
        """See ``Stream``."""
        self._unsent += data
        self._flush()

    def close(self) -> None:
        """See ``Stream``."""
        self._socket.close()

    def waits_on(self) -> tuple[int, bool] | None:
        """See ``Stream``."""
        return self._socket.fileno(), bool(self._unsent)

    def _flush(self) -> None:
        while self._unsent:
            try:
                del self._unsent[: self._socket.send(self._unsent)]
            except BlockingIOError:
                return
            except OSError as error:
                raise self._gone(error.strerror) from None

    def _gone(self, why: str | None) -> LinkError:
        return LinkError(f"{self.name} is gone: {why}")


class SerialStream:
    """A port of pyserial."""

    def __init__(self, port: Any) -> None:
        self.name = str(port.name)
        self._port = port

    def receive(self, timeout_seconds: float) -> bytes:
        """See ``Stream``."""
        import serial

        try:
            if self._port.timeout != timeout_seconds:  # setting it asks the driver
                self._port.timeout = timeout_seconds
            first: bytes = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self.name} is gone ({error}): was it unplugged?") from None

    def send(self, data: bytes) -> None:
        """See ``Stream``."""
        import serial

        try:
            self._port.write(data)
        except serial.SerialTimeoutException:
            raise LinkError(
                f"{self.name} takes no bytes for {_WRITE_SECONDS:g} s: reset the gateway"
            ) from None
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self.name} is gone ({error}): was it unplugged?") from None

    def close(self) -> None:
        """See ``Stream``."""
        self._port.close()

    def waits_on(self) -> tuple[int, bool] | None:
        """See ``Stream``."""
        try:
            return int(self._port.fileno()), False
        except (AttributeError, OSError):  # Windows, and URLs of pyserial
            return None


def wait_for_any(streams: Sequence[Stream], timeout_seconds: float) -> None:
    """Until one of them has bytes, or takes some that wait, but no longer than that."""
    waits = [stream.waits_on() for stream in streams]
    known = [each for each in waits if each is not None and each[0] >= 0]
    if len(known) < len(streams):
        timeout_seconds = min(timeout_seconds, _LOOK_SECONDS)
    if not known or os.name == "nt":
        time.sleep(min(timeout_seconds, _LOOK_SECONDS))
        return
    readers = [descriptor for descriptor, _ in known]
    writers = [descriptor for descriptor, has_unsent in known if has_unsent]
    select.select(readers, writers, [], timeout_seconds)


def open_port(name: str, baud: int = DEFAULT_BAUD) -> Stream:
    """The stream of a port.

    name: ``socket://host:port``, a device of the operating system, or any other URL of pyserial.
    baud: of a UART; USB and sockets ignore it.
    Raises LinkError if it cannot be opened, or if pyserial is needed and missing.
    """
    if name.startswith("socket://"):
        return _connect(name)
    try:
        import serial
    except ImportError:
        raise LinkError("serial ports need pyserial: pip install 'tflsplit[host]'") from None
    try:
        port = serial.serial_for_url(name, baudrate=baud, write_timeout=_WRITE_SECONDS)
    except (serial.SerialException, ValueError, OSError) as error:
        raise LinkError(f"{name} cannot be opened: {_reason(error)}{_others()}") from None
    return SerialStream(port)


def serial_ports() -> list[str]:
    """The serial ports of this computer that belong to a USB device; [] without pyserial."""
    try:
        from serial.tools import list_ports
    except ImportError:
        return []
    return sorted(port.device for port in list_ports.comports() if port.vid is not None)


def _connect(url: str) -> SocketStream:
    host, separator, port = url.removeprefix("socket://").strip("/").rpartition(":")
    if not separator or not port.isdecimal():
        raise LinkError(f"{url} is not socket://host:port")
    try:
        connected = socket.create_connection((host, int(port)), _CONNECT_SECONDS)
    except (OSError, OverflowError) as error:
        raise LinkError(f"{url} cannot be opened: {_reason(error)}") from None
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketStream(connected, url)


def _reason(error: Exception) -> str:
    """The operating system's words, which pyserial repeats with the port's name and a number."""
    number = getattr(error, "errno", None)
    if number is not None and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error)


def _others() -> str:
    found = serial_ports()
    return f"; ports here: {', '.join(found)}" if found else ""
