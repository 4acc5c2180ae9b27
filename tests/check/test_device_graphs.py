# SPDX-License-Identifier: Apache-2.0
"""The checker finds every kind of violation, and says exactly that.

rank 0                  rank 1                  rank 2
y = conv_2d_0[0:3]      y = conv_2d_0[3:6]      y = conv_2d_0[6:8]
SEND 0: row 2 -> 1      SEND 1: row 3 -> 0,     SEND 2: row 6 -> 1
                                row 5 -> 2
RECV rows 0:4           RECV rows 2:7           RECV rows 5:8
conv_2d_1[0:3]          conv_2d_1[3:6]          conv_2d_1[6:8]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from models.tiny import NETWORKS
from tests.plan.networks import in_channels, out_channels, plan_of, rows, two_convolutions
from tests.splits import tiny_split
from tflsplit.check.device_graphs import check_devices
from tflsplit.errors import ModelError
from tflsplit.ir import AttrValue, DType, Graph, Node, Value
from tflsplit.memory import ArenaEstimate, ArenaPlan, offline_metadata, predict_arena, tensor_order
from tflsplit.memory.arena import KERNEL_FLAVOURS
from tflsplit.memory.demand import Kernels
from tflsplit.memory.offline import METADATA_NAME
from tflsplit.split.devices import DeviceGraph, Shard
from tflsplit.split.partition import partition
from tflsplit.wire.custom_ops import RECV, SEND

Devices = tuple[DeviceGraph, ...]
WHOLE = two_convolutions()
FIRST, SECOND = WHOLE.nodes
HALOS = partition(WHOLE, plan_of(3, rows(FIRST, 0, 3, 6, 8), rows(SECOND, 0, 3, 6, 8)))
SUMS = partition(
    WHOLE,
    plan_of(3, out_channels(FIRST, 0, 2, 4, 6), in_channels(SECOND, (0, 2, 4, 6), (0, 1, 2, 4))),
)
POINTWISE = two_convolutions((1, 1))
TILED = partition(
    POINTWISE,
    plan_of(
        2,
        out_channels(POINTWISE.nodes[0], 0, 3, 6),
        replace(out_channels(POINTWISE.nodes[1], 0, 2, 4), gather_tiles=2),
    ),
)
X, Y, GATHERED = "conv_2d_0", "conv_2d_1", "conv_2d_0/gathered"


def with_nodes(device: DeviceGraph, nodes: Sequence[Node]) -> DeviceGraph:
    graph = device.graph
    return replace(device, graph=Graph(graph.name, graph.inputs, graph.outputs, list(nodes)))


def at(devices: Devices, rank: int, change: Callable[[DeviceGraph], DeviceGraph]) -> Devices:
    return tuple(change(d) if d.rank == rank else d for d in devices)


def node_of(device: DeviceGraph, op: str) -> Node:
    (node,) = (n for n in device.graph.nodes if n.op == op)
    return node


def swapped(devices: Devices, rank: int, op: str, change: Callable[[Node], Node]) -> Devices:
    """The devices with the one SEND or RECV of a rank changed."""

    def changed(device: DeviceGraph) -> DeviceGraph:
        old = node_of(device, op)
        return with_nodes(device, [change(n) if n is old else n for n in device.graph.nodes])

    return at(devices, rank, changed)


def options(devices: Devices, rank: int, op: str, **changes: AttrValue) -> Devices:
    return swapped(devices, rank, op, lambda n: replace(n, attrs=n.attrs.replace(**changes)))


def without(devices: Devices, rank: int, op: str) -> Devices:
    def changed(device: DeviceGraph) -> DeviceGraph:
        return with_nodes(device, [n for n in device.graph.nodes if n.op != op])

    return at(devices, rank, changed)


def shard(devices: Devices, rank: int, name: str, change: Callable[[Shard], Shard]) -> Devices:
    def changed(device: DeviceGraph) -> DeviceGraph:
        return replace(device, shards={**device.shards, name: change(device.shards[name])})

    return at(devices, rank, changed)


def row(start: int, stop: int, channels: int = 6) -> tuple[int, ...]:
    return (0, 1, start, stop, 0, 4, 0, channels)


@pytest.mark.parametrize("devices", [HALOS, SUMS], ids=["halos", "sums"])
def test_sound(devices: Devices):
    assert check_devices(WHOLE, devices) == []


def test_a_gather_in_tiles():
    """rank 0: SEND 0, RECV rows 0:4, conv, SEND 2, RECV rows 4:8, conv, CONCATENATION."""
    assert check_devices(POINTWISE, TILED) == []
    ops = [node.op for node in TILED[0].graph.nodes]
    assert ops == ["CONV_2D", SEND, RECV, "CONV_2D", SEND, RECV, "CONV_2D", "CONCATENATION"]


def moved(devices: Devices, rank: int, order: Sequence[int]) -> Devices:
    return at(devices, rank, lambda d: with_nodes(d, [d.graph.nodes[index] for index in order]))


def changed_node(devices: Devices, rank: int, index: int, **changes: AttrValue) -> Devices:
    def changed(device: DeviceGraph) -> DeviceGraph:
        nodes = list(device.graph.nodes)
        nodes[index] = replace(nodes[index], attrs=nodes[index].attrs.replace(**changes))
        return with_nodes(device, nodes)

    return at(devices, rank, changed)


def test_tiles_in_another_order_on_one_rank():
    """Each rank sends and receives all it should, but they wait for different tiles."""
    assert check_devices(POINTWISE, moved(TILED, 1, (0, 4, 5, 6, 1, 2, 3, 7))) == [
        "rank 0 waits for ever in 'conv_2d_0/gathered'",
        "rank 1 waits for ever in 'conv_2d_0/gathered#2'",
    ]


def test_a_tile_of_other_rows():
    problems = check_devices(POINTWISE, changed_node(TILED, 0, 4, boxes=(0, 1, 3, 7, 0, 4, 0, 3)))
    assert problems == [
        f"rank 1: RECV of channel 2 expects [0:1, 4:8, 0:4, 0:3] of '{X}', but "
        f"[0:1, 3:7, 0:4, 0:3] of '{X}' is sent"
    ]


def test_a_tile_that_is_not_sent():
    problems = check_devices(POINTWISE, moved(TILED, 0, (0, 1, 2, 3, 5, 6, 7)))
    assert "rank 1: RECV of channel 2 is never sent" in problems
    assert "rank 1 waits for ever in 'conv_2d_0/gathered#2'" in problems


def test_a_tile_left_out_of_the_result():
    def shorter(device: DeviceGraph) -> DeviceGraph:
        joined = device.graph.nodes[-1]
        half = replace(joined.output, shape=(1, 4, 4, 2))
        last = replace(joined, inputs=joined.inputs[:1], outputs=(half,))
        graph = device.graph
        made = Graph(graph.name, graph.inputs, (half,), [*graph.nodes[:-1], last])
        return replace(device, graph=made)

    (problem,) = check_devices(POINTWISE, at(TILED, 0, shorter))
    assert "has shape [1, 4, 4, 2], but is said to be [0:1, 0:8, 0:4, 0:2]" in problem


@pytest.mark.parametrize("name", NETWORKS)
def test_the_tiny_networks_are_sound(name: str):
    found = tiny_split(name, 16)
    assert check_devices(found.whole, found.devices) == []


def test_a_dropped_send():
    assert check_devices(WHOLE, without(HALOS, 0, SEND)) == [
        "rank 1: RECV of channel 0 is never sent",
        f"rank 1 waits for ever in '{GATHERED}'",
    ]


def test_a_dropped_recv():
    """Its result is missing, nothing waits for its SEND, and who sends to it waits for ever."""
    problems = check_devices(WHOLE, without(HALOS, 2, RECV))
    assert problems == [
        f"rank 2: TFLSPLIT_CONV_2D '{Y}' reads tensor '{GATHERED}' int8[1, 3, 4, 6] before "
        "anything has written it",
        "channel 1 goes from rank 1 to [0, 2] but is received by [0]",
        f"rank 2: nothing keeps '{X}' alive until SEND 2 has left",
        f"rank 1 waits for ever in '{GATHERED}'",
    ]


def test_a_channel_used_twice():
    problems = check_devices(WHOLE, options(HALOS, 2, SEND, channel=0))
    assert problems[0] == "channel 0 is sent twice"
    assert "rank 1: RECV of channel 2 is never sent" in problems


@pytest.mark.parametrize("to", [(2,), (9,)])
def test_a_send_to_itself_or_to_nobody(to: tuple[int, ...]):
    problems = check_devices(WHOLE, options(HALOS, 2, SEND, to=to))
    assert problems[0] == f"rank 2: SEND 2 goes to rank {to[0]}"


def test_a_send_to_another_rank():
    assert check_devices(WHOLE, options(HALOS, 2, SEND, to=(0,))) == [
        f"rank 1: RECV of channel 2 expects [0:1, 6:7, 0:4, 0:6] of '{X}', but None of '{X}' is "
        "sent",
        "channel 2 goes from rank 2 to [0] but is received by [1]",
        f"rank 2 waits for ever in '{GATHERED}'",
    ]


def test_a_wrong_box_is_sent():
    assert check_devices(WHOLE, options(HALOS, 2, SEND, boxes=row(7, 8))) == [
        f"rank 1: RECV of channel 2 expects [0:1, 6:7, 0:4, 0:6] of '{X}', but "
        f"[0:1, 7:8, 0:4, 0:6] of '{X}' is sent"
    ]


def test_a_box_of_another_tensor_is_sent():
    problems = check_devices(WHOLE, options(HALOS, 2, SEND, tensor=Y))
    assert problems == [
        f"rank 1: RECV of channel 2 expects [0:1, 6:7, 0:4, 0:6] of '{X}', but "
        f"[0:1, 6:7, 0:4, 0:6] of '{Y}' is sent",
        f"rank 2: TFLSPLIT_SEND calls '{X}' [0:1, 6:8, 0:4, 0:6] of '{Y}', but it is "
        f"[0:1, 6:8, 0:4, 0:6] of '{X}'",
    ]


def test_a_wrong_source():
    assert check_devices(WHOLE, options(HALOS, 0, RECV, **{"from": (2,)})) == [
        "rank 0: RECV of channel 1 expects rank 2, but rank 1 sends it"
    ]


def test_a_wrong_element_type():
    """int16 instead of int8 on the sending side only (the label knows no element types)."""

    def widened(device: DeviceGraph) -> DeviceGraph:
        x = node_of(device, SEND).input(0)
        wide = replace(x, dtype=DType.INT16)

        def other(node: Node) -> Node:
            inputs = tuple(wide if v is x else v for v in node.inputs)
            if node.op != SEND:
                return replace(node, outputs=tuple(wide if v is x else v for v in node.outputs))
            return replace(node, inputs=inputs)

        local = node_of(device, RECV)
        narrow = replace(local, inputs=(x, wide))
        nodes = [narrow if n is local else other(n) for n in device.graph.nodes]
        return with_nodes(device, nodes)

    problems = check_devices(WHOLE, at(HALOS, 2, widened))
    assert "rank 1: RECV of channel 2 expects INT8, but INT16 is sent" in problems


def test_sums_of_another_type_are_refused():
    def floats(device: DeviceGraph) -> DeviceGraph:
        old = node_of(device, RECV)
        y = replace(old.output, dtype=DType.FLOAT32)
        return with_nodes(
            device,
            [replace(n, outputs=(y,)) if n is old else n for n in device.graph.nodes],
        )

    with pytest.raises(ModelError, match=r"rank 1: .*not int32"):
        check_devices(WHOLE, at(SUMS, 1, floats))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"boxes": row(2, 3) + row(6, 6)}, "is .* which is empty"),
        ({"boxes": row(2, 3) + row(7, 8)}, "outside"),
        ({"boxes": row(2, 3) + row(5, 6)}, "do not tile"),
        ({"boxes": row(2, 3) + row(6, 7, 5)}, "do not tile"),
        ({"boxes": row(2, 3)}, "do not describe the same pieces"),
        ({"channels": (0,), "from": (0,), "boxes": row(2, 3)}, "do not tile"),
        ({"local": row(3, 5)}, "do not tile"),
        ({"local": row(3, 7)}, "lies outside"),
        ({"local_origin": (0, 4, 0, 0)}, "lies outside"),
        ({"origin": (0, 1, 0, 0)}, "lies outside"),
        ({"origin": (0, 2, 0)}, "bounds"),
        ({"v": 4}, "of version 4"),
        ({"early": 3}, "option 'early' is 3"),
        ({"early": 2}, "is rolling, but has more than pieces"),
        ({"sum": 2}, "option 'sum' is 2"),
        ({"sum": 1}, "not int32"),
        ({"channels": "0,2"}, "not a vector of integers"),
        ({"tensor": 3}, "not a string"),
        ({"more": 3}, "unknown option 'more'"),
    ],
)
def test_a_recv_that_contradicts_itself_is_refused_by_name(
    changes: dict[str, AttrValue], says: str
):
    """Holes, overlaps, and options that are malformed."""
    with pytest.raises(ModelError, match=says) as caught:
        check_devices(WHOLE, options(HALOS, 1, RECV, **changes))
    assert str(caught.value).startswith(f"rank 1: TFLSPLIT_RECV {GATHERED!r}: ")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"to": ()}, "one or more different ranks"),
        ({"to": (0, 0)}, "one or more different ranks"),
        ({"to": (0, 255)}, "0..254"),
        ({"boxes": row(2, 3)}, "lies outside"),
        ({"boxes": row(3, 4) * 3}, "one box, or one for each rank"),
        ({"boxes": (0, 1)}, "bounds"),
        ({"channel": -1}, "not within"),
        ({"origin": (0, 3, 0)}, "16 bounds, not 6 for each box"),
    ],
)
def test_a_send_that_contradicts_itself_is_refused_by_name(
    changes: dict[str, AttrValue], says: str
):
    with pytest.raises(ModelError, match=says) as caught:
        check_devices(WHOLE, options(HALOS, 1, SEND, **changes))
    assert str(caught.value).startswith("rank 1: TFLSPLIT_SEND 'conv_2d_0/send1': ")


def test_a_local_shard_that_lies_elsewhere():
    """Consistent in itself, but rank 1's shard begins at row 3, not at row 2."""
    shifted = options(
        HALOS, 1, RECV, local=row(2, 5), local_origin=(0, 2, 0, 0), boxes=row(5, 6) + row(6, 7)
    )
    assert check_devices(WHOLE, shifted) == [
        f"rank 1: RECV of channel 0 expects [0:1, 5:6, 0:4, 0:6] of '{X}', but "
        f"[0:1, 2:3, 0:4, 0:6] of '{X}' is sent",
        f"rank 1: TFLSPLIT_RECV calls '{X}' [0:1, 2:5, 0:4, 0:6] of '{X}', but it is "
        f"[0:1, 3:6, 0:4, 0:6] of '{X}'",
    ]


