# SPDX-License-Identifier: Apache-2.0
"""How the boards are wired: a box for each, with the names of its ports, and a line for each wire.

::

    +----------+       +----------+       ranks lie as on a string that is folded, so that wires
    | rank 0   |1 --- 0| rank 1   |       of a line or ring lead from a box to the one beside it or
    +----------+       +----------+       below; those of a star or bus run along a trunk
         0                  1
         |                  |
         1                  0
    +----------+       +----------+
    | rank 3   |0 --- 1| rank 2   |
    +----------+       +----------+
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from tflsplit.cluster import Cluster
from tflsplit.firmware.port_names import port_name
from tflsplit.report.svg import line, number, path, picture, text
from tflsplit.wire.topology import NEXT_PORT, Topology, link_tables, port_to

LINE, PAD = 15.0, 8.0
GAP_X, GAP_Y, EDGE = 44.0, 40.0, 22.0
LEAST_WIDTH, LETTER = 188.0, 7.0
"""Of a box, and of a letter of 12 pixels in the widest of the usual fonts."""
LONGEST = 24
"""Name of a device that is written out."""


@dataclass(frozen=True)
class _Box:
    """A board: its rank, its place, and what stands in it."""

    rank: int
    x: float
    y: float
    width: float
    height: float
    words: tuple[str, ...]

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


def wiring_picture(cluster: Cluster, most_columns: int) -> Markup:
    """The drawing, with at most so many boxes side by side."""
    boxes = _boxes(cluster, most_columns)
    width = max(box.x + box.width for box in boxes) + EDGE
    height = max(box.y + box.height for box in boxes) + EDGE
    chain = cluster.topology in (Topology.LINE, Topology.RING)
    wires = _chain(cluster, boxes) if chain else _trunk(cluster, boxes, height)
    parts = [*wires, *(part for box in boxes for part in _drawn(box, cluster))]
    title = f"{cluster.topology.value} of {len(boxes)}: " + "; ".join(_said(cluster))
    return picture(width, height, title, parts, "wiring")


def _said(cluster: Cluster) -> Iterator[str]:
    """Every wire in words, for a screen reader."""
    for rank, peer, port, far in _wires(cluster):
        yield f"rank {rank} port {port} to rank {peer} port {far}"


def _wires(cluster: Cluster) -> Iterator[tuple[int, int, int, int]]:
    """Every wire once: its ranks, the lower one first, and the boards' ports that it joins."""
    topology, size = cluster.topology, cluster.world_size
    for rank, table in enumerate(link_tables(topology, size)):
        for link in table:
            peer = link.peer_rank
            if peer > rank:
                yield (
                    rank,
                    peer,
                    port_to(topology, size, rank, peer),
                    port_to(topology, size, peer, rank),
                )


