# SPDX-License-Identifier: Apache-2.0
"""``tflsplit inspect MODEL``."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from tflsplit.api.clusters import DEFAULT_BOARD, board_cluster
from tflsplit.cli.console import (
    STDOUT,
    Commands,
    about_ms,
    dropped_note,
    print_json,
    progress,
    shortened,
    table,
)
from tflsplit.cluster import known_board
from tflsplit.cluster.boards import board_title
from tflsplit.errors import ModelError
from tflsplit.firmware.resolver import resolver_header
from tflsplit.ir import Graph, Node, Value
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.ops import rule_of
from tflsplit.ops.declared import check_declared
from tflsplit.ops.rule import graph_macs
from tflsplit.passes.prepare import dropped, prepare
from tflsplit.passes.settle import settle
from tflsplit.plan.wishes import way_of
from tflsplit.planner import Planner
from tflsplit.planner.cost.memories import kernels_of
from tflsplit.report.figures import kib, millions
from tflsplit.rewriting.rewrite import splittable
from tflsplit.tflite import load

MORE = 4
"""The number of boards whose gain is told."""


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "inspect",
        help="what a model is made of, and how each layer can be split",
        description="Operators, MACs, weights and activations of a model, and its possible splits.",
    )
    command.add_argument("model", type=Path, metavar="MODEL", help="a .tflite file")
    command.add_argument(
        "--resolver",
        action="store_true",
        help="print C++ that registers its operators with TFLM, for an application of your own",
    )
    command.add_argument(
        "--board",
        default=DEFAULT_BOARD,
        metavar="NAME",
        help=f"the board whose arena and time are told ({DEFAULT_BOARD}); `tflsplit boards` lists "
        "them all",
    )
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    known_board(arguments.board)
    with progress("reading") as stage:
        graph = load(arguments.model)
        if arguments.resolver:
            print(resolver_header(graph), end="")
            return 0
        graph = settle(graph)
        document = describe(graph)
        if document["refusal"] is None:
            stage("planning for one board, and for several")
            document["one_board"] = one_board(graph, arguments.board)
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


def one_board(model: Graph, board: str) -> dict[str, Any]:
    """What one board would need, and what splitting over ``MORE`` of them would gain.

    tflm_arena_bytes: of the model as it is, with TFLM's own kernels.  arena_bytes, latency_us: with
    this project's, simulated; None where no plan is known.  split: the fastest plan that is found
    for so many boards in a ring of UARTs, as `tflsplit rewrite -n N` writes it; None: none.
    """
    graph, cluster = splittable(model), board_cluster(1, board)
    device = cluster.devices[0]
    stock = predict_arena(model, device.abi, kernels_of(device)).required_bytes
    found = Planner(graph, cluster).alone("latency")
    more = board_cluster(MORE, board)
    split = Planner(graph, more).find("latency")
    return {
        "board": board,
        "arena_room_bytes": cluster.arena_room_bytes(0),
        "tflm_arena_bytes": stock,
        "arena_bytes": found[0].arena_bytes if found else None,
        "latency_us": found[0].latency_us if found else None,
        "fits": bool(found and found[0].fits(cluster)),
        "split": None
        if split is None or not split.fits(more)
        else {
            "devices": split.plan.world_size,
            "of": MORE,
            "latency_us": split.latency_us,
            "arena_bytes": split.arena_bytes,
        },
    }


def _print_one_board(one: dict[str, Any], has_macs: bool) -> None:
    """In three lines at most."""
    title, room = board_title(one["board"]), one["arena_room_bytes"]
    if one["arena_bytes"] is None:
        return
    time = f", {one['latency_us'] / 1000:,.1f} ms an inference" if one["fits"] else ""
    STDOUT.print(
        f"one {title}: arena {kib(one['arena_bytes'])} of {kib(room)} (with TFLM's own kernels "
        f"{kib(one['tflm_arena_bytes'])}){time}: {'FITS' if one['fits'] else 'DOES NOT FIT'}"
    )
    if has_macs:
        STDOUT.print(f"{_gain(one)}; other boards: `tflsplit boards MODEL`")


def _gain(one: dict[str, Any]) -> str:
    """What several boards would bring."""
    split = one["split"]
    if split is None:
        return f"split over {MORE}: DOES NOT FIT"
    if split["devices"] == 1:
        return f"split over up to {MORE} in a ring of UARTs: no faster"
    times = f", {one['latency_us'] / split['latency_us']:.1f} times as fast" if one["fits"] else ""
    board = "" if one["board"] == DEFAULT_BOARD else f" --board {one['board']}"
    return (
        f"split over {split['devices']} in a ring of UARTs: {about_ms(split['latency_us'])}{times},"
        f" an arena of {kib(split['arena_bytes'])} at most (`tflsplit rewrite -n {split['of']}"
        f"{board}`; less RAM: --objective ram)"
    )


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
        STDOUT.print(note)
    if "one_board" in document:
        _print_one_board(document["one_board"], bool(document["macs"]))
    if not document["macs"]:
        STDOUT.print("nothing to split: it has no convolution and no dense layer")
    if document["refusal"]:
        STDOUT.print(f"cannot be rewritten: {document['refusal']}")
