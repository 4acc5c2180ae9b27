# SPDX-License-Identifier: Apache-2.0
"""split_core's node from Python: the firmware's own links and communicator, as a shared library.

Sans I/O like ``Endpoint``: the owner carries bytes between ``feed`` and ``drain`` and gives the
time to ``poll``. The library is ``libsplit_core.so`` of ``tests/core/CMakeLists.txt``; its C
interface is ``split_core_c.h``, which the structures here mirror.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64
from ctypes import c_void_p as c_pointer
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tflsplit.errors import InternalError, LinkError
from tflsplit.wire.handshake import Identity
from tflsplit.wire.timers import Timing
from tflsplit.wire.topology import LinkTable

_TEXT_BYTES = 160
_DRAIN_BYTES = 4096
_AXES = 4
_DatagramFn = ctypes.CFUNCTYPE(None, c_pointer, c_uint8, c_uint16, POINTER(c_uint8), c_size_t)


class _LinkConfig(ctypes.Structure):
    _fields_ = (
        ("destinations", c_uint64),
        ("peer_rank", c_uint8),
        ("ring_next", c_uint8),
        ("reserved", c_uint8 * 6),
    )


class _Config(ctypes.Structure):
    _fields_ = (
        ("links", POINTER(_LinkConfig)),
        *((name, c_uint32) for name in (
            "boot_nonce", "hello_interval_us", "poll_interval_us", "poll_interval_max_us",
            "peer_timeout_us", "multicast_hold_us",
        )),
        ("mtu_bytes", c_uint16),
        *((name, c_uint8) for name in (
            "rank", "world_size", "node_count", "link_count", "rx_slots", "tx_slots",
            "send_slots", "recv_slots", "grant_slots", "reserved",
        )),
        ("fingerprint", c_uint8 * 16),
    )  # fmt: skip


class _Box(ctypes.Structure):
    _fields_ = (
        ("base", c_pointer),
        ("extent", c_uint32 * 4),
        ("stride_bytes", c_uint32 * 4),
        ("element_bytes", c_uint8),
        ("reserved", c_uint8 * 7),
    )


class ErrorInfo(ctypes.Structure):
    """What went wrong, as in ``Error`` of error.h; 255 and 65535 stand for "none"."""

    _fields_ = (
        *((name, c_uint8) for name in ("code", "rank", "link", "reporter")),
        ("channel", c_uint16),
        ("reserved", c_uint16),
    )


COUNTERS = (
    "frames_sent", "frames_resent", "frames_received", "duplicates", "gaps", "bad_headers",
    "bad_acks", "over_credit", "dropped", "stalls", "polls", "sessions", "bytes_sent",
    "bytes_received", "crc_errors", "cobs_errors", "too_long", "too_short",
)  # fmt: skip


def load_library(path: Path) -> ctypes.CDLL:
    """``libsplit_core.so``, its functions declared. Raises ``LinkError`` if it does not load."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise LinkError(
            f"{path} cannot be loaded ({error}); build it: "
            "cmake -S tests/core -B build/core && cmake --build build/core"
        ) from error
    node = c_pointer
    for name, result, *arguments in (
        ("required_bytes", c_size_t, POINTER(_Config)),
        ("create", node, node, c_size_t, POINTER(_Config), _DatagramFn, node),
        ("feed", c_size_t, node, c_uint8, c_char_p, c_size_t),
        ("drain", c_size_t, node, c_uint8, node, c_size_t),
        ("poll", None, node, c_uint32),
        ("begin_epoch", None, node, c_uint16),
        ("post_send", c_int, node, c_uint16, c_uint64, POINTER(_Box)),
        ("begin_recv", c_int, node, c_uint16, c_uint8, POINTER(_Box)),
        ("recvs_complete", c_int, node),
        ("send_released", c_int, node, c_uint16),
        ("idle", c_int, node),
        ("ready", c_int, node),
        ("send_datagram", c_int, node, c_uint64, c_uint16, c_char_p, c_size_t),
        ("fail_with_timeout", None, node),
        ("fail", None, node, c_uint8, c_uint8),
        ("error", c_int, node, node, c_size_t),
        ("link_error", c_int, node, node, c_size_t),
        ("get_error", None, node, POINTER(ErrorInfo)),
        ("link_state", c_int, node, c_uint8, POINTER(c_uint8)),
        ("link_claimed", c_uint8, node, c_uint8),
        ("get_counters", None, node, c_uint8, node),
    ):
        function = getattr(library, f"split_core_{name}")
        function.restype = result
        function.argtypes = arguments
    return library


def box_of(array: NDArray[Any]) -> _Box:
    """The memory of an array of up to four axes, and 1-, 2- or 4-byte elements, as it lies."""
    if array.ndim > _AXES or array.itemsize not in (1, 2, 4) or min(array.strides, default=0) < 0:
        raise InternalError(f"no box: {array.ndim} axes, {array.dtype}, strides {array.strides}")
    missing = _AXES - array.ndim
    box = _Box(base=array.ctypes.data, element_bytes=array.itemsize)
    box.extent[:] = (1,) * missing + array.shape
    box.stride_bytes[:] = (array.nbytes,) * missing + array.strides
    return box


