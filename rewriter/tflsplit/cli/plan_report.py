# SPDX-License-Identifier: Apache-2.0
"""What `plan` says of a plan, as a document and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tflsplit.bundle.plan_file import layer_entry
from tflsplit.cli.console import STDOUT, shortened, table
from tflsplit.cluster import Cluster
from tflsplit.ir import Graph
from tflsplit.memory import ArenaEstimate, live_bytes_over_time
from tflsplit.planner import Planned
from tflsplit.planner.explain import explain
from tflsplit.report.figures import kib
from tflsplit.rewriting.chooser import Chooser
from tflsplit.split.devices import DeviceGraph

_BARS = "▁▂▃▄▅▆▇█"


def describe(chooser: Chooser) -> dict[str, Any]:
    """All that the command prints of the plan itself."""
    planned = chooser.planned
    searcher = chooser.searcher
    cluster, prediction = planned.cluster, planned.prediction
    devices = []
    for rank, (arena, weights) in enumerate(
        zip(planned.arenas, planned.weights_bytes, strict=True)
    ):
        arena_room = cluster.arena_room_bytes(rank)
        next_bytes = planned.next_input_bytes(cluster, rank)
        weights_room = cluster.weights_room_bytes(rank)
        devices.append(
            {
                "rank": rank,
                "board": cluster.devices[rank].board or cluster.devices[rank].name,
                "arena_bytes": arena.required_bytes,
                "arena_room_bytes": arena_room,
                **ram_of(cluster, rank, arena, next_bytes),
                "weights_bytes": weights,
                "weights_room_bytes": weights_room,
                "fits": not arena.short_bytes(cluster.arena_rooms(rank, next_bytes))
                and weights <= weights_room,
                "macs": planned.drafts[rank].macs,
                "compute_us": prediction.compute_us[rank],
                "send_us": prediction.send_us[rank],
                "wait_us": prediction.wait_us[rank],
                "ram_over_time": ram_over_time(planned.drafts[rank], searcher.graph),
            }
        )
    return {
        "world_size": cluster.world_size,
        "latency_us": prediction.latency_us,
        "simulated_us": planned.latency_us,
        "input_us": prediction.input_us,
        "graph_us": prediction.graph_us,
        "output_us": prediction.output_us,
        "payload_bytes": prediction.payload_bytes,
        "wire_bytes": planned.wire_bytes,
        "links": [
            {"from": a, "to": b, "bytes": size}
            for (a, b), size in sorted(prediction.bytes_per_link.items())
        ],
        "devices": devices,
        "units": explain(planned, searcher),
        "layers": layers(planned, searcher.graph),
    }


def ram_of(
    cluster: Cluster, rank: int, arena: ArenaEstimate, next_bytes: int = 0
) -> dict[str, Any]:
    """All RAM of a device: ``ram_bytes`` is its arena and what is reserved beside it.

    next_bytes: of these, for the input of the next inference.
    What lies in banks is not in that; ``main_arena_bytes`` of the arena is.
    """
    device = cluster.devices[rank]
    sizes = (*arena.banks_bytes, *(0 for _ in device.banks))
    banks = [
        {"name": bank.name, "bytes": size, "room_bytes": bank.size_bytes}
        for bank, size in zip(device.banks, sizes, strict=False)
    ]
    return {
        **({"main_arena_bytes": arena.main_bytes, "banks": banks} if banks else {}),
        **({"next_input_bytes": next_bytes} if next_bytes else {}),
        "links_bytes": cluster.link_buffer_bytes(rank),
        "stack_bytes": device.stack_bytes,
        "runtime_bytes": device.runtime_bytes,
        "ram_bytes": arena.main_bytes + next_bytes + cluster.reserved_bytes(rank),
        "board_ram_bytes": device.ram_bytes,
    }


def layers(planned: Planned, graph: Graph) -> list[dict[str, Any]]:
    """Every layer: its way, its cuts, its time and why; the entries of a saved plan, timed."""
    return [
        {
            **layer_entry(node, split, planned.plan.reasons.get(node.name, "")),
            "exchange_us": step.exchange_us,
            "compute_us": step.compute_us,
            "end_us": step.end_us,
        }
        for node, split, step in zip(
            graph.nodes, planned.plan.splits, planned.prediction.steps, strict=True
        )
    ]


def ram_over_time(device: DeviceGraph, whole: Graph) -> list[dict[str, Any]]:
    """The most activations that are alive on a device during each layer, in the model's order.

    0 while others work; scratch buffers and the planner's gaps are not counted.
    """
    most = dict.fromkeys((node.name for node in whole.nodes), 0)
    for node, live in zip(device.graph.nodes, live_bytes_over_time(device.graph), strict=True):
        # What has no layer is the last wait, for what was sent last.
        layer = device.steps.get(node.name, whole.nodes[-1].name)
        most[layer] = max(most[layer], live)
    return [{"node": layer, "bytes": size} for layer, size in most.items()]


def bars(amounts: Sequence[int], top: int) -> str:
    """One bar for each amount, the highest for ``top``."""
    last = len(_BARS) - 1
    return "".join(_BARS[min(last, a * len(_BARS) // max(1, top))] if a else " " for a in amounts)


def print_plan(document: dict[str, Any], name: str, each_layer: bool = False) -> None:
    """Tables: decisions, devices, RAM over time, links, time."""
    _print_units(document["units"], name)
    if each_layer:
        _print_layers(document["layers"])
    _print_devices(document["devices"])
    _print_ram(document["devices"])
    _print_links(document["links"])
    STDOUT.print(
        f"predicted while searching: {document['latency_us'] / 1000:.1f} ms from input to result "
        f"({document['input_us'] / 1000:.1f} to hand out the input, "
        f"{document['graph_us'] / 1000:.1f} in the devices, "
        f"{document['output_us'] / 1000:.1f} to collect the result); "
        f"{kib(document['wire_bytes'])} on the wires"
    )


def _print_units(units: list[dict[str, Any]], name: str) -> None:
    rows = [
        [
            shortened(unit["node"]),
            "x".join(map(str, unit["output_shape"])),
            unit["option"],
            f"{unit['time_us'] / 1000:.2f}",
            kib(unit["wire_bytes"]),
            kib(unit["head_bytes"]),
            unit["why"],
        ]
        for unit in units
    ]
    if rows:
        columns = ["<up to", "output", "<split by", "ms", "on wires", "RAM", "<why"]
        table(f"{name}: how it is split", columns, rows)


def _print_layers(entries: list[dict[str, Any]]) -> None:
    rows = [
        [
            str(index),
            shortened(entry["node"], 32),
            entry["op"],
            entry["way"],
            cuts(entry),
            f"{entry['exchange_us'] / 1000:.2f}",
            f"{entry['compute_us'] / 1000:.2f}",
        ]
        for index, entry in enumerate(entries)
    ]
    columns = ["layer", "<name", "<operator", "<split by", "<cuts", "exchange ms", "compute ms"]
    table("every layer", columns, rows)


def cuts(entry: dict[str, Any]) -> str:
    """Where a layer is cut, as a plan file says it."""
    if entry["way"] == "whole":
        return f"on rank {entry['rank']}"
    along = (entry[key] for key in ("bounds", "cross_bounds") if key in entry)
    bounds = " x ".join(" ".join(map(str, each)) for each in along)
    tiles = entry.get("sum_tiles", entry.get("gather_tiles"))
    return bounds + (f", {tiles} tiles" if tiles else "")


def _print_devices(devices: list[dict[str, Any]]) -> None:
    rows = [
        [
            str(device["rank"]),
            device["board"],
            f"{kib(device['arena_bytes'])} of {kib(device['arena_room_bytes'])}",
            f"{kib(device['ram_bytes'])} of {kib(device['board_ram_bytes'])}",
            f"{kib(device['weights_bytes'])} of {kib(device['weights_room_bytes'])}",
            "FITS" if device["fits"] else "DOES NOT FIT",
            *(f"{device[key] / 1000:.1f}" for key in ("compute_us", "send_us", "wait_us")),
        ]
        for device in devices
    ]
    columns = [
        "rank",
        "<board",
        "arena",
        "all RAM",
        "weights",
        "<",
        "compute ms",
        "send ms",
        "wait ms",
    ]
    table("devices", columns, rows)
    fullest = max(devices, key=lambda device: int(device["ram_bytes"]))
    parts = [
        f"{kib(fullest[key])} {word}"
        for key, word in (
            ("next_input_bytes", "for the next input"),
            ("links_bytes", "links"),
            ("stack_bytes", "stack"),
            ("runtime_bytes", "runtime"),
        )
        if key in fullest
    ]
    arena_bytes = fullest.get("main_arena_bytes", fullest["arena_bytes"])
    STDOUT.print(
        f"all RAM of a device, at most {kib(fullest['ram_bytes'])}: "
        f"{kib(arena_bytes)} arena, {', '.join(parts)}"
    )
    _print_banks(devices)


def _print_banks(devices: list[dict[str, Any]]) -> None:
    """What of the arenas is not in the main RAM, as far as any is."""
    for device in devices:
        banks = [bank for bank in device.get("banks", ()) if bank["bytes"]]
        if banks:
            texts = (f"{kib(b['bytes'])} of {kib(b['room_bytes'])} {b['name']}" for b in banks)
            STDOUT.print(f"rank {device['rank']}: beside its main RAM {', '.join(texts)}")


def _print_ram(devices: list[dict[str, Any]]) -> None:
    top = max(entry["bytes"] for device in devices for entry in device["ram_over_time"])
    rows = []
    for device in devices:
        amounts = [entry["bytes"] for entry in device["ram_over_time"]]
        peak = device["ram_over_time"][amounts.index(max(amounts))]
        rows.append(
            [str(device["rank"]), bars(amounts, top), kib(peak["bytes"]), shortened(peak["node"])]
        )
    table("activations, layer by layer", ["rank", "<over time", "most", "<in"], rows)


def _print_links(links: list[dict[str, Any]]) -> None:
    if links:
        rows = [[f"{link['from']} → {link['to']}", kib(link["bytes"])] for link in links]
        table("links, per inference, frames included", ["<from → to", "bytes"], rows)
