# SPDX-License-Identifier: Apache-2.0
"""Small networks, random plans for them, and the comparison of a split with the unsplit model."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import strategies as st

from models.builder import NONE, RELU, Tensor
from models.layers import LayerBuilder
from models.tiny import NETWORKS
from tflsplit.ir import Graph, Node
from tflsplit.ops import Factor, Kind, rule_of
from tflsplit.ops.region import Interval
from tflsplit.plan.shards import tile_factor
from tflsplit.plan.spec import NodeSplit, Plan, Way, without_extents
from tflsplit.plan.wishes import WITHOUT_SUMS, Wishes, way_of
from tflsplit.rewriting.rewrite import Split, split_model
from tflsplit.runtime.engines import engine
from tflsplit.verify import Verdict, make_cases, verify_devices

needs_tflm = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None,
    reason="needs TFLM's wheel (Linux on x86-64): pip install '.[host]'",
)
needs_litert = pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None,
    reason="needs LiteRT's wheel: pip install '.[host]'",
)

WAYS = ("auto", "rows", "grid", "out_channels", "channels", "in_channels")


@cache
def tiny(name: str) -> Graph:
    """A network of models/tiny.py, built once; nothing may change it."""
    return NETWORKS[name]()


@cache
def tiny_split(name: str, world_size: int, split: str = "auto", stock: bool = False) -> Split:
    """A network of models/tiny.py, split by the default policy; nothing may change it."""
    return split_model(tiny(name), Wishes(world_size, split, stock_kernels=stock))


def compared(split: Split, runs: int = 2, engine_name: str = "tflm") -> Verdict:
    """The split against the unsplit model, on edge inputs and ``runs`` seeded ones."""
    make = engine(engine_name)[1]
    cases = make_cases(split.whole, runs, seed=7)
    return verify_devices(split.whole, split.devices, engine_name, make, cases, model=split.model)


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Two to five layers in the style of models/tiny.py: chains, residuals, concatenations."""
    net = LayerBuilder("drawn", draw(st.integers(0, 99), label="seed"), images=2)
    shape = draw(st.tuples(st.integers(3, 9), st.integers(2, 8), st.integers(1, 5)), label="input")
    x = net.input(shape)
    for _ in range(draw(st.integers(1, 4), label="layers")):
        x = draw(st.sampled_from(_LAYERS))(draw, net, x)
    if draw(st.booleans(), label="head"):
        x = net.softmax(net.dense(net.mean(x), draw(st.integers(2, 7))))
    return net.finish(x)


def _conv(draw: st.DrawFn, net: LayerBuilder, x: Tensor) -> Tensor:
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 3), (5, 1)]))
    stride = draw(st.sampled_from([(1, 1), (2, 2), (1, 2)]))
    return net.conv(x, draw(st.integers(1, 8)), kernel, stride)


def _depthwise(draw: st.DrawFn, net: LayerBuilder, x: Tensor) -> Tensor:
    dilation = draw(st.sampled_from([(1, 1), (2, 1)]))
    return net.depthwise(x, dilation=dilation, multiplier=draw(st.integers(1, 2)))


def _residual(draw: st.DrawFn, net: LayerBuilder, x: Tensor) -> Tensor:
    inner = net.conv(x, draw(st.integers(2, 8)), (1, 1), activation=RELU)
    inner = net.depthwise(inner) if draw(st.booleans()) else inner
    return net.add(net.conv(inner, x.channels, activation=NONE), x)


def _concat(draw: st.DrawFn, net: LayerBuilder, x: Tensor) -> Tensor:
    return net.concat(x, net.conv(x, draw(st.integers(1, 6)), activation=RELU))


def _gate(draw: st.DrawFn, net: LayerBuilder, x: Tensor) -> Tensor:
    gate = net.conv(net.mean(x, keep_dims=True), x.channels, (1, 1), activation=NONE)
    return net.multiply(x, net.logistic(gate))


def _pool(draw: st.DrawFn, net: LayerBuilder, x: Tensor) -> Tensor:
    pool = net.max_pool if draw(st.booleans()) else net.average_pool
    return pool(x, (3, 2), draw(st.sampled_from([(1, 1), (2, 2)])), same=True)


def _upsample(draw: st.DrawFn, net: LayerBuilder, x: Tensor) -> Tensor:
    return net.upsample(x) if x.value.size < 512 else net.hard_swish(x)


_LAYERS = (_conv, _conv, _depthwise, _residual, _concat, _gate, _pool, _upsample)


