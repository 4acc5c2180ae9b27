# SPDX-License-Identifier: Apache-2.0
"""Messages that a host waits for, of one inference or of two that are under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tflsplit.wire.early_grants import is_before
from tflsplit.wire.frames import Frame
from tflsplit.wire.handshake import ErrorCode

Key = tuple[int, int, int]
"""Epoch, channel, rank of who sends."""


@dataclass
class _Recv:
    total_bytes: int
    data: bytearray = field(default_factory=bytearray)


class HostRecvs:
    """What is under way, and what is whole and has not been taken."""

    def __init__(self) -> None:
        self._recvs: dict[Key, _Recv] = {}
        self._done: dict[Key, bytes] = {}

    def __iter__(self) -> Iterator[Key]:
        """Those that are not whole."""
        return iter(self._recvs)

    def begin(self, key: Key, size_bytes: int) -> bool:
        """Wait for a message; False if it has no bytes, and so is whole."""
        if size_bytes:
            self._recvs[key] = _Recv(size_bytes)
        else:
            self._done[key] = b""
        return bool(size_bytes)

    def put(self, frame: Frame) -> ErrorCode | None:
        """DATA of an inference that is under way; what is wrong with it."""
        key = frame.epoch, frame.channel, frame.source
        recv = self._recvs.get(key)
        if recv is None:
            return ErrorCode.UNEXPECTED_DATA
        left = recv.total_bytes - len(recv.data)
        if frame.offset != len(recv.data) or not 0 < len(frame.payload) <= left:
            return ErrorCode.BAD_OFFSET
        recv.data += frame.payload
        if len(recv.data) == recv.total_bytes:
            self._done[key] = bytes(self._recvs.pop(key).data)
        return None

    def take(self, key: Key) -> bytes | None:
        """A message that is whole, once."""
        return self._done.pop(key, None)

    def clear(self) -> None:
        """Wait for nothing any more; what is whole stays."""
        self._recvs.clear()

    def forget_before(self, epoch: int) -> None:
        """Forget all of inferences before ``epoch``."""
        self._recvs = {k: v for k, v in self._recvs.items() if not is_before(k[0], epoch)}
        self._done = {k: v for k, v in self._done.items() if not is_before(k[0], epoch)}
