# SPDX-License-Identifier: Apache-2.0
"""The cluster that boards make which were found: what is planned for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tflsplit.api.clusters import board_cluster
from tflsplit.cluster import Cluster
from tflsplit.cluster.defaults import default_medium
from tflsplit.cluster.rings import LEAN_MTU_BYTES, MIN_RX_SLOTS
from tflsplit.cluster.spec import Device
from tflsplit.deploy.slices import rings_of, slots_of
from tflsplit.deploy.survey import BoardIdentity
from tflsplit.deploy.wiring import Wiring
from tflsplit.deploy.words import components, shape, topology_words
from tflsplit.errors import ClusterError
from tflsplit.wire.topology import NEXT_PORT, Topology

_POSTED_BYTES = 4 * 1024
"""Posted SENDs, and the tables of a node's slots."""
_HEAD_BYTES = 1024
"""Of an image beside the model."""
_SHAPES = {
    "ring": Topology.RING,
    "line": Topology.LINE,
    "star": Topology.STAR,
    "one": Topology.LINE,
}


def cluster_of_found(wiring: Wiring) -> Cluster:
    """The boards behind the first port, by rank, with what each has.

    Raises ClusterError for boards that no firmware is known of, and wires that no plan is for.
    """
    ranks = ranks_of_found(wiring)
    return _with_limits(wiring, ranks, _SHAPES[shape(wiring, ranks)])


def ranks_of_found(wiring: Wiring) -> list[int]:
    """The boards behind the first port in the order of their ranks, as places in ``boards``.

    Ranks go along the cables: a ring's from the gateway on, a line's from an end, a star's from
    its hub.  Raises ClusterError for wires that no plan is for.
    """
    if wiring.problems:
        raise ClusterError("; ".join(wiring.problems))
    group = next(g for g in components(wiring) if wiring.gateways[0] in g)
    kind = shape(wiring, group)
    if kind not in _SHAPES:
        raise ClusterError(
            f"{topology_words(wiring)}: plans are for rings, lines and stars; pull cables until "
            "the boards are one of these"
        )
    return _ranks(wiring, group, kind)


def _ranks(wiring: Wiring, group: list[int], kind: str) -> list[int]:
    if kind == "star":
        hub = max(group, key=wiring.degree)
        return [hub, *(there for _, there, _ in wiring.neighbours(hub))]
    if kind == "line":
        ends = [board for board in group if wiring.degree(board) == 1]
        # From the end whose cable is in its port 1, as the next rank's is in port 0.
        return _walk(wiring, max(ends, key=lambda end: next(wiring.neighbours(end))[0]))
    return _walk(wiring, wiring.gateways[0])


def _walk(wiring: Wiring, start: int) -> list[int]:
    found = [start]
    while True:
        ways = sorted(wiring.neighbours(found[-1]), key=lambda way: way[0] != NEXT_PORT)
        step = next((there for _, there, _ in ways if there not in found), None)
        if step is None:
            return found
        found.append(step)


def _with_limits(wiring: Wiring, ranks: list[int], topology: Topology) -> Cluster:
    cluster = board_cluster(len(ranks), [wiring.boards[board].kind for board in ranks])
    gateway = ranks.index(wiring.gateways[0])
    identities = [wiring.boards[board].identity for board in ranks]
    rate = min(one.baud for one in identities)
    link = replace(cluster.link, bit_rate=rate) if rate else cluster.link
    cluster = replace(
        cluster,
        topology=topology,
        medium=default_medium(topology, link),
        link=link,
        input_rank=gateway,
        output_rank=gateway,
    )
    cluster = _with_rings(cluster, identities)
    devices = tuple(
        _limited(cluster, rank, device, identity)
        for rank, (device, identity) in enumerate(zip(cluster.devices, identities, strict=True))
    )
    return replace(cluster, devices=devices)


def _with_rings(cluster: Cluster, identities: Sequence[BoardIdentity]) -> Cluster:
    """No more in transit than the boards' firmware has room to receive."""
    sending = [one.tx_ring_bytes for one in identities if one.tx_ring_bytes]
    if slots_of(cluster.mtu_bytes, cluster.rx_slots, identities) < MIN_RX_SLOTS:
        cluster = replace(cluster, mtu_bytes=LEAN_MTU_BYTES)
    return replace(
        cluster,
        rx_slots=max(MIN_RX_SLOTS, slots_of(cluster.mtu_bytes, cluster.rx_slots, identities)),
        port_rx_bytes=min(rings_of(identities), default=None),
        port_tx_bytes=min(sending, default=None),
    )


def _limited(cluster: Cluster, rank: int, device: Device, identity: BoardIdentity) -> Device:
    """What the board says that it has, less its links."""
    # The port's ring buffers are the firmware's own.
    room = identity.work_bytes - cluster.node_bytes(rank) - _POSTED_BYTES
    return replace(
        device,
        arena_limit_bytes=max(0, room),
        weights_limit_bytes=max(0, identity.store_bytes - _HEAD_BYTES),
        banks=(),  # generic firmware has one piece of work memory
    )
