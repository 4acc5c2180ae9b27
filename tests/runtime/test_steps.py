# SPDX-License-Identifier: Apache-2.0
"""Device graphs as steps: stretches for the engine between sends and receives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from models.tiny import NETWORKS
from tests.splits import needs_tflm, tiny, tiny_split
from tflsplit.errors import ModelError
from tflsplit.ir import Graph, Node, Value
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.runtime.engines import Array, TflmProgram
from tflsplit.runtime.steps import KernelStep, RecvStep, SendStep, compile_graph
from tflsplit.wire import custom_ops as wire

NUMPY = (wire.PARTIAL_CONV_2D, wire.PARTIAL_FULLY_CONNECTED, wire.REQUANTIZE)


class Recorder:
    """An engine that runs nothing and notes what it was asked to."""

    def __init__(self) -> None:
        self.graphs: list[Graph] = []

    def __call__(self, graph: Graph) -> Recorder:
        self.graphs.append(graph)
        return self

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        raise AssertionError("nothing runs here")


def test_an_unsplit_model_is_one_stretch():
    recorder, graph = Recorder(), tiny("resnet")
    (step,) = compile_graph(graph, recorder)
    assert isinstance(step, KernelStep)
    assert (step.inputs, step.outputs) == (graph.inputs, graph.outputs)
    assert [node.op for node in recorder.graphs[0].nodes] == [node.op for node in graph.nodes]


def test_what_is_to_be_kept_is_an_output_of_the_stretch():
    graph = tiny("resnet")
    kept = [node.output for node in graph.nodes[:3]]
    (step,) = compile_graph(graph, Recorder(), keep=kept)
    assert isinstance(step, KernelStep)
    assert set(step.outputs) == {*kept, *graph.outputs}


@pytest.mark.parametrize("ways", ["auto", "in_channels"])
@pytest.mark.parametrize("name", NETWORKS)
def test_stretches_end_only_where_they_must(name: str, ways: str):
    for device in tiny_split(name, 3, ways).devices:
        recorder = Recorder()
        steps = compile_graph(device.graph, recorder)
        own = [n for n in device.graph.nodes if n.op in (wire.SEND, wire.RECV, *NUMPY)]
        border = [isinstance(s, (SendStep, RecvStep)) for s in steps]
        assert sum(border) == len([n for n in own if n.op not in NUMPY])
        runs = 0
        inside = False
        for node in device.graph.nodes:
            runs += node not in own and not inside
            inside = node not in own
        assert len(recorder.graphs) == runs
        stock = {node.op for graph in recorder.graphs for node in graph.nodes}
        assert not any(op.startswith("TFLSPLIT") for op in stock)


def test_every_step_finds_what_it_reads():
    for name in ("mobilenet", "temporal", "unet"):
        for device in tiny_split(name, 3).devices:
            ready: set[Value] = set(device.graph.inputs)
            for step in compile_graph(device.graph, Recorder()):
                if isinstance(step, KernelStep):
                    assert set(step.inputs) <= ready
                    ready |= set(step.outputs)
                else:
                    assert set(step.node.operands) <= ready
                    ready |= set(step.node.outputs)
            assert set(device.graph.outputs) <= ready


@needs_tflm
def test_our_convolutions_run_by_their_stock_expansion():
    graph = split_model(tiny("resnet"), Wishes(2, split="rows")).devices[0].graph
    node = next(n for n in graph.nodes if n.op == wire.CONV_2D)
    alone = Graph("alone", (node.input(0),), (node.output,), [node])
    (step,) = compile_graph(alone, TflmProgram)
    assert isinstance(step, KernelStep)
    x = np.zeros(node.input(0).shape, np.int8)
    (y,) = step.run([x])
    assert y.shape == node.output.shape


def broken(node: Node, index: int, value: Value) -> Graph:
    inputs = (*node.inputs[:index], value, *node.inputs[index + 1 :])
    bad = replace(node, inputs=inputs)
    computed = tuple(v for v in bad.operands if not v.is_constant)
    return Graph("broken", computed, bad.outputs, [bad])


def test_an_operator_that_contradicts_itself_is_refused():
    split = tiny_split("mobilenet", 3, "in_channels")
    graph = split.devices[0].graph
    node = next(n for n in graph.nodes if n.op == wire.REQUANTIZE)
    short = node.input(1)
    assert short.data is not None
    short = replace(short, data=short.data[:1], shape=(1,))
    with pytest.raises(
        ModelError, match=r"TFLSPLIT_REQUANTIZE .* bytes of constants, not .*; write the"
    ):
        compile_graph(broken(node, 1, short), Recorder())
