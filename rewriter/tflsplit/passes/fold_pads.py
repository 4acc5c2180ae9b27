# SPDX-License-Identifier: Apache-2.0
"""PAD in front of a convolution becomes the convolution's own padding.

    before   x [1, 56, 56, 24] -- PAD 1, 1 --> [1, 58, 58, 24] -- CONV_2D (VALID, stride 2) --> y
    after    x [1, 56, 56, 24] -- CONV_2D (explicit_pads 1, 1, 1, 1, stride 2) --> y

for CONV_2D and DEPTHWISE_CONV_2D.  Exports from PyTorch have a PAD at every convolution where
TensorFlow's have none (TensorFlow pads more at the end, PyTorch alike on both sides, and the file
format has no words for that).  The padded copy would be the largest tensor of its block, a PAD
between two convolutions ends a fused block, and the planner sees two layers where there is one.

``explicit_pads`` (top, bottom, left, right) is an attribute that no file knows; it comes on top of
``padding``.  What is made of such a node for a device says it in words that files know: SAME or
VALID where that is the same, else our own operator, or PAD again.

A PAD stays where its result has other readers, or goes to the host; where it pads channels or
images; where what it writes is not the zero point; and where the convolution cannot be cut anyway.
"""

from __future__ import annotations

from dataclasses import replace

from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.ops import rule_of
from tflsplit.ops.stock.conv import windows_of
from tflsplit.ops.stock.pad import paddings_of, stored_value
from tflsplit.ops.stock.requantization import optional
from tflsplit.ops.window import EXPLICIT_PADS, PadPair, explicit_pads

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def fold_pads(graph: Graph) -> Graph:
    """``graph`` with every such PAD folded, also several in a row.

    Pure: nodes that do not change, and all tensors that stay, are shared with ``graph``.
    """
    readers, nodes = graph.consumers(), list(graph.nodes)
    places = {node: place for place, node in enumerate(nodes)}
    for pad in reversed(graph.nodes):
        pads = _pads_of(pad)
        if pads is None or pad.output in graph.outputs:
            continue
        reading = [nodes[places[reader]] for reader in readers[pad.output]]
        folded = [_folded(reader, pad, pads) for reader in reading]
        if not folded or None in folded:
            continue
        for reader, node in zip(readers[pad.output], folded, strict=True):
            assert node is not None
            nodes[places[reader]] = node
        # What read the PAD's result now reads its operand, which may be another PAD's result.
        x = pad.input(0)
        readers[x] = [other for other in readers[x] if other is not pad] + readers[pad.output]
        places.pop(pad)
    kept = set(places.values())
    return replace(graph, nodes=[node for place, node in enumerate(nodes) if place in kept])


def _pads_of(node: Node) -> tuple[PadPair, PadPair] | None:
    """(before, after) of rows and columns, if it pads these, with the zero point, and no more."""
    if node.op not in ("PAD", "PADV2") or node.is_custom or len(node.outputs) != 1:
        return None
    x, y, pairs = node.input(0), node.output, paddings_of(node)
    if pairs is None or len(pairs) != 4 or pairs[0] != (0, 0) or pairs[3] != (0, 0):
        return None
    if x.dtype not in (DType.INT8, DType.INT16) or y.dtype is not x.dtype:
        return None
    value = optional(node.inputs, 2)
    if value is not None and not value.is_constant:
        return None
    if x.quantization is None or y.quantization is None or _scale(x) != _scale(y):
        return None
    return (pairs[1], pairs[2]) if stored_value(node) == x.quantization.zero_point else None


def _scale(value: Value) -> tuple[object, ...]:
    assert value.quantization is not None
    return tuple(value.quantization.scales), value.quantization.zero_point


def _folded(node: Node, pad: Node, pads: tuple[PadPair, PadPair]) -> Node | None:
    """A convolution that pads for itself; None for any other node, or where it cannot."""
    if node.op not in _CONVOLUTIONS or node.is_custom or node.inputs[0] is not pad.output:
        return None
    bias = optional(node.inputs, 2)
    if not node.input(1).is_constant or (bias is not None and not bias.is_constant):
        return None
    (top, bottom), (left, right) = pads
    added = [a + b for a, b in zip(explicit_pads(node), (top, bottom, left, right), strict=True)]
    x = pad.input(0)
    made = replace(
        node,
        inputs=(x, *node.inputs[1:]),
        attrs=node.attrs.replace(**{EXPLICIT_PADS: tuple(added)}),
    )
    windows = windows_of(made)
    touches = all(
        before < axis.reach and after < axis.reach  # every window meets something of x
        for axis, (before, after) in zip(windows.axes, windows.pads(x), strict=True)
    )
    return made if touches and rule_of(made).factors(made) else None