class NativeNode:
    """One rank. ``links[i]`` of ``link_tables`` is link i here.

    Slots that are 0 take the firmware's defaults. Raises ``LinkError`` if the configuration
    contradicts itself.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        identity: Identity,
        links: Sequence[LinkTable],
        boot_nonce: int,
        timing: Timing | None = None,
        on_datagram: Callable[[int, int, bytes], None] | None = None,
        **slots: int,
    ) -> None:
        self._library = library
        self.link_count = len(links)
        table = (_LinkConfig * len(links))(
            *(_LinkConfig(link.destinations, link.peer_rank, link.ring_next) for link in links)
        )
        config = _Config(
            links=table, boot_nonce=boot_nonce, mtu_bytes=identity.mtu_bytes, rank=identity.rank,
            world_size=identity.world_size, node_count=identity.node_count,
            link_count=len(links), **(vars(timing) if timing else {}), **slots,
        )  # fmt: skip
        config.fingerprint[:] = identity.fingerprint
        size_bytes = library.split_core_required_bytes(byref(config))
        if size_bytes == 0:
            raise LinkError(f"rank {identity.rank}: {links} is not a sound link table")
        self._memory = (c_uint64 * (size_bytes // 8 + 1))()

        def deliver(_: Any, source: int, channel: int, payload: Any, size: int) -> None:
            if on_datagram is not None:
                on_datagram(source, channel, ctypes.string_at(payload, size))

        self._deliver = _DatagramFn(deliver)  # the library calls it: it must live as long
        self._node = library.split_core_create(
            self._memory, ctypes.sizeof(self._memory), byref(config), self._deliver, None
        )
        self._drained = ctypes.create_string_buffer(_DRAIN_BYTES)
        self._kept: list[NDArray[Any]] = []

    def feed(self, link: int, data: bytes) -> int:
        """Bytes from the neighbour; how many there was room for."""
        return int(self._library.split_core_feed(self._node, link, data, len(data)))

    def drain(self, link: int) -> bytes:
        """Bytes for the neighbour."""
        count = self._library.split_core_drain(self._node, link, self._drained, _DRAIN_BYTES)
        return self._drained.raw[:count]

    def poll(self, now_us: int) -> None:
        """Let the node work."""
        self._library.split_core_poll(self._node, now_us & 0xFFFFFFFF)

    def begin_epoch(self, epoch: int) -> None:
        """Start an inference; arrays given to the one before are let go."""
        self._library.split_core_begin_epoch(self._node, epoch)
        self._kept.clear()

    def post_send(self, channel: int, destinations: int, array: NDArray[Any]) -> None:
        """Offer an array (or a slice of one) to a set of ranks; it must not change until sent."""
        self._kept.append(array)
        self._raise(
            self._library.split_core_post_send(
                self._node, channel, destinations, byref(box_of(array))
            )
        )

    def begin_recv(self, channel: int, source: int, array: NDArray[Any]) -> None:
        """Receive into an array (or a slice of one)."""
        self._kept.append(array)
        self._raise(
            self._library.split_core_begin_recv(self._node, channel, source, byref(box_of(array)))
        )

    def send_datagram(self, destinations: int, channel: int, payload: bytes) -> bool:
        """False if there is no room now."""
        return bool(
            self._library.split_core_send_datagram(
                self._node, destinations, channel, payload, len(payload)
            )
        )

    @property
    def recvs_complete(self) -> bool:
        """Whether every array that receives is full. Raises ``LinkError`` after an error."""
        self._raise(self._library.split_core_error(self._node, None, 0))
        return bool(self._library.split_core_recvs_complete(self._node))

    def send_released(self, channel: int) -> bool:
        """Whether every byte of what was posted on ``channel`` has left its array."""
        return bool(self._library.split_core_send_released(self._node, channel))

    @property
    def ready(self) -> bool:
        """Whether all links are up."""
        return bool(self._library.split_core_ready(self._node))

    @property
    def idle(self) -> bool:
        """Whether all is sent and acknowledged."""
        return bool(self._library.split_core_idle(self._node))

    def fail_with_timeout(self) -> None:
        """End the inference everywhere, naming what was waited for."""
        self._library.split_core_fail_with_timeout(self._node)

    def fail(self, code: int, rank: int) -> None:
        """End the inference everywhere for a reason beyond the links; ``code`` is of error.h."""
        self._library.split_core_fail(self._node, code, rank)

    def error_text(self) -> str:
        """The inference's first error, or ""."""
        return self._text(self._library.split_core_error)

    def error_info(self) -> ErrorInfo:
        """The inference's first error in fields; ``code`` is 0 while there is none."""
        info = ErrorInfo()
        self._library.split_core_get_error(self._node, byref(info))
        return info

    def link_state(self, link: int) -> tuple[int, int]:
        """0 down, 1 up, 2 refused; and the code of why it is not up."""
        code = c_uint8()
        return int(self._library.split_core_link_state(self._node, link, byref(code))), code.value

    def link_claimed(self, link: int) -> int:
        """The rank that the other end said it is; 255: it has said nothing yet."""
        return int(self._library.split_core_link_claimed(self._node, link))

    def link_error_text(self) -> str:
        """Why the first link that is not up is not, or ""."""
        return self._text(self._library.split_core_link_error)

    def counters(self, link: int) -> dict[str, int]:
        """Of one link, by the names in ``COUNTERS``."""
        values = (c_uint32 * len(COUNTERS))()
        self._library.split_core_get_counters(self._node, link, values)
        return dict(zip(COUNTERS, values, strict=True))

    def _text(self, function: Any) -> str:
        text = ctypes.create_string_buffer(_TEXT_BYTES)
        return text.value.decode() if function(self._node, text, _TEXT_BYTES) else ""

    def _raise(self, code: int) -> None:
        if code:
            raise LinkError(self.error_text() or f"split_core returned error {code}")