def test_what_nobody_computes():
    def idle(device: DeviceGraph) -> DeviceGraph:
        return replace(device, graph=Graph("idle", (), (), []), shards={})

    problems = check_devices(WHOLE, at(HALOS, 2, idle))
    made = "they make [0:1, 0:3, 0:4, {0}], [0:1, 3:6, 0:4, {0}]".format
    assert f"no device computes all of '{X}'; {made('0:6')}" in problems
    assert f"no device computes all of '{Y}'; {made('0:4')}" in problems


def test_a_smaller_shard_than_said():
    problems = check_devices(
        WHOLE, shard(HALOS, 2, Y, lambda s: replace(s, box=s.box.with_dim(1, (7, 8))))
    )
    assert problems == [
        f"no device computes all of '{Y}'; they make [0:1, 0:3, 0:4, 0:4], [0:1, 3:6, 0:4, 0:4], "
        "[0:1, 7:8, 0:4, 0:4]",
        f"'{Y}' is not given back once: [0:1, 0:3, 0:4, 0:4], [0:1, 3:6, 0:4, 0:4], "
        "[0:1, 7:8, 0:4, 0:4]",
        f"rank 2: '{Y}' has shape [1, 2, 4, 4], but is said to be [0:1, 7:8, 0:4, 0:4] of '{Y}'",
    ]


