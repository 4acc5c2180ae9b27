# SPDX-License-Identifier: Apache-2.0
"""``plan.json``: what was decided and what it comes to.  docs/plan_json.md is the contract."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from tflsplit import __version__
from tflsplit.bundle.plan_file import cluster_entries, layer_entry
from tflsplit.bundle.text import FORMAT, VERSION, Json, dump, parse
from tflsplit.ir import Graph, Value
from tflsplit.memory.arena import ArenaEstimate
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.memory.twin import ArenaMeasurement
from tflsplit.ops import Box
from tflsplit.ops.own.custom_options import RecvOptions, SendOptions
from tflsplit.plan.spec import Plan
from tflsplit.split.devices import DeviceGraph, Shard, constant_bytes, tensor_labels
from tflsplit.wire import custom_ops as wire

__all__ = ["FORMAT", "VERSION", "Json", "dump", "parse", "plan_document"]


def fingerprint(model_sha256: str, devices: Sequence[DeviceGraph]) -> str:
    """32 hex digits that change with the model, and with any operator of any device graph."""
    digest = hashlib.sha256(f"{FORMAT} {VERSION} {model_sha256} {len(devices)}".encode())
    for device in devices:
        for node in device.graph.nodes:
            shapes = [value.shape for value in (*node.operands, *node.outputs)]
            digest.update(repr((device.rank, node.op, sorted(node.attrs.items()), shapes)).encode())
    return digest.hexdigest()[:32]


def plan_document(
    whole: Graph,
    plan: Plan,
    devices: Sequence[DeviceGraph],
    arenas: Sequence[tuple[ArenaEstimate, ArenaMeasurement | None]],
    file_bytes: Sequence[int],
    identity: Mapping[str, str],
    remembered: Mapping[str, Json] | None = None,
) -> Json:
    """The whole document.

    arenas: per rank, the arena on the 32-bit target and, where it could be measured, this host's.
    file_bytes: per rank, the size of the graph's file.
    identity: ``model_name``, ``model_sha256`` and ``fingerprint``.
    remembered: of the request (``bundle.remembered``).
    """
    labels = tensor_labels(whole)
    return {
        "format": FORMAT,
        "version": VERSION,
        "tflsplit_version": __version__,
        "model_name": identity["model_name"],
        "model_file": "model.tflite",
        "model_sha256": identity["model_sha256"],
        "fingerprint": identity["fingerprint"],
        "world_size": plan.world_size,
        **(remembered or {}),
        "shares": list(plan.shares),
        "stock_kernels": plan.stock_kernels,
        "fuse": plan.fuse,
        "overlap": plan.overlap,
        "stream": plan.stream,
        **cluster_entries(plan),
        "inputs": [_tensor(labels, value) for value in whole.inputs],
        "outputs": [_tensor(labels, value) for value in whole.outputs],
        "layers": [
            layer_entry(node, split, plan.reasons.get(node.name, ""))
            for node, split in zip(whole.nodes, plan.splits, strict=True)
        ],
        "devices": [
            _device(device, *arena, size)
            | _places(device, numbers(labels.values()), numbers(n.name for n in whole.nodes))
            for device, arena, size in zip(devices, arenas, file_bytes, strict=True)
        ],
        "tensors": list(labels.values()),
    }


def numbers(names: Iterable[str]) -> dict[str, int]:
    """The place of each name in a list of names."""
    return {name: index for index, name in enumerate(names)}


def _tensor(labels: Mapping[Value, str], value: Value) -> Json:
    return {
        "tensor": labels.get(value, value.name),
        "shape": list(value.shape),
        "dtype": value.dtype.value.lower(),
    }


def _device(
    device: DeviceGraph,
    arena: ArenaEstimate,
    host: ArenaMeasurement | None,
    file_bytes: int,
) -> Json:
    sent, received = traffic_bytes(device.graph)
    graph = device.graph
    return {
        "rank": device.rank,
        "file": f"node{device.rank}.tflite",
        "arena_bytes": arena.total_bytes,
        "arena_head_bytes": arena.head_bytes,
        "arena_tail_bytes": arena.tail_bytes,
        "arena_required_bytes": arena.required_bytes,
        "arena_exact": arena.exact,
        **banks_entries(arena),
        "host_arena_bytes": None if host is None else host.total_bytes,
        "host_arena_head_bytes": None if host is None else host.head_bytes,
        "host_arena_tail_bytes": None if host is None else host.tail_bytes,
        "peak_live_bytes": peak_live_bytes(graph),
        "weights_bytes": constant_bytes(graph),
        "file_bytes": file_bytes,
        "sent_bytes": sent,
        "received_bytes": received,
        "macs": device.macs,
        "nodes": len(graph.nodes),
        "inputs": [_shard(value, device.shards[value.name]) for value in graph.inputs],
        "outputs": [_shard(value, device.shards[value.name]) for value in graph.outputs],
    }


def banks_entries(arena: ArenaEstimate) -> Json:
    """What lies in the main RAM and in each bank, of an arena that is in several memories."""
    if not arena.banks_bytes:
        return {}
    banks = list(arena.banks_bytes)
    return {"arena_main_bytes": arena.main_bytes, "arena_banks_bytes": banks}


def _places(device: DeviceGraph, tensors: Mapping[str, int], layers: Mapping[str, int]) -> Json:
    """What the device's tensors and nodes are of the model, by the places of these."""
    return {
        "tensors": {
            name: [tensors[shard.tensor], list(shard.box.flat()), shard.owned]
            for name, shard in device.shards.items()
        },
        "steps": [
            layers[device.steps[node.name]] if node.name in device.steps else -1
            for node in device.graph.nodes
        ],
    }


def traffic_bytes(graph: Graph) -> tuple[int, int]:
    """(sent, received) payload of one inference; a box for three ranks is sent three times."""
    sent = received = 0
    for node in graph.nodes:
        if node.op == wire.SEND:
            options = SendOptions.of(node)
            sent += options.payload_elements * node.input(0).dtype.itemsize
        elif node.op == wire.RECV and node.outputs:
            pieces = RecvOptions.of(node).pieces
            received += sum(p.box.size for p in pieces) * node.output.dtype.itemsize
    return sent, received


def _shard(value: Value, shard: Shard) -> Json:
    return {"name": value.name, "tensor": shard.tensor, "box": list(shard.box.flat())}


def read_shards(document: Json, device: Json) -> dict[str, Shard]:
    """The ``tensors`` of a device entry."""
    return {
        name: Shard(document["tensors"][index], Box.from_flat(box), owned)
        for name, (index, box, owned) in device["tensors"].items()
    }


def read_steps(document: Json, device: Json, graph: Graph) -> dict[str, str]:
    """The ``steps`` of a device entry: the model's node that each local node works for."""
    return {
        node.name: document["layers"][index]["node"]
        for node, index in zip(graph.nodes, device["steps"], strict=True)
        if index >= 0
    }
