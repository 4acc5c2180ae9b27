# SPDX-License-Identifier: Apache-2.0
"""An independent proof that a set of device graphs belongs together.

Nothing here looks at plans, layouts or schedules: the checker reads SEND and RECV from the graphs
themselves (as a device would) and shows that

1. every SEND has exactly one RECV on each destination, of the same tensor, box and dtype, and
   every piece of a RECV has its SEND;
2. every RECV fills its whole result, each element once (or, for sums, adds whole boxes);
3. every element of every tensor is computed by some device (halos may be recomputed by several),
   and every element of the model's outputs is given back by exactly one;
4. what a SEND reads stays alive until a later RECV has seen it leave;
5. the schedule ends: with no buffering at all, where a transfer happens only when the sender has
   posted it and the receiver stands in its RECV.

Each function returns every violation that it finds, as text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tflsplit.ir import Graph, Node, Value, check_graph
from tflsplit.ops.custom_options import RecvOptions, RecvPiece, SendOptions
from tflsplit.ops.region import Box, covers, is_partition
from tflsplit.partition import DeviceGraph, tensor_labels
from tflsplit.wire.custom_ops import RECV, SEND


def check_devices(whole: Graph, devices: Sequence[DeviceGraph]) -> list[str]:
    """Every violation in a set of device graphs of the model ``whole``; empty if it is sound."""
    problems = [
        f"rank {device.rank}: {text}" for device in devices for text in check_graph(device.graph)
    ]
    return (
        problems
        + check_transfers([device.graph for device in devices])
        + check_coverage(whole, devices)
        + check_labels(devices)
        + check_lifetimes([device.graph for device in devices])
        + check_progress([device.graph for device in devices])
    )


def check_transfers(graphs: Sequence[Graph]) -> list[str]:
    """Points 1 and 2: sends and receives match, and receives fill their results."""
    problems: list[str] = []
    sends: dict[int, tuple[int, SendOptions, Value]] = {}
    for rank, graph in enumerate(graphs):
        for node in _nodes(graph, SEND):
            options = SendOptions.of(node)
            if options.channel in sends:
                problems.append(f"channel {options.channel} is sent twice")
            sends[options.channel] = rank, options, node.input(0)
            held = _placed(options.origin, node.input(0).shape)
            if not held.contains(options.box):
                problems.append(f"rank {rank}: SEND {options.channel} sends {options.box} of {held}")
            problems += [
                f"rank {rank}: SEND {options.channel} goes to rank {to}"
                for to in options.to
                if to == rank or to >= len(graphs)
            ]
    received: dict[int, list[int]] = defaultdict(list)
    for rank, graph in enumerate(graphs):
        for node in _nodes(graph, RECV):
            recv = RecvOptions.of(node)
            for piece in recv.pieces:
                received[piece.channel].append(rank)
                text = _mismatch(piece, recv.tensor, node.output, sends.get(piece.channel))
                if text:
                    problems.append(f"rank {rank}: RECV of channel {piece.channel} {text}")
            if node.outputs:
                problems += _fill_problems(rank, node, recv)
    for channel, (rank, options, _) in sends.items():
        if sorted(received[channel]) != sorted(options.to):
            problems.append(
                f"channel {channel} goes from rank {rank} to {sorted(options.to)} but is received "
                f"by {sorted(received[channel])}"
            )
    return problems


def _mismatch(
    piece: RecvPiece, tensor: str, output: Value, sent: tuple[int, SendOptions, Value] | None
) -> str | None:
    if sent is None:
        return "is never sent"
    rank, options, x = sent
    if rank != piece.source:
        return f"expects rank {piece.source}, but rank {rank} sends it"
    if options.box != piece.box or options.tensor != tensor:
        return (
            f"expects {piece.box} of {tensor!r}, but {options.box} of {options.tensor!r} is sent"
        )
    if x.dtype is not output.dtype:
        return f"expects {output.dtype.value}, but {x.dtype.value} is sent"
    return None


def _fill_problems(rank: int, node: Node, recv: RecvOptions) -> list[str]:
    name, shape = node.output.name, node.output.shape
    boxes = [piece.box.relative_to(recv.origin) for piece in recv.pieces]
    if recv.local is not None:
        held = _placed(recv.local_origin, node.input(0).shape)
        if not held.contains(recv.local):
            return [f"rank {rank}: RECV {name!r} copies {recv.local} of {held}"]
        boxes.append(recv.local.relative_to(recv.origin))
    if recv.add:
        partial = [box for box in boxes if box != Box.whole(shape)]
        return [f"rank {rank}: RECV {name!r} adds only {box}" for box in partial]
    if not is_partition(boxes, shape):
        return [f"rank {rank}: RECV {name!r} does not fill {Box.whole(shape)} exactly once"]
    return []


def check_coverage(whole: Graph, devices: Sequence[DeviceGraph]) -> list[str]:
    """Point 3: every element is computed somewhere, and given back to the host exactly once."""
    made: dict[str, list[Box]] = defaultdict(list)
    returned: dict[str, list[Box]] = defaultdict(list)
    for device in devices:
        for shard in device.shards.values():
            if shard.owned:
                made[shard.tensor].append(shard.box)
        for value in device.graph.outputs:
            returned[device.shards[value.name].tensor].append(device.shards[value.name].box)
    labels = tensor_labels(whole)
    problems = []
    for value in (value for node in whole.nodes for value in node.outputs):
        label = labels[value]
        if not covers(made[label], value.shape):
            problems.append(f"no device computes all of {label!r}; they make {_list(made[label])}")
        if value in whole.outputs and not is_partition(returned[label], value.shape):
            problems.append(f"{label!r} is not given back once: {_list(returned[label])}")
    return problems


def _list(boxes: Sequence[Box]) -> str:
    return ", ".join(map(str, boxes)) or "nothing"


def check_labels(devices: Sequence[DeviceGraph]) -> list[str]:
    """What is said of local tensors, by the table of shards and by SEND and RECV, is true."""
    problems = []
    for device in devices:
        for value in device.graph.values():
            shard = device.shards.get(value.name)
            if shard is not None and not value.is_constant and shard.box.shape != value.shape:
                problems.append(
                    f"rank {device.rank}: {value.name!r} has shape {list(value.shape)}, but is "
                    f"said to be {shard.box} of {shard.tensor!r}"
                )
        for node in device.graph.nodes:
            if node.op == SEND:
                x, options = node.input(0), SendOptions.of(node)
                claim = options.tensor, _placed(options.origin, x.shape)
            elif node.op == RECV and node.outputs:
                x, recv = node.output, RecvOptions.of(node)
                claim = recv.tensor, _placed(recv.origin, x.shape)
            else:
                continue
            shard = device.shards.get(x.name)
            if shard is not None and (shard.tensor, shard.box) != claim:
                problems.append(
                    f"rank {device.rank}: {node.op} calls {x.name!r} {claim[1]} of {claim[0]!r}, "
                    f"but it is {shard.box} of {shard.tensor!r}"
                )
    return problems


def check_lifetimes(graphs: Sequence[Graph]) -> list[str]:
    """Point 4: each SEND's operand is an operand of a RECV that comes after it."""
    problems = []
    for rank, graph in enumerate(graphs):
        waiting: dict[Value, int] = {}
        for node in graph.nodes:
            if node.op == SEND:
                waiting[node.input(0)] = SendOptions.of(node).channel
            elif node.op == RECV:
                for value in node.operands:
                    waiting.pop(value, None)
        problems += [
            f"rank {rank}: nothing keeps {value.name!r} alive until SEND {channel} has left"
            for value, channel in waiting.items()
        ]
    return problems


