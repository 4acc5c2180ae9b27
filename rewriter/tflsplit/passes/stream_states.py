# SPDX-License-Identifier: Apache-2.0
"""What a streaming model remembers in resource variables becomes the state of a CONCATENATION.

    before   VAR_HANDLE -- READ_VARIABLE --> old --+
                                            new --CONCATENATION--> window --> (convolution)
             VAR_HANDLE -- ASSIGN_VARIABLE <-- last <--STRIDED_SLICE-- window

    after    (state), new --CONCATENATION--> window --> (convolution)

So Keras models that hear or feel a stream keep the last steps of what they read (wake words, say).
TFLM has those operators for applications that give its interpreter a MicroResourceVariables; a
device graph needs none: its state is a variable tensor, which every TFLM keeps in its arena.  A
CONCATENATION with such an operand is *defined* to make its last elements along the axis the next
state, and ``write_states`` says so in TFLM's operators once it is known which device has it.

Exact, because a variable tensor begins with its zero point in every byte, and the variable must be
given the same by the subgraph that CALL_ONCE runs (or by nobody: then it is TFLM's default, too).
A variable that is read or written otherwise stays, and with it all others: the model is refused.
So is one with custom operators, since these run apart from the others on a host (``runtime``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tflsplit.ir import Attrs, DType, Graph, Node, Value
from tflsplit.ops.dims import normal_axis
from tflsplit.ops.stock.slices import strided_ranges
from tflsplit.tflite.extras import SUBGRAPHS

RESOURCE_OPS = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
"""Operators of resource variables; none is left where this pass knew what to do."""

_Key = tuple[str, str]
"""Container and shared name: what tells resource variables apart."""


@dataclass(frozen=True)
class _Window:
    """One variable: ``nodes`` go, and ``joined``, which reads ``state``, stands for ``join``."""

    nodes: tuple[Node, ...]
    join: Node
    joined: Node
    state: Value


def stream_states(graph: Graph) -> Graph:
    """``graph`` without resource variables; itself if there are none, or one is used otherwise."""
    keys = {} if any(node.is_custom for node in graph.nodes) else _keys(graph)
    starts = _starts(graph) if keys else None
    if starts is None or any(value in keys for value in graph.outputs):
        return graph
    uses = _Uses(graph, keys)
    windows = []
    for key in dict.fromkeys(keys.values()):
        window = uses.window(key)
        if window is None or not _begins_at_zero(window.state, starts.get(key)):
            return graph
        windows.append(window)
    return _without(graph, windows)


def _keys(graph: Graph) -> dict[Value, _Key]:
    """The variable that each handle names."""
    return {
        node.output: (str(node.attrs.get("container", "")), str(node.attrs.get("shared_name", "")))
        for node in graph.nodes
        if node.op == "VAR_HANDLE" and not node.is_custom
    }


def _starts(graph: Graph) -> dict[_Key, Value] | None:
    """What the subgraphs of CALL_ONCE give the variables; None where a file does more there."""
    subgraphs = graph.file_extra.get(SUBGRAPHS) or ()
    called = [node for node in graph.nodes if node.op == "CALL_ONCE"]
    starts: dict[_Key, Value] = {}
    if not isinstance(subgraphs, tuple) or len(subgraphs) != len(called):
        return None
    for subgraph in subgraphs:
        assert isinstance(subgraph, Graph)
        keys = _keys(subgraph)
        for node in subgraph.nodes:
            if node.op == "ASSIGN_VARIABLE" and node.input(0) in keys:
                starts[keys[node.input(0)]] = node.input(1)
            elif node.op != "VAR_HANDLE":
                return None
    return starts


def _begins_at_zero(state: Value, start: Value | None) -> bool:
    """Whether the variable begins with what a variable tensor begins with; None: TFLM's default."""
    if start is None:
        return True
    assert state.quantization is not None
    zero = state.quantization.zero_points[0]
    return start.data is not None and start.dtype is DType.INT8 and bool(np.all(start.data == zero))


