# SPDX-License-Identifier: Apache-2.0
"""What tflsplit's own operators keep in the arena: the budget that the firmware keeps to.

The kernels read multipliers and shifts from constant tensors in flash, so none of them has tables
per channel.  ``OP_DATA`` is the parsed options and the zero points, as fields of
``abi.struct_layout``; ``init`` allocates it.  The firmware asserts at compile time that its structs
are no larger, so an estimate with them is an upper bound.
"""

from __future__ import annotations

from tflsplit.ir import Node
from tflsplit.memory import cmsis_nn
from tflsplit.memory.abi import Abi
from tflsplit.memory.kernels import Prepare, Prepared
from tflsplit.wire import custom_ops as wire

_WINDOW = "hhhh hhhh"  # stride, dilation, four pads: 16 bit each
_CLAMP = "bb"  # smallest and largest result
_ZERO_POINTS = "ii"

OP_DATA: dict[str, str] = {
    # Where the options are (their boxes are read in place), how long they are, the transfer's
    # state, channel and size.
    wire.SEND: "P i i i i",
    # The same, and the number of pieces that are still missing.
    wire.RECV: "P i i i i i",
    wire.CONV_2D: f"{_WINDOW} {_CLAMP} {_ZERO_POINTS} i",
    wire.DEPTHWISE_CONV_2D: f"{_WINDOW} {_CLAMP} {_ZERO_POINTS} i",
    wire.PARTIAL_CONV_2D: f"{_WINDOW} i i",
    wire.PARTIAL_FULLY_CONNECTED: "i",
    wire.REQUANTIZE: f"{_CLAMP} i",
}


def _im2col(node: Node, abi: Abi) -> Prepared:
    filters = node.input(1).shape
    if filters[1:3] == (1, 1):
        return Prepared()
    return Prepared((), (cmsis_nn.im2col_bytes(node.input(0).shape[3], (filters[1], filters[2])),))


# The portable kernels keep nothing more.
PREPARE: dict[str, Prepare] = {}
# Those that call CMSIS-NN gather one window at a time.
CMSIS_NN_PREPARE: dict[str, Prepare] = {
    wire.CONV_2D: _im2col,
    wire.PARTIAL_CONV_2D: _im2col,
}
