# SPDX-License-Identifier: Apache-2.0
"""``tflsplit inspect MODEL``."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from tflsplit.cli.console import (
    STDOUT,
    Commands,
    dropped_note,
    kib,
    millions,
    print_json,
    progress,
    shortened,
    table,
)
from tflsplit.errors import ModelError
from tflsplit.firmware.resolver import resolver_header
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.ops import rule_of
from tflsplit.ops.declared import check_declared
from tflsplit.ops.rule import graph_macs
from tflsplit.passes.prepare import dropped, prepare
from tflsplit.plan.wishes import way_of
from tflsplit.rewriting.rewrite import splittable
from tflsplit.tflite import load


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "inspect",
        help="what a model is made of, and how each layer can be split",
        description="Operators, MACs, weights and activations of a model, and its possible splits.",
    )
    command.add_argument("model", type=Path, help="a .tflite file")
    command.add_argument(
        "--resolver",
        action="store_true",
        help="print C++ that registers its operators with TFLM, for an application of your own",
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    with progress("reading"):
        graph = load(arguments.model)
        if arguments.resolver:
            print(resolver_header(graph), end="")
            return 0
        document = describe(graph)
    if arguments.json:
        print_json(document)
    else:
        _print(document, arguments.model.name)
    return 0


def describe(model: Graph) -> dict[str, Any]:
    """Everything that the command prints; ModelError where the model contradicts itself."""
    check_declared(model, types=False)
    graph = prepare(model)
    try:
        splittable(model)
        refusal = None
    except ModelError as error:
        refusal = str(error)
    without = dropped(model, graph)
    constants = {id(v.data): v.size_bytes for v in graph.constants()}
    return {
        "inputs": [_tensor(value) for value in graph.inputs],
        "outputs": [_tensor(value) for value in graph.outputs],
        "operators": dict(Counter(node.op for node in model.nodes).most_common()),
        "macs": graph_macs(graph),
        "dropped_channels": without.channels,
        "dropped_macs": without.macs,
        "weights_bytes": sum(constants.values()),
        "peak_live_bytes": peak_live_bytes(graph),
        "refusal": refusal,
        "layers": [_layer(node) for node in graph.nodes],
    }


def _tensor(value: Value) -> dict[str, Any]:
    return {
        "tensor": value.name,
        "shape": list(value.shape),
        "dtype": value.dtype.value.lower(),
    }


def _layer(node: Node) -> dict[str, Any]:
    rule = rule_of(node)
    ways = {
        f"{way_of(factor).value}" + (f":{factor.name}" * (way_of(factor).value == "other")): (
            factor.size
        )
        for factor in rule.factors(node)
        if factor.size > 1
    }
    return {
        "node": node.name,
        "op": node.op,
        "output_shape": list(node.outputs[0].shape) if node.outputs else [],
        "macs": rule.piece(node, {}).macs,
        "weights_bytes": sum(v.size_bytes for v in node.operands if v.is_constant),
        "activation_bytes": sum(v.size_bytes for v in node.operands if v.is_computed)
        + sum(v.size_bytes for v in node.outputs),
        "ways": ways,
    }


def _print(document: dict[str, Any], name: str) -> None:
    rows = [
        [
            str(index),
            shortened(layer["node"]),
            layer["op"],
            "x".join(map(str, layer["output_shape"])),
            millions(layer["macs"]) if layer["macs"] else "–",
            kib(layer["weights_bytes"]) if layer["weights_bytes"] else "–",
            kib(layer["activation_bytes"]),
            " ".join(f"{way}:{size}" for way, size in layer["ways"].items()) or "whole",
        ]
        for index, layer in enumerate(document["layers"])
    ]
    columns = ["layer", "<node", "<op", "output", "MACs", "weights", "in + out", "<can be split by"]
    table(name, columns, rows)
    operators = ", ".join(f"{count} {op}" for op, count in document["operators"].items())
    STDOUT.print(
        f"{millions(document['macs'])} MACs, {kib(document['weights_bytes'])} of weights, "
        f"{kib(document['peak_live_bytes'])} of live activations at the peak\n{operators}"
    )
    if note := dropped_note(
        document["dropped_channels"], document["dropped_macs"], document["macs"]
    ):
        STDOUT.print(note, soft_wrap=True)
    if document["refusal"]:
        STDOUT.print(f"cannot be rewritten: {document['refusal']}", soft_wrap=True)