def test_a_shard_of_another_place():
    """Two devices claim the same rows, and nobody the last."""
    problems = check_devices(
        WHOLE, shard(HALOS, 2, X, lambda s: replace(s, box=s.box.with_dim(1, (4, 6))))
    )
    assert problems == [
        f"no device computes all of '{X}'; they make [0:1, 0:3, 0:4, 0:6], [0:1, 3:6, 0:4, 0:6], "
        "[0:1, 4:6, 0:4, 0:6]",
        *(
            f"rank 2: TFLSPLIT_{op} calls '{X}' [0:1, 6:8, 0:4, 0:6] of '{X}', but it is "
            f"[0:1, 4:6, 0:4, 0:6] of '{X}'"
            for op in ("SEND", "RECV")
        ),
    ]


def test_an_assembled_copy_is_not_a_product():
    problems = check_devices(WHOLE, shard(HALOS, 0, Y, lambda s: replace(s, owned=False)))
    assert problems == [
        f"no device computes all of '{Y}'; they make [0:1, 3:6, 0:4, 0:4], [0:1, 6:8, 0:4, 0:4]"
    ]


def returning(rank: int, outputs: Callable[[Graph], tuple[Value, ...]]) -> Devices:
    def changed(device: DeviceGraph) -> DeviceGraph:
        graph = device.graph
        return replace(device, graph=Graph("g", graph.inputs, outputs(graph), graph.nodes))

    return at(HALOS, rank, changed)


