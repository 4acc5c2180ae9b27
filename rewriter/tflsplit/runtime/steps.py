# SPDX-License-Identifier: Apache-2.0
"""A device graph as steps that this host can run: kernels between sends and receives.

    SEND  RECV  CONV_2D  TFLSPLIT_CONV_2D  ADD  SEND  PARTIAL_CONV_2D  RECV ...
    send  recv  '------ one segment on the engine ------'  send  numpy  recv ...

Stock operators, and ours by their stock expansion, run on the engine, in stretches as long as
possible; partial sums and their requantization, which have no cheap stock form, run on our NumPy
reference semantics (they are exact integer arithmetic, and tested against the stock form).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tflsplit.errors import InternalError, ModelError
from tflsplit.ir import Attrs, Graph, Node, Value
from tflsplit.ops.own import unweighted
from tflsplit.ops.own.chain import blocks_of
from tflsplit.ops.own.custom_check import problems
from tflsplit.ops.own.custom_options import RecvOptions, SendOptions
from tflsplit.ops.own.expansion import stock_expansion
from tflsplit.ops.own.fused import unfused
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.semantics import run_node
from tflsplit.runtime.engines import Array, Engine, Program
from tflsplit.runtime.rounding import DenseRequantize, DenseScales
from tflsplit.tflite.extras import SUBGRAPHS
from tflsplit.wire import custom_ops as wire


@dataclass(frozen=True)
class SendStep:
    """Post a box of a tensor."""

    node: Node
    options: SendOptions


@dataclass(frozen=True)
class RecvStep:
    """Assemble a tensor; ``output`` is None for a pure wait."""

    node: Node
    options: RecvOptions
    output: Value | None


@dataclass(frozen=True)
class KernelStep:
    """Run something: ``outputs = run(inputs)``."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    run: Callable[[Sequence[Array]], list[Array]]


Step = SendStep | RecvStep | KernelStep

_NUMPY_OPS = (
    wire.PARTIAL_CONV_2D,
    wire.PARTIAL_FULLY_CONNECTED,
    wire.PARTIAL_SUM,
    wire.REQUANTIZE,
)

_NO_BODIES = Attrs()

_STOCK_OPS = (wire.CONV_2D, wire.DEPTHWISE_CONV_2D, *unweighted.OPS)
"""Run by what they stand for."""


def compile_graph(
    graph: Graph,
    engine: Engine,
    keep: Collection[Value] = (),
    dense: Mapping[str, DenseScales] = MappingProxyType({}),
) -> list[Step]:
    """The steps of a device graph, or of an unsplit one.

    keep: tensors that must be available afterwards, beside the graph's outputs.
    dense: results of REQUANTIZE that the engine itself must make (``runtime.rounding``).
    Raises EngineError if the engine refuses a stretch, ModelError if one of our own operators
    contradicts itself (a file that was damaged or made by other hands).
    """
    steps: list[Step] = []
    stretch: list[Node] = []
    nodes = [part for node in graph.nodes for part in _parts(node)]
    last_use = {v: at for at, node in enumerate(nodes) for v in node.operands}
    last_use.update(dict.fromkeys((*graph.outputs, *keep), len(nodes)))
    bodies = Attrs({SUBGRAPHS: graph.file_extra.get(SUBGRAPHS, ())})

    def flush(position: int) -> None:
        if stretch:
            made = [value for node in stretch for value in node.outputs]
            wanted = {value for value in made if last_use.get(value, -1) >= position}
            steps.append(_segment(stretch, wanted, engine, bodies))
            stretch.clear()

    for position, node in enumerate(nodes):
        if not node.is_custom:
            stretch.append(node)
        elif node.op in _STOCK_OPS:
            stretch.extend(_stock(node))
        else:
            flush(position)
            steps.append(_own_step(node, engine, dense))
    flush(len(nodes))
    return steps