class _Uses:
    """How a graph uses its variables."""

    def __init__(self, graph: Graph, keys: Mapping[Value, _Key]) -> None:
        self.graph, self.keys = graph, keys
        self.readers, self.makers = graph.consumers(), graph.producers()

    def window(self, key: _Key) -> _Window | None:
        """The CONCATENATION that a variable is the state of; None where it is used otherwise."""
        handled = [n for n in self.graph.nodes if any(self.keys.get(v) == key for v in n.operands)]
        if [node.op for node in handled] != ["READ_VARIABLE", "ASSIGN_VARIABLE"]:
            return None
        read, assign = handled
        reader = self._only_reader(read.output)
        if reader is None:
            return None
        found = (
            self._last_assigned(read, assign, reader)
            if reader.op == "CONCATENATION"
            else self._last_read(read, assign, reader)
        )
        if found is None:
            return None
        join, old, gone = found
        name = f"{key[1]}/state"
        state = Value(name, old.shape, old.dtype, old.quantization, is_variable=True)
        joined = replace(join, inputs=(state, *join.inputs[1:]))
        return _Window((read, assign, *gone), join, joined, state)

    def _last_assigned(self, read: Node, assign: Node, join: Node) -> _Found | None:
        """The variable holds the state: what is assigned are the last elements of the window."""
        old, kept = read.output, assign.input(1)
        last = self.makers.get(kept)
        if (
            last is None
            or not _is_plain(join, old)
            or not _keeps_last(last, old, join, join.output)
        ):
            return None
        is_dead = self._only_reader(kept) is assign
        return join, old, (last,) if is_dead else ()

    def _last_read(self, read: Node, assign: Node, cut: Node) -> _Found | None:
        """The variable holds the window: what is read of it are its last elements."""
        if len(cut.outputs) != 1:
            return None
        old = cut.output
        join = self._only_reader(old)
        if join is None or join.op != "CONCATENATION" or not _is_plain(join, old):
            return None
        is_window = assign.input(1) is join.output
        return (
            (join, old, (cut,)) if is_window and _keeps_last(cut, old, join, read.output) else None
        )

    def _only_reader(self, value: Value) -> Node | None:
        found = self.readers[value]
        return found[0] if len(found) == 1 and value not in self.graph.outputs else None


_Found = tuple[Node, Value, tuple[Node, ...]]
"""The CONCATENATION, its operand that is state, and the other nodes that go."""


def _is_plain(join: Node, old: Value) -> bool:
    """Whether a node only puts int8 ``old`` in front of something else, of the same scale."""
    same = all(
        value.dtype is DType.INT8 and value.quantization == join.output.quantization
        for value in join.operands
    )
    return (
        same
        and old.quantization is not None
        and len(old.quantization.zero_points) == 1
        and join.inputs[0] is old
        and join.inputs.count(old) == 1
        and not join.attrs.integer("fused_activation_function")
    )


def _keeps_last(node: Node, old: Value, join: Node, x: Value) -> bool:
    """Whether ``node`` takes the last elements of ``x``, as many as ``old`` has along the axis."""
    if node.op != "STRIDED_SLICE" or node.is_custom or node.input(0) is not x:
        return False
    if node.output.shape != old.shape or len(old.shape) != len(x.shape):
        return False
    axis = normal_axis(join.attrs.integer("axis"), len(x.shape))
    wanted = [
        range(extent - size if dim == axis else 0, extent)
        for dim, (extent, size) in enumerate(zip(x.shape, old.shape, strict=True))
    ]
    return strided_ranges(node) == wanted


def _without(graph: Graph, windows: Iterable[_Window]) -> Graph:
    joined = {window.join: window.joined for window in windows}
    gone = {node for window in windows for node in window.nodes}
    nodes = [
        joined.get(node, node)
        for node in graph.nodes
        if node not in gone and node.op not in RESOURCE_OPS
    ]
    kept = {key: value for key, value in graph.file_extra.items() if key != SUBGRAPHS}
    return replace(graph, nodes=nodes, file_extra=Attrs(kept))