def check_progress(graphs: Sequence[Graph]) -> list[str]:
    """Point 5: run all ranks with zero buffering; each that never ends is a violation."""
    programs = [
        [node for node in graph.nodes if node.op in (SEND, RECV)] for graph in graphs
    ]
    at = [0] * len(programs)
    posted: dict[Value, list[SendOptions]] = defaultdict(list)
    sent: set[int] = set()
    receiving: dict[int, set[int]] = defaultdict(set)
    moved = True
    while moved:
        moved = False
        for rank, program in enumerate(programs):
            while at[rank] < len(program):
                node = program[at[rank]]
                if node.op == SEND:
                    options = SendOptions.of(node)
                    posted[node.input(0)].append(options)
                    sent.add(options.channel)
                elif not _passes(rank, node, sent, receiving, posted):
                    break
                at[rank] += 1
                moved = True
    return [
        f"rank {rank} waits for ever in {programs[rank][at[rank]].name!r}"
        for rank in range(len(programs))
        if at[rank] < len(programs[rank])
    ]


def _passes(
    rank: int,
    node: Node,
    sent: set[int],
    receiving: dict[int, set[int]],
    posted: dict[Value, list[SendOptions]],
) -> bool:
    """Whether a RECV is done: its pieces are posted, and what it waits for has been taken."""
    pieces = RecvOptions.of(node).pieces
    for piece in pieces:
        receiving[piece.channel].add(rank)
    if any(piece.channel not in sent for piece in pieces):
        return False
    return all(
        set(options.to) <= receiving[options.channel]
        for value in node.operands
        for options in posted.get(value, ())
    )


def _nodes(graph: Graph, op: str) -> list[Node]:
    return [node for node in graph.nodes if node.op == op]


def _placed(origin: Sequence[int], shape: Sequence[int]) -> Box:
    return Box(tuple((o, o + extent) for o, extent in zip(origin, shape, strict=True)))
