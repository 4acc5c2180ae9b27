# SPDX-License-Identifier: Apache-2.0
"""Images read back, with nothing believed: the checks that a board makes, too.

The order is that of the document's tables, so that C++ and Python name the same field.
"""

from __future__ import annotations

from typing import NamedTuple

from tflsplit.deploy import image as layout
from tflsplit.deploy.image import Slice, SliceLink
from tflsplit.wire.frames import MAX_MTU_BYTES, MAX_NODES, MIN_MTU_BYTES

_MOST_TIME_US = (1 << 31) - 1
_SMALLEST_SLICE_BYTES = 160
_NO_LINK = 255


class ImageError(ValueError):
    """An image that no board may take; ``field`` is named as in the document."""

    def __init__(self, field: str) -> None:
        super().__init__(f"the image's {field} cannot be")
        self.field = field


class _Config(NamedTuple):
    version: int
    config_bytes: int
    model_bytes: int
    rank: int
    world_size: int
    node_count: int
    link_count: int
    mtu_bytes: int
    rx_slots: int
    tx_slots: int
    send_slots: int
    recv_slots: int
    grant_slots: int
    flags: int
    hello_interval_us: int
    poll_interval_us: int
    poll_interval_max_us: int
    peer_timeout_us: int
    multicast_hold_us: int
    timeout_us: int
    background_poll_us: int
    arena_bytes: int
    required_arena_bytes: int
    baud: int
    mark_bytes: int
    zero: int
    fingerprint: bytes
    board: bytes
    zeros: bytes


def parse_image(data: bytes) -> tuple[Slice, ...]:
    """The slices of an image.  Raises ``ImageError`` with the first field that cannot be."""
    if len(data) < layout.HEAD.size:
        raise ImageError("total_bytes")
    magic, version, count, total, zero = layout.HEAD.unpack_from(data)
    _want(magic == layout.MAGIC, "magic")
    _want(version == layout.IMAGE_VERSION, "version")
    _want(1 <= count <= layout.MAX_SLICES, "slices")
    _want(total == len(data) and total % layout.ALIGNMENT_BYTES == 0, "total_bytes")
    _want(zero == 0, "reserved")
    next_at = layout.HEAD.size + layout.ENTRY.size * count
    _want(next_at <= total, "slices")
    slices = []
    for index in range(count):
        entry = layout.ENTRY.unpack_from(data, layout.HEAD.size + layout.ENTRY.size * index)
        offset, size, fingerprint, rank, world_size, lost, reserved = entry
        _want(offset == next_at, "offset")
        _want(_SMALLEST_SLICE_BYTES <= size <= total - offset, "bytes")
        _want((lost == layout.NO_BOARD) == (index == 0) and _is_board(lost), "lost")
        _want(reserved == bytes(5), "reserved")
        one = _slice(data[offset : offset + size], lost, (fingerprint, rank, world_size))
        slices.append(one)
        next_at = offset + layout.rounded_up(size)
        _want(not any(data[offset + size : next_at]), "reserved")
    _want(next_at == total, "total_bytes")
    return tuple(slices)


def _slice(data: bytes, lost: int, entry: tuple[bytes, int, int]) -> Slice:
    config = _Config(*layout.CONFIG.unpack_from(data))
    fingerprint, rank, world_size = entry
    used = layout.CONFIG.size + layout.LINK.size * config.link_count + config.mark_bytes + 1
    _want(config.version == layout.IMAGE_VERSION, "version")
    _want(1 <= config.link_count <= layout.MAX_LINKS, "link_count")
    _want(1 <= config.mark_bytes <= layout.MAX_MARK_BYTES, "mark_bytes")
    _want(config.config_bytes == layout.rounded_up(used), "config_bytes")
    _want(
        config.model_bytes > 0 and config.config_bytes + config.model_bytes == len(data),
        "model_bytes",
    )
    _want(config.world_size == world_size and 1 <= world_size < MAX_NODES, "world_size")
    _want(config.rank == rank and rank < world_size, "rank")
    _want(config.fingerprint == fingerprint, "fingerprint")
    _check_numbers(config)
    links = _links(data, config)
    board, mark = _text(config.board), data[used - 1 - config.mark_bytes : used - 1]
    _want(board is not None, "board")
    filling = data[used - 1 : config.config_bytes]
    _want(all(32 < char < 127 or char == 32 for char in mark) and not any(filling), "mark")
    values = config._asdict()
    return Slice(
        **{name: values[name] for name in Slice.__dataclass_fields__ if name in values}
        | {"board": board},
        links=links, mark=mark, model=data[config.config_bytes :], lost=lost,
    )  # fmt: skip


def _check_numbers(config: _Config) -> None:
    _want(config.node_count == config.world_size + 1, "node_count")
    mtu_is_ok = MIN_MTU_BYTES <= config.mtu_bytes <= MAX_MTU_BYTES and config.mtu_bytes % 4 == 0
    _want(mtu_is_ok, "mtu_bytes")
    _want(2 <= config.rx_slots <= 15, "rx_slots")
    for name in ("tx_slots", "send_slots", "recv_slots", "grant_slots"):
        _want(getattr(config, name) >= 1, name)
    _want(config.flags <= layout.CMSIS_NN_ARENA, "flags")
    for name in _Config._fields:
        if name.endswith("_us"):
            least = 0 if name == "background_poll_us" else 1
            _want(least <= getattr(config, name) <= _MOST_TIME_US, name)
    arena = config.arena_bytes
    _want(arena > 0 and arena % layout.ALIGNMENT_BYTES == 0, "arena_bytes")
    _want(config.required_arena_bytes <= arena, "required_arena_bytes")
    _want(config.zero == 0 and config.zeros == bytes(8), "reserved")


def _links(data: bytes, config: _Config) -> tuple[SliceLink, ...]:
    links = []
    reached, ports = 1 << config.rank, set()
    for index in range(config.link_count):
        at = layout.CONFIG.size + layout.LINK.size * index
        port, peer, ring_next, zero, destinations = layout.LINK.unpack_from(data, at)
        ring_is_ok = ring_next == _NO_LINK or (ring_next < config.link_count and ring_next != index)
        ranks_are_ok = peer < config.node_count and peer != config.rank
        is_disjoint = not reached & destinations and not destinations >> config.node_count
        _want(
            zero == 0 and ring_is_ok and ranks_are_ok and is_disjoint and port not in ports,
            "links",
        )
        reached |= destinations
        ports.add(port)
        links.append(SliceLink(port, peer, ring_next, destinations))
    return tuple(links)


def _text(padded: bytes) -> bytes | None:
    """The printable text in a field that zeros fill; None if it is none."""
    text = padded.rstrip(b"\0")
    is_ok = bool(text) and all(32 <= char < 127 for char in text)
    return text if is_ok else None


def _is_board(lost: int) -> bool:
    return lost == layout.NO_BOARD or lost < MAX_NODES - 1


def _want(is_ok: bool, field: str) -> None:
    if not is_ok:
        raise ImageError(field)
    return
