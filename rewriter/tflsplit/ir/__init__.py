# SPDX-License-Identifier: Apache-2.0
"""The intermediate representation: identity graph objects and frozen descriptions."""

from tflsplit.ir.attributes import Activation, Attrs, AttrValue, Padding
from tflsplit.ir.dtypes import DType
from tflsplit.ir.graph import Graph, Node, Origin, Value, check_graph
from tflsplit.ir.quantization import Quantization

__all__ = [
    "Activation",
    "AttrValue",
    "Attrs",
    "DType",
    "Graph",
    "Node",
    "Origin",
    "Padding",
    "Quantization",
    "Value",
    "check_graph",
]
