# SPDX-License-Identifier: Apache-2.0
"""``cluster.toml`` (docs/cluster_toml.md) into a ``Cluster``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tflsplit.cluster.boards import board_names, known_board
from tflsplit.cluster.defaults import default_medium, usual_frames, usual_topology
from tflsplit.cluster.device_table import read_device, refuse_unknown_keys
from tflsplit.cluster.links import (
    LINK_DEFAULTS,
    USB_SPEEDS,
    FlowControl,
    LinkKind,
    LinkSpec,
    Medium,
)
from tflsplit.cluster.rates import own_rate
from tflsplit.cluster.rewired import usb_of
from tflsplit.cluster.routes import Edge
from tflsplit.cluster.spec import Cluster, Device
from tflsplit.cluster.table import Table
from tflsplit.cluster.toml_file import TomlFile
from tflsplit.errors import ClusterError
from tflsplit.wire.frames import MAX_MTU_BYTES, MAX_NODES, MIN_MTU_BYTES
from tflsplit.wire.topology import Topology

VERSION = 1
_RATE_NAMES = {"baud": LinkKind.UART, "clock_hz": LinkKind.SPI}


def read_cluster(path: str | Path) -> Cluster:
    """The cluster that a file describes; ClusterError that names file, line and key."""
    return _cluster(TomlFile.read(Path(path)))


def parse_cluster(text: str, name: str = "cluster.toml") -> Cluster:
    """The cluster that a text describes; ``name`` is what errors call it."""
    return _cluster(TomlFile.parse(text, name))


def _cluster(file: TomlFile) -> Cluster:
    return read_table(Table.root(file))


def read_table(root: Table) -> Cluster:
    """The cluster that a whole file describes; ClusterError as its table raises it."""
    root.integer("version", VERSION, low=VERSION, high=VERSION)
    devices = _devices(root)
    world_size = len(devices)
    gateway = root.integer("gateway_rank", 0, high=world_size - 1)
    boards = [device.board for device in devices]
    link = _link(root.table("link"), LINK_DEFAULTS[LinkKind.UART], boards)
    topology = root.choice("topology", usual_topology(link.kind))
    link_layer, usual = root.table("link_layer"), usual_frames(topology, link, world_size)
    arguments = {
        "input_rank": root.integer("input_rank", gateway, high=world_size - 1),
        "output_rank": root.integer("output_rank", gateway, high=world_size - 1),
        "teams": root.integer("teams", 1, low=1, high=MAX_NODES),
        "mtu_bytes": _mtu(link_layer, usual.mtu_bytes),
        "rx_slots": link_layer.integer("rx_slots", usual.rx_slots, low=2, high=15),
        "tx_slots": link_layer.integer("tx_slots", usual.tx_slots, low=1, high=64),
    }
    flow_control = link_layer.choice("flow_control", FlowControl.NONE)
    links_given = any(map(link_layer.has, ("mtu_bytes", "rx_slots", "tx_slots")))
    rings = [_ring(link_layer, key) for key in ("port_rx_bytes", "port_tx_bytes")]
    background_poll_us = link_layer.optional_number("background_poll_us", None)
    link_layer.refuse_unknown()
    medium = root.choice("medium", default_medium(topology, link))
    if topology is Topology.BUS and medium is Medium.POINT_TO_POINT:
        raise root.error("medium", "a bus is 'shared' or 'switched'; for wires of their own use "
                         "topology = \"ring\", \"line\" or \"star\"")  # fmt: skip
    host = root.table("host")
    direct = host.boolean("direct", False)
    stream = host.boolean("stream", False) if host.has("stream") else None
    ahead = host.boolean("ahead", False)
    if direct and (root.has("input_rank") or root.has("output_rank")):
        raise host.error("direct", "input enters and output leaves at every device: leave out "
                         "input_rank and output_rank")  # fmt: skip
    usb_only = not host.content.keys() - {"ahead", "direct", "stream"}
    host_link = _link(host, USB_SPEEDS[devices[gateway].usb])
    wires = tuple(_wire(table, link, topology, boards) for table in root.tables("wire"))
    root.refuse_unknown()
    try:
        return Cluster(
            devices,
            topology,
            link,
            host_link,
            medium=medium,
            wires=wires,
            port_rx_bytes=rings[0],
            port_tx_bytes=rings[1],
            flow_control=flow_control,
            links_given=links_given,
            background_poll_us=background_poll_us,
            direct=direct,
            stream=stream,
            ahead=ahead,
            host_links=usb_of(devices) if direct and usb_only else (),
            **arguments,
        )
    except ClusterError as error:
        raise ClusterError(f"{root.file.name}: {error}") from None


def _devices(root: Table) -> tuple[Device, ...]:
    devices: list[Device] = []
    for table in root.tables("device"):
        refuse_unknown_keys(table)
        board = None
        if table.has("board"):
            board = known_board(table.text("board", None, board_names()))
        count = table.integer("count", 1, low=1, high=MAX_NODES)
        first = len(devices)
        device = read_device(table, board, board.board if board else "device")
        table.refuse_unknown()
        devices += [replace(device, name=f"{device.name}-{first + i}") for i in range(count)]
    if not devices:
        raise root.error("device", "a cluster needs at least one [[device]]")
    if len(devices) > MAX_NODES:
        raise root.error("device", f"{len(devices)} devices; at most {MAX_NODES} can be addressed")
    return tuple(devices)


def _link(table: Table, default: LinkSpec, boards: Sequence[str] = ()) -> LinkSpec:
    """The numbers of a link; kind and rate set the rest where it is not given.

    boards: whose slowest one's own rate it has where no rate is given.
    """
    kind = table.choice("kind", default.kind)
    base = default if kind is default.kind else LINK_DEFAULTS[kind]
    if base is LINK_DEFAULTS[kind]:
        base = replace(base, bit_rate=own_rate(boards, kind) or base.bit_rate)
    link = replace(
        base,
        kind=kind,
        bit_rate=_bit_rate(table, kind, base.bit_rate),
        bits_per_byte=table.number("bits_per_byte", base.bits_per_byte, low=1.0),
        frame_overhead_bytes=table.integer("frame_overhead_bytes", base.frame_overhead_bytes),
        frame_overhead_us=table.number("frame_overhead_us", base.frame_overhead_us),
        step_overhead_us=table.number("step_overhead_us", base.step_overhead_us),
        duplex=table.choice("duplex", base.duplex),
    )
    if "ranks" not in table.taken:
        table.refuse_unknown()
    return link


def _bit_rate(table: Table, kind: LinkKind, default: int) -> int:
    """``bit_rate``, or the word that a kind of link uses for it: ``baud`` or ``clock_hz``."""
    names = ["bit_rate", *(name for name, its_kind in _RATE_NAMES.items() if its_kind is kind)]
    given = [name for name in names if table.has(name)]
    if len(given) > 1:
        raise table.error(given[1], f"says the same as {given[0]!r}; give one of them")
    for name, its_kind in _RATE_NAMES.items():
        if its_kind is not kind and name in table.content:
            raise table.error(name, f"is for kind = \"{its_kind.value}\"; a link of kind "
                              f"\"{kind.value}\" has {' or '.join(names)}")  # fmt: skip
    return table.integer(given[0] if given else "bit_rate", default, low=1000)


def _wire(
    table: Table, link: LinkSpec, topology: Topology, boards: Sequence[str]
) -> tuple[Edge, LinkSpec]:
    size = len(boards)
    edge = table.ranks("ranks", size)
    if not _are_neighbours(topology, size, edge):
        raise table.error("ranks", f"a {topology.value} of {size} has no wire between "
                          f"{edge[0]} and {edge[1]}")  # fmt: skip
    numbers = _link(table, link, boards)
    table.refuse_unknown()
    return edge, numbers


def _are_neighbours(topology: Topology, world_size: int, edge: Edge) -> bool:
    if topology is Topology.BUS:
        return True
    if topology is Topology.STAR:
        return edge[0] == 0
    closing = topology is Topology.RING and edge == (0, world_size - 1)
    return edge[1] == edge[0] + 1 or closing


def _ring(table: Table, key: str) -> int | None:
    return table.integer(key, None, low=64, high=65536) if table.has(key) else None


def _mtu(table: Table, usual_bytes: int) -> int:
    mtu_bytes = table.integer("mtu_bytes", usual_bytes, low=MIN_MTU_BYTES, high=MAX_MTU_BYTES)
    if mtu_bytes % 4:
        raise table.error("mtu_bytes", f"{mtu_bytes} is no multiple of 4")
    return mtu_bytes
