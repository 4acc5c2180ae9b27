# SPDX-License-Identifier: Apache-2.0
"""A cluster, wired in another way: what options say instead of a description, or after it."""

from __future__ import annotations

from dataclasses import replace

from tflsplit.cluster.defaults import default_medium, usual_frames, usual_topology
from tflsplit.cluster.links import LINK_DEFAULTS, USB_SPEEDS, LinkKind, LinkSpec
from tflsplit.cluster.spec import Cluster, Device
from tflsplit.wire.topology import Topology


def rewired(
    cluster: Cluster,
    *,
    topology: Topology | None = None,
    link: LinkKind | None = None,
    bit_rate: int | None = None,
    gateway: int | None = None,
    direct: bool | None = None,
    mtu_bytes: int | None = None,
) -> Cluster:
    """The cluster with what is given; None: as it is.

    Numbers of single wires go with another topology or kind of link.  gateway: input enters and
    output leaves there; direct: at every device.  mtu_bytes: from then on no plan takes another.
    Raises ClusterError for a gateway or an MTU that cannot be.
    """
    if link not in (None, cluster.link.kind):
        cluster = with_link(cluster, LINK_DEFAULTS[link])
    if topology not in (None, cluster.topology):
        medium = default_medium(topology, cluster.link)
        cluster = replace(cluster, topology=topology, wires=(), medium=medium)
    if bit_rate is not None:
        cluster = replace(cluster, link=replace(cluster.link, bit_rate=bit_rate))
    if mtu_bytes is not None:
        cluster = replace(cluster, mtu_bytes=mtu_bytes, links_given=True)
    if gateway is not None or direct is not None:
        rank = cluster.input_rank if gateway is None else gateway
        cluster = _at_host(cluster, rank, cluster.direct if direct is None else direct)
    return cluster


def with_link(cluster: Cluster, link: LinkSpec) -> Cluster:
    """The cluster with another link between all its devices.

    To Ethernet and back, a topology that was the usual one becomes the new link's usual one.
    """
    topology = cluster.topology
    if topology is usual_topology(cluster.link.kind):
        topology = usual_topology(link.kind)
    medium = default_medium(topology, link)
    cluster = replace(cluster, link=link, topology=topology, wires=(), medium=medium)
    if cluster.links_given:
        return cluster
    return replace(cluster, **usual_frames(topology, link, cluster.world_size)._asdict())


def _at_host(cluster: Cluster, gateway: int, direct: bool) -> Cluster:
    """Where the host's links are those of the devices' USB, they stay that."""
    is_usb = cluster.host_link == USB_SPEEDS[cluster.devices[cluster.input_rank].usb]
    links = cluster.host_links if direct else ()
    cluster = replace(
        cluster, input_rank=gateway, output_rank=gateway, direct=direct, host_links=links
    )
    return at_usb(cluster) if is_usb else cluster


def at_usb(cluster: Cluster) -> Cluster:
    """The cluster with its host at the USB of its gateways, each of its device's speed."""
    usb = usb_of(cluster.devices)
    links = usb if cluster.direct else ()
    return replace(cluster, host_link=usb[cluster.input_rank], host_links=links)


def usb_of(devices: tuple[Device, ...]) -> tuple[LinkSpec, ...]:
    """The link of each device to a host at its USB."""
    return tuple(USB_SPEEDS[device.usb] for device in devices)
