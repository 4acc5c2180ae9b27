# SPDX-License-Identifier: Apache-2.0
"""A layer that keeps the last steps of a stream in a resource variable, as Keras exports it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflsplit.ir import Attrs, DType, Graph, Node, Value


def handle(shared_name: str, suffix: str = "") -> Node:
    """VAR_HANDLE."""
    value = Value(f"{shared_name}{suffix}", (), DType.RESOURCE)
    return Node("VAR_HANDLE", (), (value,), Attrs(container="", shared_name=shared_name))


def last_steps(x: Value, output: Value) -> Node:
    """The last elements along axis 1, as many as ``output`` has."""
    rank, steps = len(x.shape), output.shape[1]
    numbers = [[0, -steps] + [0] * (rank - 2), [0, 0, *x.shape[2:]], [1] * rank]
    operands = [
        Value(f"{output.name}/{name}", (rank,), DType.INT32, data=np.array(values, np.int32))
        for name, values in zip(("begin", "end", "strides"), numbers, strict=True)
    ]
    attrs = Attrs(
        begin_mask=(1 << rank) - 3, end_mask=(1 << rank) - 1, ellipsis_mask=0, new_axis_mask=0,
        shrink_axis_mask=0, offset=False,
    )  # fmt: skip
    return Node("STRIDED_SLICE", (x, *operands), (output,), attrs, version=2)


def stream(x: Value, steps: int, name: str, holds_window: bool = False) -> tuple[list[Node], Value]:
    """Nodes that put the last ``steps`` of what came before in front of x [batch, time, ...].

    holds_window: the variable holds what comes out, instead of what is put in front of x.
    Returns the nodes, and the tensor [batch, steps + time, ...] that they make.
    """

    def made(what: str, count: int) -> Value:
        shape = (x.shape[0], count, *x.shape[2:])
        return Value(f"{name}/{what}", shape, x.dtype, x.quantization)

    time = x.shape[1]
    variable = handle(name)
    read = made("read", steps + time if holds_window else steps)
    window, last = made("window", steps + time), made("last", steps)
    first = Node("READ_VARIABLE", (variable.output,), (read,))
    joined: Sequence[Value] = (last if holds_window else read, x)
    join = Node(
        "CONCATENATION", tuple(joined), (window,), Attrs(axis=1, fused_activation_function=0)
    )
    kept = window if holds_window else last
    assign = Node("ASSIGN_VARIABLE", (variable.output, kept), (), name=f"{name}/assign")
    cut = last_steps(read if holds_window else window, last)
    between = [cut, join] if holds_window else [join, cut]
    return [variable, first, *between, assign], window


def starting(graph: Graph, start: dict[str, Value]) -> Graph:
    """``graph`` with a CALL_ONCE that gives its variables, by name, their first contents."""
    nodes = []
    for name, value in start.items():
        variable = handle(name, "/at first")
        nodes += [variable, Node("ASSIGN_VARIABLE", (variable.output, value), (), name="start")]
    once = Node("CALL_ONCE", (), (), Attrs(init_subgraph_index=1), "once")
    body = Graph("init", (), (), nodes)
    return Graph(
        graph.name, graph.inputs, graph.outputs, [once, *graph.nodes], graph.metadata,
        graph.file_extra.replace(subgraphs=(body,)),
    )  # fmt: skip
