# SPDX-License-Identifier: Apache-2.0
"""A graph as text: stable, one line per value that enters and per node.

    graph main
      in    x: int8[1,2] q(0.5;-3)
      const w: int8[1,2] q(0.25;0) = [4, 5]
      0     y: int8[1,1] q(1.0;0) = FULLY_CONNECTED(x, w, -) {fused_activation_function=0}
      out   y

Equal graphs give equal text, so texts can be compared in tests and with ``diff``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tflsplit.ir.graph import Graph, Node, Value
from tflsplit.ir.quantization import Quantization

_SHOWN = 8


def graph_text(graph: Graph) -> str:
    """The whole graph: inputs, constants, nodes in execution order, outputs.

    Values are called by their names; the second and later ones of a name are ``name@2``, ... in
    order of mention.
    """
    return "\n".join(_lines(graph)) + "\n"


def node_text(node: Node, names: Mapping[Value, str] | None = None) -> str:
    """One node on one line: results with types, operator, operands, attributes."""
    called = names or {value: _printable(value.name) for value in (*node.operands, *node.outputs)}
    results = ", ".join(value_text(value, called[value]) for value in node.outputs)
    operands = ", ".join("-" if value is None else called[value] for value in node.inputs)
    attrs = ", ".join(f"{key}={_plain(value)}" for key, value in sorted(node.attrs.items()))
    kind = f"custom {node.op}" if node.is_custom else node.op
    return f"{results + ' = ' if results else ''}{kind}({operands}) {{{attrs}}}"


def value_text(value: Value, name: str = "") -> str:
    """Name, element type, shape and quantization of a value."""
    shape = ",".join(map(str, value.shape))
    quantization = _quantization(value.quantization)
    variable = " variable" if value.is_variable else ""
    kind = f"{value.dtype.value.lower()}[{shape}]"
    return f"{name or _printable(value.name)}: {kind}{quantization}{variable}"


def _lines(graph: Graph) -> Iterator[str]:
    names = _unique_names(graph)
    yield f"graph {_printable(graph.name)}"
    for value in graph.inputs:
        yield f"  in    {value_text(value, names[value])}"
    for value in graph.constants():
        yield f"  const {value_text(value, names[value])} = {_contents(value)}"
    for index, node in enumerate(graph.nodes):
        yield f"  {index:<5} {node_text(node, names)}"
    for value in graph.outputs:
        yield f"  out   {names[value]}"


def _unique_names(graph: Graph) -> dict[Value, str]:
    seen: Counter[str] = Counter()
    names = {}
    for value in graph.values():
        seen[value.name] += 1
        count = seen[value.name]
        names[value] = _printable(value.name) + (f"@{count}" if count > 1 else "")
    return names


def _printable(name: str) -> str:
    """A name without line breaks and terminal control codes, which files may contain."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def _contents(value: Value) -> str:
    """The first elements: enough to tell shapes and paddings, not a dump of the weights."""
    assert value.data is not None
    shown = ", ".join(_number(item) for item in value.data.reshape(-1)[:_SHOWN])
    return f"[{shown}{', ...' if value.data.size > _SHOWN else ''}]"


def _quantization(quantization: Quantization | None) -> str:
    if quantization is None or not quantization.scales:
        return ""
    zero_points = sorted(set(quantization.zero_points)) or [0]
    points = ",".join(map(str, zero_points[:_SHOWN]))
    if not quantization.per_channel:
        return f" q({_number(np.float32(quantization.scale))};{points})"
    return f" q({len(quantization.scales)} along {quantization.axis};{points})"


def _number(item: Any) -> str:
    # str() of a NumPy scalar is the shortest text that reads back as the same number.
    return str(item)


def _plain(value: Any) -> str:
    """An attribute, nested ones included, without Python's own class names."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key}={_plain(item)}" for key, item in sorted(value.items()))
        return f"{{{inner}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_plain, value))}]"
    return value.hex() if isinstance(value, bytes) else repr(value)
