# SPDX-License-Identifier: Apache-2.0
"""A cluster with the keys of cluster.toml, as a JSON object: what an output folder remembers.

::

    {"topology": "ring", "link": {"kind": "uart", "bit_rate": 6000000},
     "device": [{"board": "teensy41", "count": 8}]}

A device that is a board says so, and beside it only what differs from the board's numbers: what is
learned of a board later holds for older folders too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from tflsplit.cluster.banks import KEY, bank_tables
from tflsplit.cluster.boards import board_names, known_board
from tflsplit.cluster.cycles import Cycles
from tflsplit.cluster.defaults import default_medium
from tflsplit.cluster.links import LINK_DEFAULTS, USB_SPEEDS, FlowControl, LinkSpec
from tflsplit.cluster.read import VERSION, read_table
from tflsplit.cluster.spec import Cluster, Device
from tflsplit.cluster.table import Table
from tflsplit.cluster.toml_file import Path_, TomlFile, dotted
from tflsplit.errors import ClusterError

_LINK_LAYER = ("mtu_bytes", "rx_slots", "tx_slots")
_RINGS = ("port_rx_bytes", "port_tx_bytes")
_TAKEN_WITH = {"ram_bytes": "ram_block_bytes"}  # without the second, the first is taken for both


class _Document(TomlFile):
    """An object of a JSON file, for the reader of cluster.toml."""

    def error(self, path: Path_, problem: str) -> ClusterError:
        """``plan.json: cluster.link.baud: …``; the caller raises it."""
        return ClusterError(f"{self.name}: {dotted(('cluster', *path))}{problem}")


def cluster_document(cluster: Cluster) -> dict[str, Any]:
    """The cluster as an object; ``cluster_of_document`` reads it back."""
    document: dict[str, Any] = {"version": VERSION, "topology": cluster.topology.value}
    if cluster.medium is not default_medium(cluster.topology, cluster.link):
        document["medium"] = cluster.medium.value
    if cluster.input_rank == cluster.output_rank:
        document["gateway_rank"] = cluster.input_rank
    else:
        document |= {"input_rank": cluster.input_rank, "output_rank": cluster.output_rank}
    if cluster.teams > 1:
        document["teams"] = cluster.teams
    document["link"] = _link(cluster.link, LINK_DEFAULTS[cluster.link.kind])
    if cluster.wires:
        document["wire"] = [
            {"ranks": list(edge), **_link(link, cluster.link)} for edge, link in cluster.wires
        ]
    if host := _host(cluster):
        document["host"] = host
    layer = {key: getattr(cluster, key) for key in _LINK_LAYER}
    layer |= {key: value for key in _RINGS if (value := getattr(cluster, key)) is not None}
    if cluster.flow_control is not FlowControl.NONE:
        layer["flow_control"] = cluster.flow_control.value
    if cluster.background_poll_us is not None:
        layer["background_poll_us"] = cluster.background_poll_us
    return {**document, "link_layer": layer, "device": _devices(cluster)}


def cluster_of_document(document: Mapping[str, Any], name: str) -> Cluster:
    """The cluster of an object; ClusterError that names file and key where it is none.

    name: of the file that holds it.
    """
    return read_table(Table.root(_Document(name, "", dict(document))))


def _host(cluster: Cluster) -> dict[str, Any]:
    """What differs from the USB of the devices at the host."""
    usb = USB_SPEEDS[cluster.devices[cluster.input_rank].usb]
    own = cluster.host_link != usb or (cluster.direct and not cluster.host_links)
    said = {"direct": True} if cluster.direct else {}
    if cluster.stream is not None:
        said["stream"] = cluster.stream
    if cluster.ahead:
        said["ahead"] = True
    return {**said, **(_link(cluster.host_link, None) if own else {})}


def _link(link: LinkSpec, default: LinkSpec | None) -> dict[str, Any]:
    """Kind and rate, and what differs from a link that is known."""
    numbers: dict[str, Any] = {"kind": link.kind.value, "bit_rate": link.bit_rate}
    for item in fields(LinkSpec):
        value = getattr(link, item.name)
        known = None if default is None else getattr(default, item.name)
        if item.name not in numbers and (value != known or default is None):
            numbers[item.name] = value.value if item.name == "duplex" else value
    return numbers


def _devices(cluster: Cluster) -> list[dict[str, Any]]:
    """One entry for equal devices that follow each other."""
    entries: list[dict[str, Any]] = []
    for device in cluster.devices:
        entry = _device(device)
        if entries and {**entries[-1], "count": 1} == {**entry, "count": 1}:
            entries[-1]["count"] += 1
        else:
            entries.append({**entry, "count": 1})
    return entries


def _device(device: Device) -> dict[str, Any]:
    name = re.sub(r"-\d+$", "", device.name)  # the reader adds the rank
    base = known_board(device.board) if device.board in board_names() else None
    entry: dict[str, Any] = {} if base is None else {"board": device.board}
    if name != device.board:
        entry["name"] = name
    for item in fields(Device):
        value = getattr(device, item.name)
        if item.name in ("name", "board", "cycles", "banks") or value is None:
            continue
        if base is None or value != getattr(base, item.name):
            entry[item.name] = value
    for key, other in _TAKEN_WITH.items():
        if key in entry:
            entry[other] = getattr(device, other)
    if device.banks != (() if base is None else base.banks):
        entry[KEY] = bank_tables(device.banks)
    if base is None or device.cycles != base.cycles:
        entry["cycles_per_mac"] = _cycles(device.cycles)
    return entry


def _cycles(cycles: Cycles) -> dict[str, float]:
    numbers = {item.name: getattr(cycles, item.name) for item in fields(Cycles)}
    return {key: number for key, number in numbers.items() if number is not None}
