# SPDX-License-Identifier: Apache-2.0
"""Whether plan.json says the truth about the device graphs beside it.

The layers' bounds must be what the devices hold, and every number must be what the graphs come
to; then whoever reads plan.json (a person, a script, the firmware's generator) can rely on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tflsplit.bundle.plan_file import read_plan
from tflsplit.bundle.plan_json import banks_entries, traffic_bytes
from tflsplit.errors import PlanError, TflsplitError
from tflsplit.ir import Graph
from tflsplit.memory.arena import predict_arena
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.ops import Box
from tflsplit.plan.check import plan_problems
from tflsplit.plan.cost.work import made_again
from tflsplit.plan.layout import Layouts, lay_out
from tflsplit.split.devices import DeviceGraph, constant_bytes, tensor_labels

Json = dict[str, Any]


def check_document(whole: Graph, document: Json, devices: Sequence[DeviceGraph]) -> list[str]:
    """Every contradiction between a plan.json and its device graphs, as text."""
    try:
        plan = read_plan(document, "plan.json")
        if problems := plan_problems(whole, plan):
            raise PlanError("; ".join(problems[:5]))
        layouts = lay_out(whole, plan)
    except (KeyError, IndexError, TypeError, ValueError, TflsplitError) as error:
        return [f"plan.json: the layers make no plan for the model ({error})"]
    problems = [text for device in devices for text in _held_problems(layouts, whole, device)]
    for entry, device in zip(document["devices"], devices, strict=True):
        for key, number in _numbers(device, layouts).items():
            if entry.get(key) != number:
                problems.append(
                    f"plan.json: {key} of rank {device.rank} is {entry.get(key)}, but its graph "
                    f"comes to {number}"
                )
    return problems


def _held_problems(layouts: Layouts, whole: Graph, device: DeviceGraph) -> list[str]:
    problems = []
    for value, label in tensor_labels(whole).items():
        if value not in layouts.held:
            continue
        held = layouts.streamed.get(value, [[box] for box in layouts.held[value]])[device.rank]
        planned = [box for box in held if not box.is_empty]
        found = [s.box for s in device.shards.values() if s.tensor == label and s.owned]
        if found != planned:
            problems.append(
                f"plan.json: by its layers rank {device.rank} holds {_text(planned)} of {label!r}, "
                f"but its graph {_text(found)}"
            )
    return problems


def _text(boxes: Sequence[Box]) -> str:
    return ", ".join(map(str, boxes)) or "nothing"


def _numbers(device: DeviceGraph, layouts: Layouts) -> dict[str, Any]:
    """What the device's graph comes to, by the keys of plan.json."""
    sent, received = traffic_bytes(device.graph)
    arena = predict_arena(device.graph)
    macs = sum(shards.macs(device.rank) for shards in layouts.nodes)
    return {
        "arena_bytes": arena.total_bytes,
        "arena_head_bytes": arena.head_bytes,
        "arena_tail_bytes": arena.tail_bytes,
        "arena_required_bytes": arena.required_bytes,
        **banks_entries(arena),
        "sent_bytes": sent,
        "received_bytes": received,
        "weights_bytes": constant_bytes(device.graph),
        "peak_live_bytes": peak_live_bytes(device.graph),
        "nodes": len(device.graph.nodes),
        "macs": macs + made_again(device.graph),
    }