def test_an_output_that_is_not_given_back():
    assert check_devices(WHOLE, returning(1, lambda graph: ())) == [
        f"'{Y}' is not given back once: [0:1, 0:3, 0:4, 0:4], [0:1, 6:8, 0:4, 0:4]"
    ]


def test_an_output_that_is_given_back_twice():
    twice = returning(1, lambda graph: (*graph.outputs, *graph.outputs))
    assert check_devices(WHOLE, twice) == [
        f"'{Y}' is not given back once: [0:1, 0:3, 0:4, 0:4], [0:1, 3:6, 0:4, 0:4], "
        "[0:1, 3:6, 0:4, 0:4], [0:1, 6:8, 0:4, 0:4]"
    ]


@pytest.mark.parametrize(("devices", "tensor"), [(HALOS, X), (SUMS, Y + "/partial")])
def test_what_is_sent_must_be_kept_alive(devices: Devices, tensor: str):
    """The RECV lists its local shard, but not as pending."""
    forgets = swapped(devices, 1, RECV, lambda n: replace(n, inputs=n.inputs[:1]))
    channel = node_of(devices[1], SEND).attrs.integer("channel")
    assert check_devices(WHOLE, forgets) == [
        f"rank 1: nothing keeps '{tensor}' alive until SEND {channel} has left"
    ]


