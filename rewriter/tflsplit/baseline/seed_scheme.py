# SPDX-License-Identifier: Apache-2.0
"""What the seed system would need: RAM, traffic and work of its kernel-wise and neuron-wise split.

The scheme, reconstructed from the lengths that its repository holds:

* every layer's output is flattened channel by channel (CHW) and cut into ``world_size`` nearly
  equal ranges, one per device;
* a full or 1x1 convolution's device holds every input position that its range touches, in all
  channels, padding included; a depthwise one's only its own channels; a fully connected one's all;
* a hub (a PC) stands between all devices.  A byte that some other device needs goes up to the hub
  once, then down once to each device that needs it and has not made it itself.  The hub feeds the
  image and takes the logits;
* a device holds a layer's input and output at once.

What that leaves open was fitted to the figures that are known of the seed system
(tests/baseline/test_seed_scheme.py), so those figures do not confirm these rules:

* the first range has one element more, the last one less (else peaks at N >= 2 are 1 byte off);
* padding goes down with the input of a full convolution, not with a depthwise one's (else traffic
  at N = 3 and 8 is off by 0.01 MB, or by 0.4 MB);
* the hub pools: the last map goes up and the pooled vector down (else traffic is 0.06 MB less);
* with its double buffer a device holds a layer's output while the next layer's input arrives
  (the 508 KB of N = 8; only one figure is known).

     device 0 ─┐                  ┌─ device 0
     device 1 ─┼─ up ─ hub ─ down ┼─ device 1      between any two layers
     device 2 ─┘                  └─ device 2
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tflsplit.baseline.ranges import chw, cut, inputs_of, macs_per_output, sizes
from tflsplit.baseline.windows import Window, window_of
from tflsplit.errors import ModelError, PlanError
from tflsplit.ir import Graph, Node, Value

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
ELEMENTWISE = ("ADD", "SUB", "MUL", "QUANTIZE", "RELU", "RELU6", "LOGISTIC", "HARD_SWISH", "TANH")


@dataclass(frozen=True)
class SeedCost:
    """Cost of one inference.

    peak_bytes: largest input + output of a layer on one device.
    peak_double_buffer_bytes: the same, or a layer's output with the next layer's input.
    traffic_bytes: sum over all links, both ways.
    macs: multiply-accumulates per device, in rank order.
    """

    peak_bytes: int
    peak_double_buffer_bytes: int
    traffic_bytes: int
    macs: tuple[int, ...]


@dataclass(frozen=True)
class SeedStep:
    """One operator, or (node is None) the result's way to the hub; every tuple by rank.

    up_bytes: what each device sends to the hub before it; down_bytes: what the hub then sends to
        each.
    made: output elements of each device; () of an operator that the hub runs.
    macs: multiply-accumulates of each device.
    """

    node: Node | None
    up_bytes: tuple[int, ...]
    down_bytes: tuple[int, ...]
    made: tuple[int, ...] = ()
    macs: tuple[int, ...] = ()


def seed_scheme(graph: Graph, world_size: int) -> SeedCost:
    """Cost of ``graph`` on ``world_size`` devices under the seed system's scheme.

    graph: int8 activations ``[1, h, w, c]`` or ``[1, c]``.  Convolutions, fully connected and
        elementwise layers run on the devices; every other operator runs on the hub, free of
        charge but for the bytes up and down.
    Raises PlanError for less than one device, ModelError for a layer that is not int8.
    """
    return _run(graph, world_size).total()


def seed_schedule(graph: Graph, world_size: int) -> tuple[SeedStep, ...]:
    """What moves and is computed, operator by operator; the last ones only bring the result up.

    Arguments and errors are those of ``seed_scheme``, whose traffic is the sum of these bytes.
    """
    return tuple(_run(graph, world_size).steps)


def _run(graph: Graph, world_size: int) -> _Accounts:
    if world_size < 1:
        raise PlanError(f"a cluster has at least one device, not {world_size}")
    accounts = _Accounts(world_size, {id(value) for value in graph.inputs})
    for node in graph.nodes:
        accounts.run(node)
    accounts.bring_up(None, graph.outputs)
    return accounts


class _Accounts:
    """Who holds what, and what has been moved so far."""

    def __init__(self, world_size: int, at_hub: set[int]) -> None:
        self.world_size = world_size
        self.at_hub = at_hub
        self.padded: dict[int, tuple[Value, Window]] = {}
        self.steps: list[SeedStep] = []
        self.peaks = [0] * world_size
        self.double_peaks = [0] * world_size
        self.last_output_bytes = [0] * world_size

    def total(self) -> SeedCost:
        return SeedCost(
            max(self.peaks),
            max(max(self.peaks), *self.double_peaks),
            sum(sum(step.up_bytes) + sum(step.down_bytes) for step in self.steps),
            tuple(sum(macs) for macs in zip(*self._macs(), strict=True)),
        )

    def _macs(self) -> list[tuple[int, ...]]:
        nothing = (0,) * self.world_size
        return [nothing, *(step.macs for step in self.steps if step.macs)]

    def run(self, node: Node) -> None:
        """Account for one operator."""
        if node.op == "PAD":  # the layer that reads it counts its padding
            self.padded[id(node.output)] = node.input(0), window_of(node)
        elif node.op in WEIGHTED:
            self._weighted(node)
        elif node.op in ELEMENTWISE and self._computed_alike(node):
            self._elementwise(node)
        else:
            self.bring_up(node, node.operands)
            self.at_hub.update(id(value) for value in node.outputs)

    def bring_up(self, node: Node | None, values: Iterable[Value]) -> None:
        """Gather for ``node`` the tensors that lie on the devices."""
        up = [0] * self.world_size
        for value in values:
            if not value.is_constant and id(value) not in self.at_hub:
                self.at_hub.add(id(value))
                for rank, size in enumerate(sizes(cut(value.size, self.world_size))):
                    up[rank] += size * value.dtype.itemsize
        self.steps.append(SeedStep(node, tuple(up), (0,) * self.world_size))

    def _computed_alike(self, node: Node) -> bool:
        return all(
            value.shape == node.output.shape and id(value) not in self.at_hub
            for value in node.operands
        )

    def _elementwise(self, node: Node) -> None:
        made = sizes(cut(node.output.size, self.world_size))
        nothing = (0,) * self.world_size
        held = [count * len(node.operands) for count in made]
        self._layer(SeedStep(node, nothing, nothing, tuple(made), nothing), node, held)

    def _weighted(self, node: Node) -> None:
        """A layer with weights; what a device has not made itself comes from the hub."""
        source, before = self.padded.get(id(node.input(0)), (node.input(0), Window()))
        window = before.then(window_of(node))
        at_hub = id(source) in self.at_hub
        inner = (slice(None), *window.inside(*chw(source)[1:]))
        wanted = np.zeros(chw(source), np.bool_)
        owned = cut(source.size, self.world_size)
        parts = cut(node.output.size, self.world_size)
        held, down = [], []
        for rank, part in enumerate(parts):
            reached = inputs_of(node, source, window, part)
            need = reached[inner].copy()
            padding = int(reached.sum() - need.sum())
            if not at_hub:
                need.reshape(-1)[slice(*owned[rank])] = False
            wanted |= need
            missing = int(need.sum())
            held.append(int(reached.sum()))
            down.append(missing + (padding if missing and node.op == "CONV_2D" else 0))
        flat = wanted.reshape(-1)
        up = [0 if at_hub else int(flat[slice(*own)].sum()) for own in owned]
        made = sizes(parts)
        macs = tuple(count * macs_per_output(node) for count in made)
        self._layer(SeedStep(node, tuple(up), tuple(down), tuple(made), macs), node, held)

    def _layer(self, step: SeedStep, node: Node, held_bytes: Sequence[int]) -> None:
        """Account for a layer on the devices; ``held_bytes``: of its input, by rank."""
        if node.output.dtype.itemsize != 1:
            raise ModelError(f"{node!r} is not int8; the seed system's scheme knows nothing else")
        self.steps.append(step)
        for rank, (held, made) in enumerate(zip(held_bytes, step.made, strict=True)):
            self.peaks[rank] = max(self.peaks[rank], held + made)
            arriving = self.last_output_bytes[rank] + held
            self.double_peaks[rank] = max(self.double_peaks[rank], arriving)
            self.last_output_bytes[rank] = made
