# SPDX-License-Identifier: Apache-2.0
"""Ways as arrays say what the routes say, one wire at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tflsplit.cluster import Cluster, Edge, LinkKind, default_cluster
from tflsplit.cluster.framing import HOP_FRAME_BYTES, message_frames
from tflsplit.cluster.links import LINK_DEFAULTS
from tflsplit.cluster.ways import bits
from tflsplit.plan.cost.exchange import Message, exchange_cost
from tflsplit.wire.topology import Topology


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Up to 9 devices, wired in any way, each wire of any kind."""
    cluster = default_cluster(draw(st.integers(1, 9)))
    cluster = replace(cluster, topology=draw(st.sampled_from(list(Topology))))
    kinds = st.sampled_from(list(LinkKind))
    wires = sorted(edge for edge in cluster.edges if edge[0] < edge[1])
    return replace(cluster, wires=tuple((w, LINK_DEFAULTS[draw(kinds)]) for w in wires))


@st.composite
def messages(draw: st.DrawFn, cluster: Cluster) -> list[Message]:
    ranks = st.integers(0, cluster.world_size - 1)
    some = st.integers(0, (1 << cluster.world_size) - 1)
    return draw(st.lists(st.tuples(ranks, some, st.integers(0, 2000)), max_size=12))


@given(cluster=clusters(), data=st.data())
def test_a_way_is_what_the_routes_say(cluster: Cluster, data: st.DataObject):
    for source, destinations, _ in data.draw(messages(cluster)):
        way = cluster.ways.way(source, destinations)
        receivers = [rank for rank in bits(destinations) if rank != source]
        tree = cluster.routes.tree(source, destinations)
        edges = cluster.ways.edges
        assert [edges[index] for index in way.data] == list(tree.edges)
        assert [edges[i] for i in way.forwarded] == [e for e in tree.edges if e[0] != source]
        paths = [cluster.routes.path(rank, source) for rank in receivers]
        assert [edges[index] for index in way.grants] == [edge for path in paths for edge in path]
        assert set(way.links) == {cluster.link_of(edge) for edge in tree.edges}
        times = [sum(cluster.link_of(e).frame_us(HOP_FRAME_BYTES) for e in path) for path in paths]
        assert way.grant_us == max(times, default=0.0)


@given(cluster=clusters(), data=st.data())
def test_messages_added_at_once_are_messages_added_one_by_one(
    cluster: Cluster, data: st.DataObject
):
    """Frames of data and GRANTs, and an ACK for each that no frame of the other way answers."""
    frames: Counter[Edge] = Counter()
    payload: Counter[Edge] = Counter()
    sent = data.draw(messages(cluster))
    for source, destinations, payload_bytes in sent:
        receivers = [rank for rank in bits(destinations) if rank != source]
        if not payload_bytes or not receivers:
            continue
        for edge in cluster.routes.tree(source, destinations).edges:
            frames[edge] += message_frames(payload_bytes, cluster.mtu_bytes)[0]
            payload[edge] += payload_bytes
        for rank in receivers:
            frames.update(cluster.routes.path(rank, source))
    acks = {(b, a): max(0, count - frames[b, a]) for (a, b), count in frames.items()}
    cost = exchange_cost(cluster, sent, cluster.routes)
    expected = {edge: frames[edge] + acks.get(edge, 0) for edge in {*frames, *acks}}
    assert cost.frames_per_link == {edge: count for edge, count in expected.items() if count}
    assert cost.payload_per_link == dict(payload)


def test_bits():
    assert list(bits(0b101001)) == [0, 3, 5]
