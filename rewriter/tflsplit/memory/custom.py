# SPDX-License-Identifier: Apache-2.0
"""What tflsplit's own operators keep in the arena: what the firmware's kernels allocate, exactly.

The kernels read multipliers and shifts from constant tensors in flash, so none of them has tables
per channel, and they read their options there again each time they run.  ``OP_DATA`` is what
``init`` allocates, as fields of ``abi.struct_layout``: ``OpData`` in
``tflm_app/lib/split_tflm/src/compute_op.h``, whose size a ``static_assert`` there holds.
"""

from __future__ import annotations

from tflsplit.ir import Attrs, Node
from tflsplit.memory import cmsis_nn
from tflsplit.memory.abi import Abi
from tflsplit.memory.kernels import Prepare, Prepared
from tflsplit.ops.fused import scratch_of
from tflsplit.wire import custom_ops as wire

# The zero points of x and y, which only Prepare can ask TFLM for, and the scratch buffer's number.
_COMPUTE = "iii"

OP_DATA: dict[str, str] = {
    # Nothing: TFLM itself remembers where the options are.
    wire.SEND: "",
    wire.RECV: "",
    wire.CONV_2D: _COMPUTE,
    wire.DEPTHWISE_CONV_2D: _COMPUTE,
    wire.PARTIAL_CONV_2D: _COMPUTE,
    wire.PARTIAL_FULLY_CONNECTED: _COMPUTE,
    wire.REQUANTIZE: _COMPUTE,
    wire.FUSED_BLOCK: _COMPUTE,
}


def _pair(attrs: Attrs, key: str) -> tuple[int, int]:
    rows, columns = attrs.integers(key) or (1, 1)
    return rows, columns


def _is_pointwise(node: Node) -> bool:
    filters = node.input(1).shape
    is_whole = filters[3] == node.input(0).shape[3]
    return filters[1:3] == (1, 1) and is_whole and not any(node.attrs.integers("pads"))


def _has_bias(node: Node) -> bool:
    return node.inputs[2] is not None


def _some(size_bytes: int) -> Prepared:
    return Prepared((), (size_bytes,) if size_bytes else ())


def _conv(node: Node, abi: Abi) -> Prepared:
    """``cmsis::conv_2d_get_scratch_bytes``."""
    filters, channels = node.input(1).shape, node.input(0).shape[3]
    takes = _has_bias(node) or filters[3] == channels
    if not takes or _is_pointwise(node):
        return Prepared()
    return _some(cmsis_nn.im2col_bytes(channels, (filters[1], filters[2])))


def _depthwise(node: Node, abi: Abi) -> Prepared:
    """``cmsis::depthwise_get_scratch_bytes``."""
    x, filters = node.input(0).shape, node.input(1).shape
    top, bottom, left, right = node.attrs.integers("pads") or (0, 0, 0, 0)
    pads_fit = max(top, bottom) < filters[1] and max(left, right) < filters[2]
    is_3x3 = filters[1:3] == (3, 3)
    takes = x[3] == filters[3] and x[0] == 1 and _pair(node.attrs, "dilation") == (1, 1)
    if not takes or not pads_fit or (is_3x3 and (right > 1 or max(top, left) <= 1)):
        return Prepared()
    return _some(2 * x[3] * filters[1] * filters[2])


def _partial_conv(node: Node, abi: Abi) -> Prepared:
    """``cmsis::partial_conv_2d_get_scratch_bytes``: two windows, gathered."""
    if _is_pointwise(node) and _pair(node.attrs, "stride") == (1, 1):
        return Prepared()
    filters = node.input(1).shape
    return _some(2 * filters[1] * filters[2] * node.input(0).shape[3])


def _fused_block(node: Node, abi: Abi) -> Prepared:
    """``fused_block_get_scratch_bytes``."""
    return _some(scratch_of(node).total_bytes)


# The other portable kernels need no scratch.
PREPARE: dict[str, Prepare] = {wire.FUSED_BLOCK: _fused_block}
CMSIS_NN_PREPARE: dict[str, Prepare] = {
    wire.CONV_2D: _conv,
    wire.DEPTHWISE_CONV_2D: _depthwise,
    wire.PARTIAL_CONV_2D: _partial_conv,
    wire.FUSED_BLOCK: _fused_block,
}