def test_waiting_before_sending_keeps_nothing_alive_and_ends_never():
    def reversed_order(device: DeviceGraph) -> DeviceGraph:
        first, posted, received, second = device.graph.nodes
        return with_nodes(device, [first, received, posted, second])

    assert check_devices(WHOLE, at(HALOS, 0, reversed_order)) == [
        f"rank 0: nothing keeps '{X}' alive until SEND 0 has left"
    ]
    everywhere = tuple(map(reversed_order, HALOS))
    assert check_devices(WHOLE, everywhere)[3:] == [
        f"rank {rank} waits for ever in '{GATHERED}'" for rank in range(3)
    ]


def test_two_ranks_that_wait_for_each_other_in_different_order():
    """Each is sound in itself, but one does a before b and the other b before a."""
    crossed = partition(WHOLE, plan_of(2, rows(FIRST, 0, 4, 8), rows(SECOND, 0, 4, 8)))
    sends = [node_of(device, SEND) for device in crossed]
    recvs = [node_of(device, RECV) for device in crossed]

    def doubled(rank: int, order: Sequence[int]) -> DeviceGraph:
        """Two exchanges of the same halo on channels 0, 1 and 10, 11."""
        nodes = [crossed[rank].graph.nodes[0]]
        for which in order:
            shift = 10 * which
            (sent,), (got,) = (
                sends[rank].attrs.integers("to"),
                recvs[rank].attrs.integers("channels"),
            )
            assert sent == 1 - rank
            output = replace(recvs[rank].output, name=f"gathered{which}")
            attrs = recvs[rank].attrs.replace(channels=(got + shift,))
            channel = sends[rank].attrs.integer("channel") + shift
            nodes.append(
                replace(
                    sends[rank], attrs=sends[rank].attrs.replace(channel=channel), name=f"s{which}"
                )
            )
            nodes.append(replace(recvs[rank], attrs=attrs, outputs=(output,), name=f"r{which}"))
        last = crossed[rank].graph.nodes[-1]
        inputs = (nodes[-1].output, *last.inputs[1:])
        return with_nodes(crossed[rank], [*nodes, replace(last, inputs=inputs)])

    assert check_devices(WHOLE, (doubled(0, (0, 1)), doubled(1, (0, 1)))) == []
    assert check_devices(WHOLE, (doubled(0, (0, 1)), doubled(1, (1, 0)))) == [
        "rank 0 waits for ever in 'r0'",
        "rank 1 waits for ever in 'r1'",
    ]


