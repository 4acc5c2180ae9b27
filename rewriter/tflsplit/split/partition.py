# SPDX-License-Identifier: Apache-2.0
"""``partition(graph, plan)``: one graph per device.

Before (one device)                 After (ranks 0 and 1, split by rows)

    x                               x[0:5]                    x[3:8]
    |                               |                         |
    CONV_2D                         CONV_2D (pads 1,0)        CONV_2D (pads 0,1)
    |                               y[0:4]                    y[4:8]
    y                               SEND y[3:4] -> 1          SEND y[4:5] -> 0
    |                               RECV y[0:5]               RECV y[3:8]
    CONV_2D                         CONV_2D (pads 1,0)        CONV_2D (pads 0,1)
    |                               |                         |
    z                               z[0:4]                    z[4:8]

Everything is derived from the plan's layouts and its schedule; nothing here knows an operator by
name.  A rank posts every SEND of a node before it waits in that node's RECV, and takes nodes in
the model's own order: this is why the result cannot deadlock (``check.py`` proves it anew).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tflsplit.ir import Activation, Attrs, Graph, Node, Value
from tflsplit.ops import Box, Piece, local_value, rule_of
from tflsplit.ops.local import sliced
from tflsplit.plan.layout import Layouts, lay_out
from tflsplit.plan.shards import NodeShards, NodeTile, outermost_factor
from tflsplit.plan.spec import Plan
from tflsplit.plan.transfers import Assembly, Schedule, Tile, schedule
from tflsplit.split.devices import DeviceGraph, Shard, tensor_labels
from tflsplit.split.local_exchange import LocalExchange
from tflsplit.split.local_graph import LocalGraph

__all__ = ["DeviceGraph", "Shard", "partition", "tensor_labels"]


def partition(
    graph: Graph,
    plan: Plan,
    given: Mapping[Value, tuple[Box, ...]] | None = None,
    ranks: Sequence[int] | None = None,
    layouts: Layouts | None = None,
    movements: Schedule | None = None,
) -> tuple[DeviceGraph, ...]:
    """The device graphs of ``graph`` under ``plan``, by rank.

    given: see ``lay_out``: for a part of a model whose inputs are made by the devices themselves.
    ranks: make the graphs of these only.  layouts, movements: what ``lay_out`` and ``schedule``
        say, if they were asked already.
    Raises PlanError if the plan does not fit the graph.  Pure: neither argument is changed, and
    equal arguments give equal results.
    """
    layouts = layouts or lay_out(graph, plan, given)
    movements = movements or schedule(layouts)
    labels = tensor_labels(graph)
    return tuple(
        _Device(rank, graph, layouts, LocalGraph(rank, labels, plan.stock_kernels)).build(movements)
        for rank in (range(plan.world_size) if ranks is None else ranks)
    )


@dataclass
class _Device:
    """Builds one rank's graph, node by node."""

    rank: int
    whole: Graph
    layouts: Layouts
    local: LocalGraph
    steps: dict[str, str] = field(default_factory=dict)
    macs: int = 0

    def __post_init__(self) -> None:
        self.exchange = LocalExchange(self.local)

    def build(self, movements: Schedule) -> DeviceGraph:
        inputs = tuple(
            self.local.hold(value, box)
            for value in self.whole.inputs
            if not (box := self.layouts.owned[value][self.rank]).is_empty
        )
        for position, shards in enumerate(self.layouts.nodes):
            first = len(self.local.nodes)
            self._run(shards, movements, position)
            for node in self.local.nodes[first:]:
                self.steps.setdefault(node.name, shards.node.name)
        self.exchange.wait()
        outputs = [
            self.local.read(value, box)
            for value in dict.fromkeys(self.whole.outputs)
            if value in self.layouts.owned and not (box := self._returned(value)).is_empty
        ]
        name = f"{self.whole.name or 'main'}/rank{self.rank}"
        graph = Graph(name, inputs, tuple(outputs), self.local.nodes)
        return DeviceGraph(self.rank, graph, self.local.shards, self.steps, self.macs)

    def _returned(self, value: Value) -> Box:
        """The part of a model output that this rank gives back: a replicated one only once."""
        box = self.layouts.owned[value][self.rank]
        for earlier in self.layouts.owned[value][: self.rank]:
            if earlier.contains(box):
                return Box.empty(len(box.intervals))
        return box

    def _run(self, shards: NodeShards, movements: Schedule, position: int) -> None:
        """One node; nearly always it is one tile.

        In tiles of rows, what they make is concatenated:

        x[:, 0:8] -- SEND, RECV x[0:4] --> CONV_2D --> y[0:4, 8:16] --.
                                                                   CONCATENATION --> y[:, 8:16]
                  -- SEND, RECV x[4:8] --> CONV_2D --> y[4:8, 8:16] --'
        """
        made: list[tuple[Value, ...]] = []
        kept = self.local.remembered(_read_in_tiles(shards))
        for number in range(len(shards.tiles)):
            made += self._tile(shards, movements, position, number, kept)
        self.local.held.update(kept)
        for index, parts in enumerate(zip(*made, strict=True)):
            value, box = shards.node.outputs[index], shards.held(self.rank)[index]
            self.local.keep(value, box, self._joined(shards, index, parts))

    def _joined(self, shards: NodeShards, index: int, parts: tuple[Value, ...]) -> Value:
        if len(parts) == 1:
            return parts[0]
        value, factor = shards.node.outputs[index], outermost_factor(shards.node, shards.split)
        assert factor is not None
        attrs = Attrs(axis=factor.results[index][0], fused_activation_function=Activation.NONE)
        whole = self._made(value, shards.held(self.rank)[index])
        self.local.add([Node("CONCATENATION", parts, (whole,), attrs, whole.name)])
        return whole

    def _made(self, value: Value, box: Box, suffix: str = "") -> Value:
        return local_value(value, box, self.local.tensor_name(self.local.labels[value] + suffix))

    def _tile(
        self,
        shards: NodeShards,
        movements: Schedule,
        position: int,
        number: int,
        kept: dict[Value, list[tuple[Box, Value]]],
    ) -> list[tuple[Value, ...]]:
        """One tile of a node: what the rank makes of each result; empty if that is nothing.

        kept: gets what is gathered here for good, and also read in tiles.
        """
        tile, suffix = shards.tiles[number], "/tile" if len(shards.tiles) > 1 else ""
        for stage, (node, pieces) in enumerate(tile.inside):
            first = len(self.local.nodes)
            self.exchange.gather(movements, (position, number, stage))
            self.local.held[node.output] = []
            for (output,) in self._computed(node, pieces[self.rank]):
                self.local.keep(node.output, pieces[self.rank].results[0], output)
            self.steps.update({made.name: node.name for made in self.local.nodes[first:]})
        before = self.local.remembered(kept)
        self.exchange.gather(movements, (position, number, len(tile.inside)))
        if shards.split.gather_tiles == 1:
            for value, held in before.items():
                kept[value] += self.local.held.get(value, [])[len(held) :]
        if shards.is_reduction:
            return self._sum_up(shards.node, tile, movements, (position, number), suffix)
        return self._computed(shards.node, tile.pieces[self.rank], suffix)

    def _computed(self, node: Node, piece: Piece, suffix: str = "") -> list[tuple[Value, ...]]:
        if piece.is_empty:
            return []
        inputs = self.local.inputs_of(node, piece)
        results = zip(node.outputs, piece.results, strict=True)
        outputs = tuple(self._made(value, box, suffix) for value, box in results)
        self.local.add(rule_of(node).localize(node, piece, inputs, outputs))
        self.macs += piece.macs
        return [outputs]

    def _sum_up(
        self, node: Node, tile: NodeTile, movements: Schedule, key: Tile, suffix: str
    ) -> list[tuple[Value, ...]]:
        """Partial sums, reduce_scatter, requantize.

        x[:, 0:8] -- PARTIAL --> sums of all channels -- SEND sums[8:16] -> 1
                                      |
                      RECV sums[0:8] + rank 1's -- REQUANTIZE --> y[0:8]
        """
        label, piece = self.local.labels[node.output], tile.pieces[self.rank]
        partial: Value | None = None
        if not piece.is_empty:
            partial = self._sums(node, label + "/partial", piece.results[0])
            inputs = self.local.inputs_of(node, piece)
            self.local.add(rule_of(node).partial(node, piece, inputs, partial))
            self.macs += piece.macs
            for transfer in movements.partial_sends.get(key, ()):
                if transfer.source == self.rank:
                    self.exchange.post(transfer, partial, piece.results[0], label + "/sums")
        for assembly in self.exchange.mine(movements.sums.get(key, ())):
            sums = self._complete(node, assembly, partial, piece.results[0])
            output = self._made(node.output, assembly.box, suffix)
            kept = tile.shares[self.rank]
            self.local.add(rule_of(node).requantize(node, kept, sums, output))
            return [(output,)]
        return []

    def _sums(self, node: Node, name: str, box: Box) -> Value:
        return Value(self.local.tensor_name(name), box.shape, rule_of(node).sums_dtype(node))

    def _complete(self, node: Node, assembly: Assembly, partial: Value | None, box: Box) -> Value:
        if not assembly.pieces and partial is not None and assembly.box == box:
            return partial
        label = self.local.labels[node.output]
        sums = self._sums(node, label + "/sums", assembly.box)
        if not assembly.pieces and partial is not None:
            self.local.add([sliced(partial, assembly.box.relative_to(box.origin).origin, sums)])
            return sums
        self.exchange.receive(assembly, sums, label + "/sums", partial, box, add=True)
        return sums


def _read_in_tiles(shards: NodeShards) -> set[Value]:
    """What is gathered or made for one tile of a node at a time."""
    nodes = {node for tile in shards.tiles for node, _ in tile.inside}
    if shards.split.gather_tiles > 1:
        nodes.add(shards.node)
    return {value for node in nodes for value in (*node.operands, *node.outputs)}
