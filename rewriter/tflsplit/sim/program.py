# SPDX-License-Identifier: Apache-2.0
"""A device graph as the steps that take time: its own SENDs and RECVs, in its own order."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tflsplit.cluster import Device
from tflsplit.errors import ModelError
from tflsplit.ir import Node, Value
from tflsplit.ops import Box
from tflsplit.ops.own.chain_options import ChainOptions
from tflsplit.ops.own.custom_options import (
    AskOptions,
    RecvOptions,
    RecvPiece,
    SendOptions,
    sent_from,
)
from tflsplit.plan.cost import local_node_us
from tflsplit.plan.cost.banks import banks_us
from tflsplit.sim.block import BlockRows, Rows, rows_of
from tflsplit.split.devices import DeviceGraph
from tflsplit.wire import custom_ops as wire

INPUT_CHANNEL = 0xF000
OUTPUT_CHANNEL = 0xF800
"""docs/cluster_protocol.md."""


@dataclass(frozen=True)
class Landing:
    """Where a piece comes to lie that a block reads while it comes.

    rows: of the block's x; row_bytes: of each, if they lie there without gaps and so come one after
        the other; 0: there are gaps.
    """

    channel: int
    source: int
    rows: Rows
    row_bytes: int


@dataclass(frozen=True)
class Compute:
    """A kernel.

    block: how it goes over its rows, if it reads what an early RECV brings; landings: of that.
    """

    node: str
    us: float
    block: BlockRows | None = None
    landings: tuple[Landing, ...] = ()


@dataclass(frozen=True)
class Post:
    """A SEND: (destinations as bits, bytes) of each message."""

    node: str
    channel: int
    messages: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Ask:
    """An ASK: (channel, source, bytes) of each message."""

    node: str
    pieces: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Receive:
    """A RECV.

    us: of its copying; pieces: (channel, source, bytes), perhaps asked for before.
    pending: channels to be released; landings: of an early one.
    """

    node: str
    us: float
    pieces: tuple[tuple[int, int, int], ...]
    pending: frozenset[int]
    landings: tuple[Landing, ...] = ()


Step = Compute | Post | Ask | Receive


@dataclass(frozen=True)
class Program:
    """What one device does for one input.

    inputs: by operand of the graph, the whole tensor, the box and its bytes; outputs: bytes.
    """

    rank: int
    inputs: tuple[tuple[str, Box, int], ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]


def program_of(device: DeviceGraph, hardware: Device) -> Program:
    """The steps of a device graph on its device; ModelError if its options are malformed."""
    graph = device.graph
    posted: dict[Value, set[int]] = defaultdict(set)
    steps: list[Step] = []
    rolling: Node | None = None
    waits_us = banks_us(graph, hardware)
    for node in graph.nodes:
        if node.op == wire.SEND:
            options = SendOptions.of(node)
            posted[sent_from(node)].add(options.channel)
            steps.append(_post(node, options))
        elif node.op == wire.ASK:
            steps.append(Ask(node.name, AskOptions.of(node).messages))
        elif node.op == wire.RECV and RecvOptions.of(node).rolling:
            rolling = node
        elif node.op == wire.CHAIN and ChainOptions.of(node).rolling:
            steps += _in_turn(rolling, node, posted, hardware, waits_us)
        elif node.op == wire.RECV:
            steps.append(_receive(node, posted, hardware, waits_us))
        else:
            steps.append(_compute(node, steps[-1] if steps else None, hardware, waits_us))
    inputs = ((device.shards[value.name], value.size_bytes) for value in graph.inputs)
    return Program(
        device.rank,
        tuple((shard.tensor, shard.box, size) for shard, size in inputs),
        tuple(steps),
        tuple(value.size_bytes for value in graph.outputs),
    )


_Waits = Mapping[Node, float]
"""What nodes wait for banks."""


def _compute(node: Node, before: Step | None, hardware: Device, waits_us: _Waits) -> Compute:
    wait_us = waits_us.get(node, 0.0)
    us = local_node_us(hardware, node) + wait_us
    if not isinstance(before, Receive) or not before.landings:
        return Compute(node.name, us)
    block = rows_of(node, hardware)
    if wait_us:
        block = block.slower(wait_us)
    return Compute(node.name, us, block, before.landings)


def _in_turn(
    recv: Node | None,
    node: Node,
    posted: dict[Value, set[int]],
    hardware: Device,
    waits_us: _Waits,
) -> Iterator[Step]:
    """A chain that takes one piece of its x after the other, and computes as much with each."""
    if recv is None:
        raise ModelError(f"{node.name!r} takes pieces that no RECV before it has")
    whole = _receive(recv, posted, hardware, waits_us)
    us = (local_node_us(hardware, node) + waits_us.get(node, 0.0)) / len(whole.pieces)
    for piece in whole.pieces:
        yield replace(whole, us=0.0, pieces=(piece,))
        yield Compute(node.name, us)


def _post(node: Node, options: SendOptions) -> Post:
    itemsize = node.input(0).dtype.itemsize
    bits = [1 << rank for rank in options.to]
    sizes = [box.size * itemsize for box in options.boxes]
    if len(set(options.boxes)) == 1:
        return Post(node.name, options.channel, ((sum(bits), sizes[0]),))
    return Post(node.name, options.channel, tuple(zip(bits, sizes, strict=True)))


def _receive(
    node: Node, posted: dict[Value, set[int]], hardware: Device, waits_us: _Waits
) -> Receive:
    options = RecvOptions.of(node)
    waiting: Sequence[Value | None] = node.inputs[1:] if options.local else node.inputs
    pending = {channel for value in waiting if value is not None for channel in posted[value]}
    itemsize = node.output.dtype.itemsize if node.outputs else 1
    return Receive(
        node.name,
        local_node_us(hardware, node) + waits_us.get(node, 0.0) if node.outputs else 0.0,
        tuple((p.channel, p.source, p.box.size * itemsize) for p in options.pieces),
        frozenset(pending),
        tuple(_landing(node, options, piece) for piece in options.pieces) if options.early else (),
    )


def _landing(node: Node, options: RecvOptions, piece: RecvPiece) -> Landing:
    shape = node.output.shape
    _, rows, *rest = piece.box.relative_to(options.origin).intervals
    is_dense = all(
        stop - start == size for (start, stop), size in zip(rest, shape[2:], strict=True)
    )
    row_bytes = math.prod(shape[2:]) * node.output.dtype.itemsize
    return Landing(piece.channel, piece.source, rows, row_bytes if is_dense else 0)


def streamed(programs: Sequence[Program], host_rank: int) -> list[tuple[int, int, int]]:
    """(channel, rank, bytes) of what devices RECV from the host, in the order of reading."""
    return sorted(
        (channel, program.rank, size)
        for program in programs
        for step in program.steps
        if isinstance(step, Receive)
        for channel, source, size in step.pieces
        if source == host_rank
    )


def input_messages(programs: Sequence[Program]) -> dict[tuple[int, str, Box], tuple[int, int]]:
    """Ranks and bytes of what is given before the graph; who reads the same box shares a multicast.

    By operand, tensor and box.
    """
    messages: dict[tuple[int, str, Box], tuple[int, int]] = {}
    for program in programs:
        for index, (tensor, box, size) in enumerate(program.inputs):
            ranks, _ = messages.get((index, tensor, box), (0, 0))
            messages[index, tensor, box] = ranks | 1 << program.rank, size
    return messages
