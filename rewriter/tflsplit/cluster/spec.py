# SPDX-License-Identifier: Apache-2.0
"""The frozen description of a cluster; what is left of each device's memory for the network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from tflsplit.cluster.banks import Bank, shared_out
from tflsplit.cluster.cycles import Cycles
from tflsplit.cluster.links import Duplex, FlowControl, LinkKind, LinkSpec, Medium
from tflsplit.cluster.rings import ring_bytes
from tflsplit.cluster.routes import Edge, Routes
from tflsplit.cluster.ticks import tick_period_us
from tflsplit.cluster.ways import Ways
from tflsplit.errors import ClusterError
from tflsplit.wire.frames import MAX_MTU_BYTES, MAX_NODES, MIN_MTU_BYTES
from tflsplit.wire.topology import LinkTable, Topology, link_tables, unchecked_tables


@dataclass(frozen=True)
class Device:
    """One device.

    board: its name in the table of boards, "" if the file describes it itself.
    ram_bytes: all RAM for data, but banks; ram_block_bytes: the largest block of it in one piece,
        into which the arena must fit, or what of it is not in banks.
    banks: RAM for activations that find no room there, the fastest first.
    flash_bytes: all flash for program and weights.
    stack_bytes, runtime_bytes: RAM for the stack, and for TFLM's interpreter, the board's core and
        static data; code_bytes: flash for the program.
    arena_limit_bytes, weights_limit_bytes: what the user gives at most; None: all that is left.
    kernels: "reference", "cmsis_nn" or, on a core with vectors, "cmsis_nn_mve"; abi: see
        ``tflsplit.memory.abi``. Both for the arena.
    flash_bytes_per_s: how fast weights come from flash where the processor waits for them, and
        flash_cache_bytes: what a cache holds of them; None: that is in ``cycles``.
    active_mw, idle_mw: power while computing and while waiting; None where no source is known.
    usb: the speed of its USB, "full" (12 Mbit/s) or "high" (480 Mbit/s).
    """

    name: str
    board: str
    ram_bytes: int
    ram_block_bytes: int
    flash_bytes: int
    clock_hz: int
    cycles: Cycles
    stack_bytes: int = 8192
    runtime_bytes: int = 16384
    code_bytes: int = 196608
    arena_limit_bytes: int | None = None
    weights_limit_bytes: int | None = None
    kernels: str = "cmsis_nn"
    abi: str = "cortex_m"
    flash_bytes_per_s: float | None = None
    flash_cache_bytes: int = 0
    active_mw: float | None = None
    idle_mw: float | None = None
    usb: str = "full"
    banks: tuple[Bank, ...] = ()

    def cycles_us(self, cycles: float) -> float:
        """Time of so many clock cycles."""
        return cycles * 1e6 / self.clock_hz

    @property
    def weights_room_bytes(self) -> int:
        """Flash that is left for the device graph's file; 0 if the program alone is too large."""
        room = max(0, self.flash_bytes - self.code_bytes)
        return room if self.weights_limit_bytes is None else min(room, self.weights_limit_bytes)