def test_sums_of_a_part_only_or_of_one_rank_twice():
    part = (0, 1, 0, 8, 0, 4, 2, 3)
    (node,) = (n for n in SUMS[2].graph.nodes if n.op == RECV)
    first = node.attrs.integers("boxes")[8:]
    problems = check_devices(WHOLE, options(SUMS, 2, RECV, boxes=part + first))
    assert "rank 2: RECV 'conv_2d_1/sums' adds only [0:1, 0:8, 0:4, 2:3]" in problems
    sources = node.attrs.integers("from")
    twice = check_devices(WHOLE, options(SUMS, 2, RECV, **{"from": sources[:1] * 2}))
    assert "rank 2: RECV 'conv_2d_1/sums' adds one rank's sums twice" in twice


def test_a_malformed_graph():
    def reads_early(device: DeviceGraph) -> DeviceGraph:
        return with_nodes(device, device.graph.nodes[1:])

    problems = check_devices(WHOLE, at(HALOS, 0, reads_early))
    assert problems[0].startswith(f"rank 0: TFLSPLIT_SEND '{X}/send0' reads tensor '{X}' ")
    assert problems[0].endswith("before anything has written it")


def with_offsets(rank: int, change: Callable[[list[int]], None]) -> Devices:
    """HALOS, with the offsets of TFLM's own plan written into a device's graph, and changed."""

    def changed(device: DeviceGraph) -> DeviceGraph:
        order = tensor_order(device.graph)
        blob = offline_metadata(predict_arena(device.graph).plan, order)
        words = np.frombuffer(blob, "<i4").tolist()
        change(words)
        graph = replace(device.graph, metadata={METADATA_NAME: np.array(words, "<i4").tobytes()})
        return replace(device, graph=graph)

    return at(HALOS, rank, changed)


def place(name: str, rank: int, offset: int) -> Devices:
    names = [value.name for value in tensor_order(HALOS[rank].graph)]
    return with_offsets(rank, lambda words: words.__setitem__(3 + names.index(name), offset))


def test_tflms_own_offsets_are_sound():
    assert check_devices(WHOLE, with_offsets(1, lambda words: None)) == []