def _boxes(cluster: Cluster, most_columns: int) -> list[_Box]:
    count, tables = cluster.world_size, link_tables(cluster.topology, cluster.world_size)
    ring = cluster.topology is Topology.RING and count > 2
    columns = min(most_columns, -(-count // 2) if ring else count)
    words = [_words(cluster, rank, len(table)) for rank, table in enumerate(tables)]
    longest = max(len(line) for lines in words for line in lines)
    width = max(LEAST_WIDTH, 2 * PAD + LETTER * longest)
    height = 2 * PAD + LINE * max(map(len, words))
    boxes = []
    for rank in range(count):
        row, column = divmod(rank, columns)
        if row % 2 and cluster.topology in (Topology.LINE, Topology.RING):
            column = columns - 1 - column
        x, y = EDGE + column * (width + GAP_X), EDGE + row * (height + GAP_Y)
        boxes.append(_Box(rank, x, y, width, height, words[rank]))
    return boxes


def _words(cluster: Cluster, rank: int, ports: int) -> tuple[str, ...]:
    """Title, ports, and the host's cable."""
    device = cluster.devices[rank]
    name = device.board or device.name
    words = [f"rank {rank}: {name if len(name) <= LONGEST else name[: LONGEST - 1] + '…'}"]
    for link in link_tables(cluster.topology, cluster.world_size)[rank][:2]:
        peer = link.peer_rank
        port = port_to(cluster.topology, cluster.world_size, rank, peer)
        kind = cluster.link_of((rank, peer)).kind
        name = port_name(device.board, kind, port == NEXT_PORT) if port <= NEXT_PORT else ""
        words.append(f"port {port}" + (f": {name}" if name else f": {kind.value} to rank {peer}"))
    if ports > 2:
        words.append(f"… to port {ports - 1}, one a device")
    if _has_host(cluster, rank):
        words.append(f"computer: {cluster.host_link.kind.value.upper()}")
    return tuple(words)


def _has_host(cluster: Cluster, rank: int) -> bool:
    """Whether a device is wired to the computer."""
    return cluster.direct or rank in (cluster.input_rank, cluster.output_rank)


def _drawn(box: _Box, cluster: Cluster) -> list[Markup]:
    gateway = _has_host(cluster, box.rank)
    outline = f"M{number(box.x)} {number(box.y)}h{number(box.width)}v{number(box.height)}"
    parts = [path(f"{outline}H{number(box.x)}z", "board gateway" if gateway else "board")]
    for index, words in enumerate(box.words):
        y = box.y + PAD + LINE * (index + 0.8)
        parts.append(text(box.x + PAD, y, words, "label" if index else "title"))
    return parts


def _chain(cluster: Cluster, boxes: list[_Box]) -> Iterator[Markup]:
    for rank, peer, port, far in _wires(cluster):
        yield from _wire(boxes[rank], boxes[peer], port, far)


def _wire(a: _Box, b: _Box, port: int, far: int) -> Iterator[Markup]:
    """A wire between two boxes, with the number of its port at either end."""
    (ax, ay), (bx, by) = a.middle, b.middle
    if ay == by and abs(ax - bx) < 1.5 * (a.width + GAP_X):
        left, right = (a, b) if ax < bx else (b, a)
        near = (port, far) if ax < bx else (far, port)
        x1, x2 = left.x + left.width, right.x
        yield line(x1, ay, x2, ay, "wire")
        yield text(x1 + 4, ay - 4, str(near[0]), "port")
        yield text(x2 - 4, ay - 4, str(near[1]), "port", "end")
    elif ax == bx and abs(ay - by) < 1.5 * (a.height + GAP_Y):
        top, bottom = (a, b) if ay < by else (b, a)
        near = (port, far) if ay < by else (far, port)
        y1, y2 = top.y + top.height, bottom.y
        yield line(ax, y1, ax, y2, "wire")
        yield text(ax + 5, y1 + 12, str(near[0]), "port")
        yield text(ax + 5, y2 - 4, str(near[1]), "port")
    else:  # closes a ring: round the outside
        gutter, below = EDGE / 2, max(a.y + a.height, b.y + b.height) + EDGE / 2
        first, last = (a, b) if a.rank < b.rank else (b, a)
        route = f"M{number(first.x)} {number(first.middle[1])}H{number(gutter)}V{number(below)}"
        route += f"H{number(last.middle[0])}V{number(last.y + last.height)}"
        yield path(route, "wire")
        yield text(first.x - 3, first.middle[1] - 4, str(port), "port", "end")
        yield text(last.middle[0] + 5, last.y + last.height + 11, str(far), "port")


def _trunk(cluster: Cluster, boxes: list[_Box], height: float) -> Iterator[Markup]:
    """A star or bus: a trunk on the left, and a branch above each row."""
    rows = sorted({box.y for box in boxes})
    x = EDGE / 2
    if len(boxes) > 1:
        yield line(x, rows[0] - EDGE / 2, x, rows[-1] - EDGE / 2, "wire")
    for y in rows:
        inside = [box for box in boxes if box.y == y]
        yield line(x, y - EDGE / 2, inside[-1].middle[0], y - EDGE / 2, "wire")
        for box in inside:
            yield line(box.middle[0], y - EDGE / 2, box.middle[0], y, "wire")