@dataclass(frozen=True)
class Cluster:
    """Devices by rank, and how they are wired.

    link: of every wire; wires: of single ones instead, by (lower rank, higher rank).
    input_rank, output_rank: the device through which input enters, and by which output leaves.
    host_link: the link over which they do; its far end is the host, rank ``world_size``.
    stream: devices may ask for their input as they read it, a few rows at a time; None: where a
        plan for the least RAM is smaller so, and not of one device.
    ahead: devices have memory for the next inference's input, which comes while this one computes.
    direct: every device has a link to the host, and gets its own input and gives its own output
        over it; host_links: by rank, instead of ``host_link``; (): all are that.
    teams: so many clusters like this one work side by side, each on ports of the host's own
        (``cluster.teams``); everything else here is of one of them.
    mtu_bytes, rx_slots, tx_slots: of the link layer (docs/wire_format.md); links_given: the user
        said so, or a plan did, so that no plan takes others.
    port_rx_bytes, port_tx_bytes: a link's ring buffers in the board's port; None: by their rule
        (``rings``).
    flow_control: of UARTs between devices.
    background_poll_us: how often links are polled while a kernel runs; 0: not at all; None: by each
        device's clock (``tick_period_us``).
    """

    devices: tuple[Device, ...]
    topology: Topology
    link: LinkSpec
    host_link: LinkSpec
    input_rank: int = 0
    output_rank: int = 0
    medium: Medium = Medium.POINT_TO_POINT
    wires: tuple[tuple[Edge, LinkSpec], ...] = ()
    mtu_bytes: int = 512
    rx_slots: int = 4
    tx_slots: int = 4
    port_rx_bytes: int | None = None
    port_tx_bytes: int | None = None
    flow_control: FlowControl = FlowControl.NONE
    background_poll_us: float | None = None
    direct: bool = False
    stream: bool | None = None
    ahead: bool = False
    host_links: tuple[LinkSpec, ...] = ()
    teams: int = 1
    links_given: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.world_size <= MAX_NODES:
            raise ClusterError(f"a cluster has 1 to {MAX_NODES} devices, not {self.world_size}")
        if not MIN_MTU_BYTES <= self.mtu_bytes <= MAX_MTU_BYTES or self.mtu_bytes % 4:
            raise ClusterError(
                f"mtu_bytes must be a multiple of 4 from {MIN_MTU_BYTES} to {MAX_MTU_BYTES}, "
                f"not {self.mtu_bytes}"
            )
        if not 1 <= self.teams <= MAX_NODES:
            raise ClusterError(f"there can be 1 to {MAX_NODES} teams, not {self.teams}")
        self._check_host()
        for (low, high), _ in self.wires:
            if low >= high or (low, high) not in self.edges:
                raise ClusterError(f"a {self.topology.value} has no wire between {low} and {high}")

    def _check_host(self) -> None:
        for what, rank in (("input", self.input_rank), ("output", self.output_rank)):
            if not 0 <= rank < self.world_size:
                raise ClusterError(f"the {what} rank {rank} is none of 0..{self.world_size - 1}")
        if self.direct and self.input_rank != self.output_rank:
            raise ClusterError(
                "with direct = true, input enters and output leaves at every device: "
                "leave out input_rank and output_rank"
            )
        if self.ahead and self.stream:
            raise ClusterError("a streamed input is asked for as it is read, not ahead: not both")
        if self.host_links and not (self.direct and len(self.host_links) == self.world_size):
            raise ClusterError("links to the host are one for each device that has one")

    @property
    def world_size(self) -> int:
        """How many devices."""
        return len(self.devices)

    def poll_period_us(self, rank: int) -> float:
        """How often this device polls its links while a kernel runs; 0: not at all."""
        if self.background_poll_us is not None:
            return self.background_poll_us
        return tick_period_us(self.devices[rank].clock_hz)

    @property
    def host_rank(self) -> int:
        """The rank of what gives the input and takes the output."""
        return self.world_size

    @property
    def gateways(self) -> tuple[int, ...]:
        """The devices by which input enters."""
        return tuple(range(self.world_size)) if self.direct else (self.input_rank,)

    @property
    def output_gateways(self) -> tuple[int, ...]:
        """The devices by which output leaves."""
        return self.gateways if self.direct else (self.output_rank,)

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """By rank, a number that is equal for devices that are alike in all but their names."""
        kinds: dict[Device, int] = {}
        return tuple(kinds.setdefault(replace(d, name=""), len(kinds)) for d in self.devices)

    @cached_property
    def edges(self) -> frozenset[Edge]:
        """Every direction of every wire between devices."""
        return frozenset(
            (rank, link.peer_rank) for rank, table in enumerate(self._tables) for link in table
        )

    @cached_property
    def _tables(self) -> tuple[tuple[LinkTable, ...], ...]:
        return link_tables(self.topology, self.world_size)

    @cached_property
    def _links(self) -> dict[Edge, LinkSpec]:
        links = dict.fromkeys(self.edges, self.link)
        for (low, high), link in self.wires:
            links[low, high] = links[high, low] = link
        return links

    @cached_property
    def routes(self) -> Routes:
        """Ways between devices, and between them and the host where input enters."""
        return Routes(unchecked_tables(self.topology, self.world_size, self.gateways))

    @cached_property
    def output_routes(self) -> Routes:
        """The same with the host where output leaves."""
        gateways = self.output_gateways
        return Routes(unchecked_tables(self.topology, self.world_size, gateways))

    @cached_property
    def ways(self) -> Ways:
        """What messages along ``routes`` do to each wire."""
        return Ways(self.routes, self.link_of)

    @cached_property
    def output_ways(self) -> Ways:
        """The same along ``output_routes``."""
        return Ways(self.output_routes, self.link_of)

    def link_of(self, edge: Edge) -> LinkSpec:
        """The numbers of a wire, in either direction."""
        if self.host_links and max(edge) == self.host_rank:
            return self.host_links[min(edge)]
        return self._links.get(edge, self.host_link)

    @property
    def multicasts(self) -> bool:
        """Whether what most devices get leaves once: on Ethernet, where all have one switch."""
        is_ethernet = self.link.kind is LinkKind.ETHERNET and self.medium is Medium.SWITCHED
        return is_ethernet and self.topology is Topology.BUS

    def resources_of(self, edge: Edge) -> tuple[str | Edge, ...]:
        """What a frame on this wire occupies: two frames that name the same thing must queue."""
        low, high = min(edge), max(edge)
        half = self.link_of(edge).duplex is Duplex.HALF
        if high == self.host_rank or self.medium is Medium.POINT_TO_POINT:
            return ((low, high) if half else edge,)
        if self.medium is Medium.SHARED:
            return ("bus" if half or self.topology is Topology.BUS else self._direction(edge),)
        sender, receiver = edge
        if half:
            return f"port {sender}", f"port {receiver}"
        return f"port {sender} out", f"port {receiver} in"

    def _direction(self, edge: Edge) -> str:
        """On a bus with a master, full duplex: away from it and towards it."""
        return "bus down" if edge[0] == 0 else "bus up"

    def link_count(self, rank: int) -> int:
        """Links of a device, that to the host included."""
        host = rank in self.gateways or rank in self.output_gateways
        return len(self._tables[rank]) + host

    def link_buffer_bytes(self, rank: int) -> int:
        """RAM of a device's links: frame buffers, link state, the port's ring buffers.

        Frame buffers are ``links * (rx_slots + 1) + tx_slots`` of ``mtu_bytes``; the state of three
        links is 2,704 bytes (both docs/wire_format.md, "Sizes and rates"), counted here for three
        at least and in proportion above.
        """
        rings = len(self._tables[rank]) * sum(self.ring_bytes(rank))
        return self.node_bytes(rank) + rings if self.link_count(rank) else 0

    def node_bytes(self, rank: int) -> int:
        """Of ``link_buffer_bytes``, all but the port's ring buffers."""
        links = self.link_count(rank)
        frames = (links * (self.rx_slots + 1) + self.tx_slots) * self.mtu_bytes
        return frames + -(-2800 * max(3, links) // 3) if links else 0

    def ring_bytes(self, rank: int) -> tuple[int, int]:
        """The receiving and the sending ring buffer of each link of a device to another.

        The host, which is a computer, has a large one.
        """
        given = self.port_rx_bytes, self.port_tx_bytes
        if rank == self.host_rank:
            return ring_bytes(given, self.mtu_bytes, self.rx_slots, 1.0, poll_us=0.0)
        byte_us = [self.link_of((rank, peer.peer_rank)).byte_us for peer in self._tables[rank]]
        fastest, poll_us = min(byte_us, default=1.0), self.poll_period_us(rank)
        return ring_bytes(given, self.mtu_bytes, self.rx_slots, fastest, poll_us)

    def reserved_bytes(self, rank: int) -> int:
        """RAM of a device beside the tensor arena: stack, runtime and links."""
        device = self.devices[rank]
        return device.stack_bytes + device.runtime_bytes + self.link_buffer_bytes(rank)

    def arena_rooms(self, rank: int, beside_bytes: int = 0) -> tuple[int, ...]:
        """RAM for the tensor arena: of the main RAM without so much beside it, then each bank."""
        device = self.devices[rank]
        room = device.ram_bytes - self.reserved_bytes(rank) - beside_bytes
        room = max(0, min(device.ram_block_bytes, room))
        return shared_out((room, *(b.size_bytes for b in device.banks)), device.arena_limit_bytes)

    def arena_room_bytes(self, rank: int) -> int:
        """All of ``arena_rooms``; 0 if the rest alone is too large."""
        return sum(self.arena_rooms(rank))

    def weights_room_bytes(self, rank: int) -> int:
        """Flash that is left for a device graph's file."""
        return self.devices[rank].weights_room_bytes
