# SPDX-License-Identifier: Apache-2.0
"""An independent proof that a set of device graphs belongs together.

Nothing here looks at plans, layouts or schedules: the checker reads SEND and RECV from the graphs
themselves (as a device would) and shows that

1. every SEND has exactly one RECV on each destination, of the same tensor, box and dtype, and
   every piece of a RECV has its SEND, or is a part of an input that the host has;
2. every RECV fills its whole result, each element once (or, for sums, adds whole boxes, whose sums
   its result can hold);
3. every element of every tensor is computed by some device (halos may be recomputed by several),
   and every element of the model's outputs is given back by exactly one;
4. what a SEND reads stays alive until a later RECV has seen it leave;
5. the schedule ends: with no buffering at all, where a transfer happens only when the sender has
   posted it and the receiver stands in its RECV;
6. in the arena, as TFLM lays it out for each flavour of its kernels, with the offsets that the
   graph brings (``OfflineMemoryAllocation``, which TFLM takes on trust), no two tensors or scratch
   buffers that are live at the same time share a byte, unless it is the same byte in both, and
   none lies across the begin of a bank;
7. the shapes, types and options of every node are those that its kernel takes for granted;
8. what an early RECV still has to bring is read by nothing but a block that waits for it, and
   what is asked for ahead has memory of its own until its RECV.

Each function returns every violation that it finds, as text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tflsplit.check.early import check_asked, check_early
from tflsplit.check.host_boxes import check_host_boxes
from tflsplit.check.schedule import Exchange, Programs, check_progress, exchanges
from tflsplit.check.short_sums import check_short_sums
from tflsplit.errors import ModelError
from tflsplit.ir import Graph, Node, Value, check_graph
from tflsplit.memory.arena import KERNEL_FLAVOURS, predict_arena
from tflsplit.memory.banks import bank_starts, crossings
from tflsplit.memory.overlap import plan_violations
from tflsplit.ops.declared import check_declared
from tflsplit.ops.own.custom_options import RecvOptions, RecvPiece, sent_from
from tflsplit.ops.region import Box, covers, is_partition
from tflsplit.split.devices import DeviceGraph, tensor_labels


def check_devices(whole: Graph, devices: Sequence[DeviceGraph]) -> list[str]:
    """Every violation in a set of device graphs of the model ``whole``; empty if it is sound.

    Raises ModelError for options, or planned offsets, that cannot be read at all.
    """
    problems = [
        f"rank {device.rank}: {text}"
        for device in devices
        for text in (*check_graph(device.graph), *_declared_problems(device))
    ]
    programs = exchanges([device.graph for device in devices])
    return (
        problems
        + check_transfers(programs)
        + check_host_boxes(whole, programs)
        + check_coverage(whole, devices)
        + check_labels(devices, programs)
        + check_lifetimes(programs)
        + check_progress(programs)
        + check_short_sums(devices)
        + check_early(devices)
        + check_asked(devices)
        + check_arenas(devices)
    )


def _declared_problems(device: DeviceGraph) -> Iterator[str]:
    """What TFLM would take for granted of the graph, and is not so."""
    try:
        check_declared(device.graph)
    except ModelError as error:
        yield str(error)


def check_transfers(programs: Programs) -> list[str]:
    """Points 1 and 2: sends and receives match, and receives fill their results."""
    problems: list[str] = []
    sends: dict[int, Exchange] = {}
    received: dict[int, list[int]] = defaultdict(list)
    steps = [step for program in programs for step in program]
    for step in steps:
        if step.send is not None:
            if step.send.channel in sends:
                problems.append(f"channel {step.send.channel} is sent twice")
            sends[step.send.channel] = step
            problems += [
                f"rank {step.rank}: SEND {step.send.channel} goes to rank {to}"
                for to in step.send.to
                if to == step.rank or to >= len(programs)
            ]
    for step in steps:
        for piece in _from_devices(step, len(programs)):
            received[piece.channel].append(step.rank)
            text = _mismatch(step, piece, sends.get(piece.channel))
            if text:
                problems.append(f"rank {step.rank}: RECV of channel {piece.channel} {text}")
        if step.recv is not None and step.recv.add:
            problems += _sum_problems(step.rank, step.node, step.recv)
    for channel, step in sends.items():
        if step.send and sorted(received[channel]) != sorted(step.send.to):
            problems.append(
                f"channel {channel} goes from rank {step.rank} to {sorted(step.send.to)} but is "
                f"received by {sorted(received[channel])}"
            )
    return problems


def _from_devices(step: Exchange, world_size: int) -> list[RecvPiece]:
    """The pieces of a RECV but those from the host, which ``check_host_boxes`` judges."""
    pieces = step.recv.pieces if step.recv else ()
    return [piece for piece in pieces if piece.source != world_size]


def _mismatch(step: Exchange, piece: RecvPiece, sent: Exchange | None) -> str | None:
    if sent is None or sent.send is None or step.recv is None:
        return "is never sent"
    if sent.rank != piece.source:
        return f"expects rank {piece.source}, but rank {sent.rank} sends it"
    box = sent.send.box_for(step.rank)
    if box != piece.box or sent.send.tensor != step.recv.tensor:
        return (
            f"expects {piece.box} of {step.recv.tensor!r}, but {box} of {sent.send.tensor!r} is "
            "sent"
        )
    x, y = sent.node.input(0), step.node.output
    if x.dtype is not y.dtype:
        return f"expects {y.dtype.value}, but {x.dtype.value} is sent"
    return None


def _sum_problems(rank: int, node: Node, recv: RecvOptions) -> list[str]:
    """Sums are of whole boxes, each from another rank (tiling is what placing is checked for)."""
    boxes = [piece.box for piece in recv.pieces] + ([recv.local] if recv.local else [])
    whole = Box.at(recv.origin, node.output.shape)
    problems = [
        f"rank {rank}: RECV {node.output.name!r} adds only {box}" for box in boxes if box != whole
    ]
    if len({piece.source for piece in recv.pieces}) != len(recv.pieces):
        problems.append(f"rank {rank}: RECV {node.output.name!r} adds one rank's sums twice")
    return problems


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
        ranks = {len(box.intervals) for box in (*made[label], *returned[label])}
        if ranks - {len(value.shape)}:
            problems.append(f"{label!r} has {len(value.shape)} dimensions, its parts {max(ranks)}")
            continue
        if not covers(made[label], value.shape):
            problems.append(f"no device computes all of {label!r}; they make {_list(made[label])}")
        if value in whole.outputs and not is_partition(returned[label], value.shape):
            problems.append(f"{label!r} is not given back once: {_list(returned[label])}")
    return problems + _border_problems(whole, devices)


def _border_problems(whole: Graph, devices: Sequence[DeviceGraph]) -> list[str]:
    """What goes into a device and comes out of it are parts of what the model's host has."""
    labels = tensor_labels(whole)
    problems: list[str] = []
    for device in devices:
        for what, values, model in (
            ("takes", device.graph.inputs, whole.inputs),
            ("gives back", device.graph.outputs, whole.outputs),
        ):
            known = {labels[value]: Box.whole(value.shape) for value in model if value in labels}
            problems += [
                f"rank {device.rank}: {what} {shard.box} of {shard.tensor!r}, which the model "
                "does not have there"
                for shard in (device.shards[value.name] for value in values)
                if not _is_part(shard.box, known.get(shard.tensor))
            ]
    return problems