@st.composite
def plans(draw: st.DrawFn, graph: Graph, world_size: int, stock_kernels: bool = False) -> Plan:
    """Any plan at all: every node in any way its rule allows, at any bounds, with any halos."""
    splits = tuple(
        _streamed(graph, node, draw(_node_splits(node, world_size, stock_kernels)), draw(_SOME))
        for node in graph.nodes
    )
    return Plan(world_size, splits, (1 / world_size,) * world_size, stock_kernels)


_SOME = st.sampled_from([False, False, True])


def _streamed(graph: Graph, node: Node, split: NodeSplit, wanted: bool) -> NodeSplit:
    """The split, streamed where that is wanted and can be."""
    readers = graph.consumers().get(node.outputs[0], []) if len(node.outputs) == 1 else []
    if not wanted or len(readers) != 1 or node.output in graph.outputs:
        return split
    if split.scatter_factor or split.gather_tiles > 1:
        return split
    return replace(without_extents(split), streamed=True)


@st.composite
def _node_splits(draw: st.DrawFn, node: Node, world_size: int, stock: bool) -> NodeSplit:
    split = draw(_untiled(node, world_size, stock))
    if tile_factor(node, split) is None or not draw(st.booleans()):
        return split
    tiles = draw(st.integers(1, 4), label="tiles")
    if split.scatter_factor:
        return replace(split, sum_tiles=tiles)
    return replace(split, gather_tiles=tiles)


@st.composite
def _untiled(draw: st.DrawFn, node: Node, world_size: int, stock: bool) -> NodeSplit:
    factors = [f for f in rule_of(node).factors(node) if not (stock and f.kind is Kind.REDUCTION)]
    factor = draw(st.sampled_from([None, None, *factors, *factors]), label=node.name)
    if factor is None:
        if draw(st.booleans()):
            return NodeSplit(node.name, Way.REPLICATED)
        return NodeSplit(node.name, Way.WHOLE, rank=draw(st.integers(0, world_size - 1)))
    cuts = draw(bounds(factor.size, world_size))
    if factor.kind is Kind.REDUCTION:
        parallel = (f for f in factors if f.kind is Kind.PARALLEL)
        kept = min(parallel, key=lambda f: way_of(f) not in WITHOUT_SUMS)
        return NodeSplit(
            node.name,
            way_of(factor),
            factor.name,
            cuts,
            scatter_factor=kept.name,
            scatter_bounds=draw(bounds(kept.size, world_size)),
        )
    others = [f for f in factors if f.kind is factor.kind and f is not factor]
    if others and draw(st.sampled_from([False, False, True])):
        return draw(_grid(node, factor, draw(st.sampled_from(others)), world_size))
    extents = draw(_extents(factor, cuts)) if draw(st.booleans()) else ()
    return NodeSplit(node.name, way_of(factor), factor.name, cuts, extents)


@st.composite
def _grid(draw: st.DrawFn, node: Node, factor: Factor, cross: Factor, world_size: int) -> NodeSplit:
    """Cut by two factors; the cells may be fewer than the ranks."""
    bands = draw(st.integers(1, world_size), label="bands")
    split = NodeSplit(
        node.name,
        Way.GRID,
        factor.name,
        draw(bounds(factor.size, bands)),
        cross_factor=cross.name,
        cross_bounds=draw(bounds(cross.size, world_size // bands)),
    )
    if draw(st.booleans()):
        return split
    wider: dict[str, tuple[Interval, ...]] = {}
    for name, each in (("extents", factor), ("cross_extents", cross)):
        shares = [split.share(rank)[each.name] for rank in range(world_size)]
        wider[name] = tuple(draw(_wider(each, *share)) for share in shares)
    return replace(split, **wider)  # type: ignore[arg-type]


@st.composite
def bounds(draw: st.DrawFn, size: int, world_size: int) -> tuple[int, ...]:
    """Where ``[0, size)`` is cut for exactly ``world_size`` ranks; some may get nothing."""
    inner = draw(st.lists(st.integers(0, size), min_size=world_size - 1, max_size=world_size - 1))
    return (0, *sorted(inner), size)


@st.composite
def _extents(draw: st.DrawFn, factor: Factor, cuts: Sequence[int]) -> tuple[Interval, ...]:
    return tuple(draw(_wider(factor, *share)) for share in itertools.pairwise(cuts))


@st.composite
def _wider(draw: st.DrawFn, factor: Factor, start: int, stop: int) -> Interval:
    """A share that is not empty, widened by up to two steps on either side."""
    more = st.integers(0, 2)
    if stop == start:
        return start, stop
    return max(0, start - draw(more)), min(factor.size, stop + draw(more))
