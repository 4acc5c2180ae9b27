# SPDX-License-Identifier: Apache-2.0
"""What a file declares of its tensors and options, checked against what the operator makes.

TFLM believes the file: it allocates what a tensor's shape says, and its kernels run over what the
operator's options and operands say.  Where the two contradict each other memory is overwritten,
here and on a device.  So before anything is planned or run, every operator that TFLM has is
compared with what its kernel computes: number of operands, element types, shapes, options in
range, and the shape of the result.  The checks follow TFLM's own Prepare functions and state what
those leave to luck.

Control flow is refused elsewhere (``tflite.support``), and of custom operators of others nothing is
known: they run whole, and only in a process of their own (``interpreters``).
"""

from __future__ import annotations

from tflsplit.errors import ModelError
from tflsplit.ir import Graph, Node
from tflsplit.ops.declared import (  # noqa: F401  (they register their checks)
    elementwise,
    indexing,
    layers,
    moves,
    reductions,
    state,
)
from tflsplit.ops.declared.operation import WAY_OUT, Operation, check_of, declared_ops
from tflsplit.ops.own.custom_check import problems
from tflsplit.tflite.operators import OWN_PREFIX
from tflsplit.tflite.validate import MAX_TENSOR_BYTES

__all__ = ["check_declared", "check_node", "declared_ops"]


def check_declared(graph: Graph, name: str = "", types: bool = True) -> None:
    """Passes a graph whose declarations fit its operators.

    name: of the file, for the message.
    types: whether element types count, too; without, a float model passes, to be looked at.
    Raises ModelError that names operator and tensor for the first contradiction.
    """
    try:
        for node in graph.nodes:
            check_node(node, types)
            _check_room(node)
        _check_state(graph)
    except ModelError as error:
        raise ModelError(f"{name}: {error}" if name else str(error)) from None


def _check_room(node: Node) -> None:
    """What a node reads and writes lies in one arena, whose offsets have 32 bits with a sign."""
    live = {value for value in (*node.operands, *node.outputs) if not value.is_constant}
    size_bytes = sum(value.size_bytes for value in live)
    if size_bytes > MAX_TENSOR_BYTES:
        raise ModelError(
            f"{node.op} {node.name!r}: its tensors take {size_bytes:,} bytes together, and TFLM's "
            f"arena ends at {MAX_TENSOR_BYTES:,}; {WAY_OUT}"
        )


def _check_state(graph: Graph) -> None:
    """State belongs to the operator that keeps it: nobody else brings it or makes it.

    But for what ``passes.write_states`` makes: a SLICE of the window that begins with the state.
    """
    for value in graph.values():
        if value.is_variable and value.is_constant:
            raise ModelError(f"{value!r} is a variable tensor with contents; {WAY_OUT}")
    windows = {
        node.output: node.operands
        for node in graph.nodes
        if node.op == "CONCATENATION" and len(node.outputs) == 1
    }
    written = [
        value
        for node in graph.nodes
        for value in node.outputs
        if node.op != "SLICE" or value not in windows.get(node.input(0), ())
    ]
    for value in (*graph.inputs, *written):
        if value.is_variable:
            what = "a graph's input" if value in graph.inputs else "an operator's result"
            raise ModelError(f"{value!r} is a variable tensor and {what} at once; {WAY_OUT}")


def check_node(node: Node, types: bool = True) -> None:
    """``check_declared`` of one node."""
    if node.is_custom:
        found = problems(node) if node.op.startswith(OWN_PREFIX) else []
        if found:
            raise ModelError(f"{found[0]}; write the device graphs again")
        return
    check = check_of(node.op)
    if check is not None:
        check(Operation(node, types))
