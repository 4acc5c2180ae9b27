# SPDX-License-Identifier: Apache-2.0
"""Files that contradict themselves: one line, exit code 2, nothing written, nothing run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of, rewrite_node
from tests.splits import tiny
from tflsplit.cli import main
from tflsplit.ir import Attrs, Graph, Node
from tflsplit.tflite import write_model


def ending_at(name: str, op: str, *shape: int) -> bytes:
    """A network that ends with its first ``op``, whose result is declared to be of that shape."""
    graph = tiny(name)
    at = next(place for place, node in enumerate(graph.nodes) if node.op == op)
    last = graph.nodes[at]
    wrong = replace(last, outputs=(replace(last.output, shape=shape),))
    nodes = [*graph.nodes[:at], wrong]
    return write_model(Graph("broken", graph.inputs, wrong.outputs, nodes))


def with_option(name: str, op: str, option: str, value: float) -> bytes:
    graph = tiny(name)
    nodes = [
        replace(node, attrs=Attrs({**node.attrs, option: value})) if node.op == op else node
        for node in graph.nodes
    ]
    return write_model(Graph("broken", graph.inputs, graph.outputs, nodes))


def without_operand(op: str) -> bytes:
    graph = tiny("autoencoder")
    last = graph.nodes[-1]
    node = Node(op, (None, None), (replace(last.output, name="y", shape=(1, 4)),), name="y")
    return write_model(Graph("broken", graph.inputs, node.outputs, [*graph.nodes, node]))


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "a sum declared as one element": (
        lambda: ending_at("resnet", "ADD", 1, 1, 1, 1), "must have the shape"),
    "a batch that nobody computes": (
        lambda: ending_at("mobilenet", "DEPTHWISE_CONV_2D", 65536, 12, 12, 16), "int8[65536"),
    "more elements than 32 bits count": (
        lambda: ending_at("resnet", "ADD", 1, 2**16, 2**15, 1), "the impossible shape"),
    "nothing comes out": (
        lambda: write_model(replace(tiny("resnet"), outputs=())), "no operator makes any output"),
    "beta": (lambda: with_option("mobilenet", "SOFTMAX", "beta", -1.0), "beta = -1.0"),
    "dilation": (
        lambda: with_option("mobilenet", "CONV_2D", "dilation_w_factor", 2**31 - 1),
        "dilation_w_factor = 2147483647"),
    "MEAN of nothing": (lambda: without_operand("MEAN"), "operand 0 is missing"),
    "SPLIT of nothing": (lambda: without_operand("SPLIT"), "operand 1 is missing"),
}  # fmt: skip


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The only line that a command says."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("command", ["rewrite", "plan", "inspect"])
def test_models_that_contradict_themselves(
    name: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    make, text = BROKEN[name]
    path, folder = tmp_path / "broken.tflite", tmp_path / "out"
    path.write_bytes(make())
    more = {"rewrite": ["-n", "2", "-o", str(folder)], "plan": ["-n", "2"], "inspect": []}[command]
    if command == "inspect" and name == "nothing comes out":
        assert main([command, str(path)]) == 0
        assert text in capsys.readouterr().out
        return
    line = refused(capsys, command, str(path), *more)
    assert text in line
    assert not folder.exists()


def shrunk(graph: Graph) -> None:
    """The first convolution's result, half as wide."""
    value = next(node for node in graph.nodes if node.op == "CONV_2D").output
    value.shape = (*value.shape[:2], value.shape[2] // 2, value.shape[3])


@pytest.mark.parametrize("command", ["run", "verify", "simulate", "report", "firmware"])
def test_folders_of_which_a_file_was_changed(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = bundle_of(tmp_path / "out", "resnet", 2, "out_channels")
    rewrite_node(folder, 1, shrunk)
    np.save(tmp_path / "x.npy", np.zeros(tiny("resnet").inputs[0].shape, np.int8))
    more = ["--input", str(tmp_path / "x.npy")] if command == "run" else []
    line = refused(capsys, command, str(folder), *more)
    assert "node1.tflite: CONV_2D 'conv_2d_0': tensor 'conv_2d_0' int8" in line
    assert "must have the shape" in line
