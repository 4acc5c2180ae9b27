# SPDX-License-Identifier: Apache-2.0
"""The hardware that a plan is made for: devices, boards, links, topology (docs/cluster_toml.md)."""

from tflsplit.cluster.boards import board_names, board_sources, known_board
from tflsplit.cluster.cycles import BESIDE_MACS, Cycles, Family
from tflsplit.cluster.defaults import default_cluster
from tflsplit.cluster.framing import message_frames
from tflsplit.cluster.links import Duplex, LinkKind, LinkSpec, Medium
from tflsplit.cluster.read import parse_cluster, read_cluster
from tflsplit.cluster.routes import Edge, Routes
from tflsplit.cluster.spec import Cluster, Device
from tflsplit.cluster.ticks import tick_period_us
from tflsplit.cluster.written import cluster_document, cluster_of_document
from tflsplit.wire.topology import Topology

__all__ = [
    "BESIDE_MACS",
    "Cluster",
    "Cycles",
    "Device",
    "Duplex",
    "Edge",
    "Family",
    "LinkKind",
    "LinkSpec",
    "Medium",
    "Routes",
    "Topology",
    "board_names",
    "board_sources",
    "cluster_document",
    "cluster_of_document",
    "default_cluster",
    "known_board",
    "message_frames",
    "parse_cluster",
    "read_cluster",
    "tick_period_us",
]