def _parts(node: Node) -> list[Node]:
    """A node, or the operators that it stands for."""
    if node.op == wire.CHAIN:
        return _chain_parts(node)
    if wire.is_packed(node):
        _check(node)
        node = unpacked(node)
    if node.op != wire.FUSED_BLOCK:
        return [node]
    _check(node)
    return unfused(node)


_WHOLE = "all of a chain's x"
"""Not an operator: makes of all pieces of a rolling RECV what the chain's first block reads."""


def _chain_parts(node: Node) -> list[Node]:
    """The operators of a chain's blocks, and before them what makes their x of pieces."""
    _check(node)
    blocks, x = blocks_of(node), node.input(0)
    read = blocks[0].input(0)
    before = [] if read is x else [Node(_WHOLE, (x,), (read,), name=read.name, is_custom=True)]
    return [*before, *(part for block in blocks for part in unfused(unpacked(block)))]


def _whole_step(node: Node) -> KernelStep:
    y = node.output

    def run(arrays: Sequence[Array]) -> list[Array]:
        pieces = arrays[0] ^ 128 if arrays[0].dtype == np.uint8 else arrays[0]
        whole = np.zeros(y.shape, np.int8)
        whole[tuple(slice(extent) for extent in pieces.shape)] = pieces.view(np.int8)
        return [whole]

    return KernelStep(node.inputs[:1], node.outputs, run)  # type: ignore[arg-type]


def _check(node: Node) -> None:
    found = problems(node)
    if found:
        raise ModelError(f"{found[0]}; write the device graphs again")


def _stock(node: Node) -> list[Node]:
    _check(node)
    try:
        return stock_expansion(node)
    except InternalError as error:
        raise ModelError(f"{error}; write the device graphs again") from None


def _own_step(node: Node, engine: Engine, dense: Mapping[str, DenseScales]) -> Step:
    if node.op == wire.SEND:
        return SendStep(node, SendOptions.of(node))
    if node.op == wire.RECV:
        return RecvStep(node, RecvOptions.of(node), node.outputs[0] if node.outputs else None)
    if node.op == wire.ASK:
        return _ask_step(node)
    if node.op == _WHOLE:
        return _whole_step(node)
    if node.op in _NUMPY_OPS:
        _check(node)
        if node.op == wire.REQUANTIZE and node.output.name in dense:
            requantize = DenseRequantize(node, dense[node.output.name], engine)
            return KernelStep(
                (node.input(0),), node.outputs, lambda arrays: [requantize(arrays[0])]
            )
        computed = tuple(value for value in node.operands if not value.is_constant)
        return KernelStep(computed, node.outputs, lambda arrays: [run_node(node, arrays)])
    return _segment([node], set(node.outputs), engine)  # a foreign custom op: the engine decides


def _ask_step(node: Node) -> KernelStep:
    """Nothing is asked for here, where the RECV takes what comes.

    Its memory is not nothing, so that who replays an arena sees it spoiled.
    """
    _check(node)
    memory = (np.arange(node.output.size) * 89 % 251 - 125).astype(np.int8)
    return KernelStep((), node.outputs, lambda _: [memory])


def _segment(
    nodes: Sequence[Node], wanted: Collection[Value], engine: Engine, bodies: Attrs = _NO_BODIES
) -> KernelStep:
    """``bodies``: the further graphs of the file, for a CALL_ONCE."""
    made = {value for node in nodes for value in node.outputs}
    inputs = tuple(
        dict.fromkeys(
            value
            for node in nodes
            for value in node.operands
            if value not in made and value.is_computed
        )
    )
    outputs = tuple(value for node in nodes for value in node.outputs if value in wanted)
    called = bodies if any(node.op == "CALL_ONCE" for node in nodes) else _NO_BODIES
    program: Program = engine(Graph("segment", inputs, outputs, list(nodes), file_extra=called))
    return KernelStep(inputs, outputs, program.run)
