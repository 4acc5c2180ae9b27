# SPDX-License-Identifier: Apache-2.0
"""Blocks become a chain, its input comes row by row: the same bits, and what is checked."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from models.builder import Tensor
from models.layers import LayerBuilder
from models.mobilenet_v2 import inverted_residual
from tests.splits import compared, needs_tflm
from tests.streaming import chained_plan
from tflsplit.check.device_graphs import check_devices
from tflsplit.check.early import check_early
from tflsplit.cluster import default_cluster
from tflsplit.firmware.slots import slots_of
from tflsplit.ir import DType, Graph, Node, Quantization, Value
from tflsplit.memory.arena import predict_arena
from tflsplit.ops.local import copied
from tflsplit.ops.own.chain import blocks_of
from tflsplit.ops.own.chain_options import ChainOptions
from tflsplit.ops.own.custom_check import problems
from tflsplit.ops.own.custom_options import RecvOptions
from tflsplit.ops.own.expansion import stock_expansion
from tflsplit.passes.prepare import prepare
from tflsplit.plan.cost import local_node_us
from tflsplit.plan.cost.flash import reads_of
from tflsplit.planner.whole.planned import finish
from tflsplit.rewriting.rewrite import Split
from tflsplit.sim.program import Compute, Receive, program_of
from tflsplit.split.lower import lower


def head(net: LayerBuilder, x: Tensor) -> Tensor:
    """A stem of stride 2, a block that adds, one of stride 2."""
    x = inverted_residual(net, net.conv(x, 8, (3, 3), (2, 2)), 1, 6, 1)
    return inverted_residual(net, inverted_residual(net, x, 3, 6, 1), 3, 10, 2)


@cache
def model(is_unsigned: bool = False, rows: int = 36) -> Graph:
    net = LayerBuilder("net", 3, images=2)
    graph = net.finish(head(net, net.input((rows, 40, 3))))
    if not is_unsigned:
        return graph
    (x,) = graph.inputs
    assert x.quantization is not None
    point = x.quantization.zero_point + 128
    image = Value("image", x.shape, DType.UINT8, Quantization(x.quantization.scales, (point,)))
    quantize = Node("QUANTIZE", (image,), (x,), name="quantize")
    return replace(graph, inputs=(image,), nodes=[quantize, *graph.nodes])


def split(
    world_size: int, way: str, sweeps: int = 1, stream: bool = True, is_unsigned: bool = True
) -> Split:
    graph = prepare(model(is_unsigned))
    plan = chained_plan(graph, world_size, way, sweeps, stream)
    return Split(graph, plan, lower(graph, plan), model(is_unsigned))


def ops(made: Split, rank: int = 0) -> list[str]:
    nodes = made.devices[rank].graph.nodes
    return [node.op.removeprefix("TFLSPLIT_") for node in nodes]


@needs_tflm
@pytest.mark.parametrize(
    ("world_size", "way", "sweeps"),
    [(1, "rows", 1), (1, "rows", 3), (2, "columns", 2), (2, "rows", 1), (3, "columns", 1)],
)
def test_the_same_bits_in_pieces_and_sweeps(world_size: int, way: str, sweeps: int):
    made = split(world_size, way, sweeps)
    for rank in range(world_size):
        assert ops(made, rank)[:2] == ["RECV", "CHAIN"]
    assert not check_devices(made.whole, made.devices)
    assert compared(made).passed


@needs_tflm
def test_an_input_that_is_there_stays_and_is_read_by_the_chain():
    made = split(1, "rows", stream=False, is_unsigned=False)
    assert ops(made) == ["CHAIN"]
    (chain,) = made.devices[0].graph.nodes
    assert ChainOptions.of(chain).rolling is None
    assert compared(made).passed


def test_only_some_rows_of_it_have_memory():
    whole, tiled = (split(1, "rows", sweeps) for sweeps in (1, 3))
    for made in whole, tiled:
        recv, chain = made.devices[0].graph.nodes
        assert recv.output.shape[1] < 36 // 2
        assert len(RecvOptions.of(recv).pieces) > 1
        assert (
            slots_of(made.devices)[0].recv
            == slots_of(split(1, "rows", stream=False).devices)[0].recv
        )
        assert stock_expansion(chain)
    arenas = [predict_arena(made.devices[0].graph).head_bytes for made in (whole, tiled)]
    assert arenas[1] < arenas[0] < predict_arena(prepare(model())).head_bytes


def test_what_the_chain_does_not_take_is_found():
    made = split(1, "rows")
    (device,) = made.devices
    recv, chain = device.graph.nodes
    boxes = recv.attrs.integers("boxes") or ()
    turned = replace(recv, attrs=recv.attrs.replace(boxes=(*boxes[8:], *boxes[:8])))
    graph = replace(device.graph, nodes=[turned, chain])
    (problem,) = check_devices(made.whole, [replace(device, graph=graph)])
    assert "does not take the pieces" in problem
    at_once = replace(recv, attrs=recv.attrs.replace(early=0))
    assert "lies outside" in problems(at_once)[0]
    alone = replace(device.graph, nodes=[recv, Node("RESHAPE", (recv.output,), chain.outputs)])
    (problem,) = check_early([replace(device, graph=alone)])
    assert "does not take the pieces" in problem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": (1,) * 59}, "option 'units' has 59 elements"),
        ({"units": ()}, "option 'units' has 0 elements"),
        ({"rolling": (1, 2)}, "option 'rolling' has 2 elements"),
        ({"rolling": ()}, "uint8 that comes in pieces"),
        ({"tile_columns": 2, "rolling": ()}, "'tile_columns' needs 'rolling'"),
        ({"rolling": (36, 40, 3)}, "needs memory for"),
    ],
)
def test_options_that_make_no_sense_are_refused(change: dict[str, object], message: str):
    _, chain = split(1, "rows").devices[0].graph.nodes
    attrs = {**dict(chain.attrs.items()), **change}
    changed = replace(chain, attrs=chain.attrs.replace(**attrs))  # type: ignore[arg-type]
    (problem,) = problems(changed)
    assert message in problem


def test_time_passes_piece_by_piece():
    made, cluster = split(1, "rows"), default_cluster(1)
    (program,) = (program_of(device, cluster.devices[0]) for device in made.devices)
    count = len(RecvOptions.of(made.devices[0].graph.nodes[0]).pieces)
    assert [type(step) for step in program.steps] == [Receive, Compute] * count
    times = [step.us for step in program.steps if isinstance(step, Compute)]
    assert sum(times) == pytest.approx(
        local_node_us(cluster.devices[0], made.devices[0].graph.nodes[1])
    )
    assert finish(made.whole, made.plan, cluster).latency_us > sum(times)


def test_its_weights_come_from_flash_as_those_of_its_blocks():
    (node,) = (n for n in split(1, "rows").devices[0].graph.nodes if n.op == "TFLSPLIT_CHAIN")
    of_blocks = [read for block in blocks_of(node) for read in reads_of(block)]
    assert len(of_blocks) > 3
    assert list(reads_of(node)) == of_blocks


@needs_tflm
@pytest.mark.parametrize("is_unsigned", [False, True])
def test_an_image_is_read_through_what_changes_no_byte(is_unsigned: bool):
    """A RESHAPE, which ``fold_identities`` makes of layers that scale, copies nothing here."""
    before = model(is_unsigned)
    (x,) = (node.output for node in before.nodes[:1]) if is_unsigned else before.inputs
    readers = [node for node in before.nodes if x in node.operands]
    named = Value("named", x.shape, x.dtype, Quantization((0.25,), (-1,)))
    nodes = list(before.nodes)
    nodes.insert(nodes.index(readers[0]), copied(x, named))
    for reader in readers:
        inputs = tuple(named if value is x else value for value in reader.inputs)
        nodes[nodes.index(reader)] = replace(reader, inputs=inputs)
    graph = replace(before, nodes=nodes)
    plan = chained_plan(prepare(graph), 1, "rows", 2, True)
    made = Split(prepare(graph), plan, lower(prepare(graph), plan), graph)
    assert ops(made)[:2] == ["RECV", "CHAIN"]
    assert compared(made).passed
