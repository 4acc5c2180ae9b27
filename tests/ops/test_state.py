# SPDX-License-Identifier: Apache-2.0
"""SVDF and LSTM, cut: each piece keeps its own part of the state, over many inferences."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.plan.networks import plan_of, replicated, whole
from tests.random_models.net import Net
from tests.random_models.stateful import lstm, svdf
from tests.splits import needs_tflm
from tflsplit.cli import main
from tflsplit.errors import PlanError
from tflsplit.ir import Graph, Node
from tflsplit.ops import rule_of
from tflsplit.ops.stock.state import has_state
from tflsplit.plan.check import plan_problems
from tflsplit.plan.spec import NodeSplit, Plan, Way, even_shares
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.runtime.engines import TflmProgram, engine
from tflsplit.split.devices import DeviceGraph
from tflsplit.tflite import write_model
from tflsplit.verify import Verdict, make_cases, verify_devices


def svdf_network(seed: int, batch: int = 2) -> Graph:
    net = Net(random.Random(seed))
    made = svdf(net, net.input((batch, 5)))
    assert made is not None
    return net.finish("svdf")


def lstm_network(seed: int) -> Graph:
    net = Net(random.Random(seed))
    made = lstm(net, net.input((3, 3, 4)))
    assert made is not None
    return net.finish("lstm")


def compared(whole: Graph, devices: tuple[DeviceGraph, ...], runs: int = 6) -> Verdict:
    return verify_devices(
        whole, devices, "tflm", engine("tflm")[1], make_cases(whole, runs, seed=1)
    )


def by(node: Node, factor: str, *bounds: int) -> NodeSplit:
    way = Way.BATCH if factor == "batch" else Way.OUT_CHANNELS
    return NodeSplit(node.name, way, factor, bounds)


@needs_tflm
def test_inferences_are_said_to_be_a_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model, folder = tmp_path / "m.tflite", tmp_path / "out"
    model.write_bytes(write_model(svdf_network(3, batch=1)))
    assert main(["rewrite", str(model), "-n", "2", "-o", str(folder)]) == 0
    assert main(["verify", str(folder), "--runs", "2"]) == 0
    assert "5 inputs, one after another: state is kept between them" in capsys.readouterr().out


def verdict_of(graph: Graph, *splits: NodeSplit) -> Verdict:
    plan = plan_of(2, *splits)
    assert plan_problems(graph, plan) == []
    split = split_model(graph, lambda _: plan)
    return compared(split.whole, split.devices)


@needs_tflm
@pytest.mark.parametrize("seed", range(12))
def test_svdf_by_units_and_by_batch(seed: int):
    graph = svdf_network(seed)
    (node,) = graph.nodes
    units = node.output.shape[1]
    assert verdict_of(graph, by(node, "out_channels", 0, units // 2, units)).passed
    assert verdict_of(graph, by(node, "batch", 0, 1, 2)).passed
    tiles = replace(by(node, "out_channels", 0, units // 2, units), gather_tiles=2)
    assert verdict_of(graph, tiles).passed
    assert verdict_of(graph, replicated(node)).passed


@needs_tflm
@pytest.mark.parametrize("seed", range(6))
def test_lstm_by_batch(seed: int):
    graph = lstm_network(seed)
    (node,) = graph.nodes
    assert [factor.name for factor in rule_of(node).factors(node)] == ["batch"]
    assert verdict_of(graph, by(node, "batch", 0, 1, 3)).passed
    assert verdict_of(graph, whole(node, 1)).passed


@needs_tflm
@pytest.mark.parametrize("network", [svdf_network, lstm_network])
def test_the_state_matters(network):
    """The same input gives another output the second time: the tests above mean something."""
    found = 0
    for seed in range(6):
        graph = network(seed)
        (case,) = list(make_cases(graph, 1, seed))[3:]
        program = TflmProgram(graph)
        first, second = (program.run(list(case.inputs.values()))[0] for _ in range(2))
        found += not np.array_equal(first, second)
    assert found >= 3


def test_the_policy_divides_the_units_of_svdf():
    graph = svdf_network(3, batch=1)
    split = split_model(graph, Wishes(2, split="channels"))
    assert split.plan.splits[0].factor == "out_channels"
    assert all(device.macs for device in split.devices)
    states = [
        value for device in split.devices for value in device.graph.values() if value.is_variable
    ]
    (whole_state,) = [value for value in graph.values() if value.is_variable]
    assert len(states) == 2
    assert sum(state.size for state in states) == whole_state.size


def chain() -> Graph:
    net = Net(random.Random(3))
    made = svdf(net, net.input((2, 5)))
    assert made is not None
    net.result("RELU", (made,), made.shape)
    return net.finish("chain")


def test_what_has_state_is_not_streamed():
    graph = chain()
    first, second = graph.nodes
    assert has_state(first)
    assert not has_state(second)
    assert has_state(Node("SignalDelay", (), (), is_custom=True))
    assert has_state(Node("READ_VARIABLE", (), ()))
    plan = Plan(2, (replace(whole(first, 0), streamed=True), whole(second, 0)), even_shares(2))
    (problem,) = plan_problems(graph, plan)
    assert "several times in an inference" in problem
    with pytest.raises(PlanError, match="must run once in each inference"):
        split_model(graph, lambda _: plan)


def test_shapes_that_make_no_sense_run_whole():
    (node,) = svdf_network(0).nodes
    wrong = replace(node, attrs=node.attrs.replace(rank=0))
    assert rule_of(wrong).factors(wrong) == ()
    (node,) = lstm_network(0).nodes
    wrong = replace(node, inputs=node.inputs[:19])
    assert rule_of(wrong).factors(wrong) == ()