def _is_part(box: Box, whole: Box | None) -> bool:
    return whole is not None and len(whole.intervals) == len(box.intervals) and whole.contains(box)


def _list(boxes: Sequence[Box]) -> str:
    return ", ".join(map(str, boxes)) or "nothing"


def check_labels(devices: Sequence[DeviceGraph], programs: Programs) -> list[str]:
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
    for step in (step for program in programs for step in program):
        for x, tensor, origin in _claims(step):
            shard, claim = devices[step.rank].shards.get(x.name), Box.at(origin, x.shape)
            if shard is not None and (shard.tensor, shard.box) != (tensor, claim):
                problems.append(
                    f"rank {step.rank}: {step.node.op} calls {x.name!r} {claim} of {tensor!r}, "
                    f"but it is {shard.box} of {shard.tensor!r}"
                )
    return problems


def _claims(step: Exchange) -> Iterator[tuple[Value, str, Sequence[int]]]:
    """(tensor, what it is a part of, where it begins) for what a SEND or RECV says of tensors."""
    if step.send is not None:
        yield step.node.input(0), step.send.tensor, step.send.origin
    elif step.recv is not None and step.node.outputs:
        if step.recv.local is not None:
            yield step.node.input(0), step.recv.tensor, step.recv.local_origin
        yield step.node.output, step.recv.tensor, step.recv.origin


def check_lifetimes(programs: Programs) -> list[str]:
    """Point 4: what each SEND reads is a pending operand of a RECV that comes after it."""
    problems = []
    for rank, program in enumerate(programs):
        waiting: dict[Value, int] = {}
        for step in program:
            if step.send is not None:
                waiting[sent_from(step.node)] = step.send.channel
            else:
                for value in step.pending:
                    waiting.pop(value, None)
        problems += [
            f"rank {rank}: nothing keeps {value.name!r} alive until SEND {channel} has left"
            for value, channel in waiting.items()
        ]
    return problems


def check_arenas(devices: Sequence[DeviceGraph]) -> list[str]:
    """Point 6: every tensor has its bytes in the arena for as long as anything uses it."""
    problems: dict[str, None] = {}
    for device in devices:
        for kernels in KERNEL_FLAVOURS:
            arena = predict_arena(device.graph, kernels=kernels)
            found = plan_violations(device.graph, arena.plan, arena.head_bytes)
            for text in (*found, *crossings(arena.plan, bank_starts(device.graph))):
                problems[f"rank {device.rank}: arena: {text}"] = None
    return list(problems)
