# SPDX-License-Identifier: Apache-2.0
"""Figures of each layer for Model Explorer, which shows them over the unsplit model's graph.

https://github.com/google-ai-edge/model-explorer, "Custom node data": one JSON object for a figure,

    {"name": "tflsplit: time, µs", "results": {"tensor name": {"value": 12.5}, …},
     "gradient": [{"stop": 0, "bgColor": "#…"}, …]}

whose keys are the names of the operators' output tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tflsplit.bundle import Bundle
from tflsplit.bundle.plan_json import Json
from tflsplit.passes.prepare import prepare
from tflsplit.report.layers import LayerView
from tflsplit.report.ram import RamSeries

FIGURES = {
    "ranks": "ranks",
    "split_by": "split by",
    "time_us": "time, µs",
    "arena_bytes": "arena, bytes",
    "macs": "MACs",
}
"""In the order in which they are written: in a file's name, and as Model Explorer shows it."""

_GRADIENT = [{"stop": 0, "bgColor": "#e8f0fe"}, {"stop": 1, "bgColor": "#c5161d"}]


def node_data(
    bundle: Bundle, layers: Sequence[LayerView], ram: Sequence[RamSeries]
) -> dict[str, Json]:
    """By figure, what Model Explorer reads.

    ranks: those that compute a part; split_by: how the layer is split; time_us: of the rank that
    takes longest, simulated; arena_bytes: the most in use on a device meanwhile; macs: of all
    ranks.
    """
    used = _arena_bytes(ram)
    results: dict[str, dict[str, Json]] = {figure: {} for figure in FIGURES}
    for view, node in zip(layers, prepare(bundle.model).nodes, strict=True):
        values: Mapping[str, str | float] = {
            "ranks": ", ".join(str(part.rank) for part in view.parts) or "none",
            "split_by": view.entry["way"],
            "time_us": round(view.total_us, 1),
            "arena_bytes": used.get(view.index, 0),
            "macs": view.entry["macs"],
        }
        for output in node.outputs:
            for figure, value in values.items():
                results[figure][output.name] = {"value": value}
    return {figure: _document(figure, values) for figure, values in results.items()}


def dumped(document: Json) -> str:
    """The text of a file."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _document(figure: str, results: dict[str, Json]) -> Json:
    numbers = all(isinstance(each["value"], int | float) for each in results.values())
    gradient = {"gradient": _GRADIENT} if numbers else {}
    return {"name": f"tflsplit: {FIGURES[figure]}", "results": results, **gradient}


def _arena_bytes(ram: Sequence[RamSeries]) -> dict[int, int]:
    """By layer, the most that any device has in its arena while it works for it."""
    most: dict[int, int] = {}
    for series in ram:
        for layer, total in zip(series.layers, series.totals, strict=False):
            most[layer] = max(total, most.get(layer, 0))
    return most