def test_tensors_that_share_bytes_while_both_are_live():
    """RECV's result is put where the shard lies that RECV reads."""
    plan = predict_arena(HALOS[1].graph).plan
    (start,) = (at for buffer, at in plan.offsets.items() if buffer.label == X)
    gathered = f"{GATHERED} [{start}, {start + 128})"
    (problem,) = check_devices(WHOLE, place(GATHERED, 1, start))
    assert problem == (
        f"rank 1: arena: {X} [{start}, {start + 80}) and {gathered} share bytes at step 3"
    )


def test_one_shared_row_is_enough():
    """The shard behind RECV's result is sound; 16 bytes lower, the result's end lies over it."""
    plan = predict_arena(HALOS[1].graph).plan
    places = {buffer.label: (at, buffer.size_bytes) for buffer, at in plan.offsets.items()}
    below = places[GATHERED][0] + places[GATHERED][1] - 16
    assert check_devices(WHOLE, place(X, 1, below + 16)) == []
    problems = check_devices(WHOLE, place(X, 1, below))
    assert problems
    assert all("share bytes" in problem for problem in problems)


def test_an_offset_that_no_kernel_can_use():
    end = predict_arena(HALOS[1].graph).head_bytes
    problems = check_devices(WHOLE, place(GATHERED, 1, end + 8))
    assert any(GATHERED in text and "not on a 16-byte boundary" in text for text in problems)


def test_offsets_of_another_graph():
    with pytest.raises(ModelError, match="plans 1 tensors"):
        check_devices(WHOLE, with_offsets(1, lambda words: words.__setitem__(2, 1)))


def test_scratch_of_either_flavour_of_kernels_is_looked_at(monkeypatch: pytest.MonkeyPatch):
    """A planner that puts scratch over a live tensor is found, whichever kernels ask for it."""
    seen = []
    found = tiny_split("mobilenet", 2, stock=True)

    def spoiled(graph: Graph, kernels: Kernels) -> ArenaEstimate:
        estimate = predict_arena(graph, kernels=kernels)
        scratch = [buffer for buffer in estimate.plan.offsets if buffer.value is None]
        seen.append((kernels, len(scratch)))
        offsets = {**estimate.plan.offsets, **dict.fromkeys(scratch, 0)}
        return replace(estimate, plan=ArenaPlan(offsets))

    monkeypatch.setattr("tflsplit.check.device_graphs.predict_arena", spoiled)
    problems = check_devices(found.whole, found.devices)
    assert {kernels for kernels, count in seen if count} == set(KERNEL_FLAVOURS)
    assert problems
    assert all("scratch" in problem and "share bytes" in problem for problem in problems)


def test_devices_of_a_model_with_other_outputs():
    """Or with another input: what a device takes and gives back is the host's to have."""
    other = Graph("other", WHOLE.inputs, FIRST.outputs, [FIRST, SECOND])
    problems = check_devices(other, HALOS)
    assert f"{X!r} is not given back once: nothing" in problems
    text = f"rank 0: gives back [0:1, 0:3, 0:4, 0:4] of {Y!r}, which the model does not have there"
    assert text in problems
    (x,) = WHOLE.inputs
    small = replace(x, shape=(*x.shape[:-1], x.shape[-1] - 1))
    smaller = Graph(
        "smaller",
        (small,),
        WHOLE.outputs,
        [replace(FIRST, inputs=(small, *FIRST.inputs[1:])), SECOND],
    )
    assert any("takes" in problem for problem in check_devices(smaller, HALOS))


def test_devices_of_a_model_with_other_dimensions():
    y = SECOND.output
    flat = replace(y, shape=(y.shape[0] * y.shape[1], *y.shape[2:]))
    other = Graph("other", WHOLE.inputs, (flat,), [FIRST, replace(SECOND, outputs=(flat,))])
    problems = check_devices(other, HALOS)
    assert f"{Y!r} has 3 dimensions, its parts 4" in problems
