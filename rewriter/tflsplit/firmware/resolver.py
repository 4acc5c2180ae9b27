# SPDX-License-Identifier: Apache-2.0
"""Which call registers an operator with TFLM's ``MicroMutableOpResolver``."""

from __future__ import annotations

from collections.abc import Iterable

from tflsplit.errors import UnsupportedOpError
from tflsplit.ir import Graph
from tflsplit.tflite.support import TFLM_BUILTINS
from tflsplit.wire import custom_ops as wire

# Where TFLM's name is not the schema's in camel case (micro_mutable_op_resolver.h, 90b983c).
_UNUSUAL = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
CUSTOM = {
    wire.SEND: ("kSendName", "send_registration"),
    wire.RECV: ("kRecvName", "recv_registration"),
    wire.CONV_2D: ("kConv2dName", "conv_2d_registration"),
    wire.DEPTHWISE_CONV_2D: ("kDepthwiseConv2dName", "depthwise_conv_2d_registration"),
    wire.PARTIAL_CONV_2D: ("kPartialConv2dName", "partial_conv_2d_registration"),
    wire.PARTIAL_FULLY_CONNECTED: (
        "kPartialFullyConnectedName",
        "partial_fully_connected_registration",
    ),
    wire.REQUANTIZE: ("kRequantizeName", "requantize_registration"),
    wire.FUSED_BLOCK: ("kFusedBlockName", "fused_block_registration"),
}
"""Our operators: the constant with the name, and the function with the registration."""


def method_of(op: str) -> str:
    """``AddConv2D`` for ``CONV_2D``; UnsupportedOpError for what TFLM does not have."""
    if op not in TFLM_BUILTINS:
        raise UnsupportedOpError(f"TFLM has no operator {op}, so no firmware can run this graph")
    if op in _UNUSUAL:
        return f"Add{_UNUSUAL[op]}"
    words = (word if word[0].isdigit() else word.capitalize() for word in op.split("_"))
    return "Add" + "".join(words)


def resolver_calls(graph: Graph) -> list[str]:
    """One C++ expression for each kind of operator in the graph, sorted, each of type TfLiteStatus.

    Raises UnsupportedOpError for an operator that neither TFLM nor tflsplit has.
    """
    builtin = {node.op for node in graph.nodes if not node.is_custom}
    custom = {node.op for node in graph.nodes if node.is_custom}
    return [f"resolver.{method_of(op)}()" for op in sorted(builtin)] + list(_custom_calls(custom))


def _custom_calls(ops: Iterable[str]) -> Iterable[str]:
    for op in sorted(ops):
        if op not in CUSTOM:
            raise UnsupportedOpError(
                f"custom operator {op} has no kernel in the firmware; give it one in "
                "tflm_app/lib/split_tflm, or take it out of the model"
            )
        name, function = CUSTOM[op]
        yield f"resolver.AddCustom(split_tflm::{name}, split_tflm::{function}())"
