# SPDX-License-Identifier: Apache-2.0
"""Where CMSIS-NN's kernels want other scratch on cores with vectors (MVE: Cortex-M55, M85).

The ``*_get_buffer_size_mve`` functions of CMSIS-NN at commit 4ab83cc
(``Source/*/arm_*_get_buffer_sizes_*.c``), as TFLM's ``micro/kernels/cmsis_nn/*.cc`` at commit
90b983c call them, built by GCC.  Structs, tables and all that is not here are those of
``tflsplit.memory.cmsis_nn``.
"""

from __future__ import annotations

from tflsplit.ir import DType, Node
from tflsplit.memory import cmsis_nn, kernels
from tflsplit.memory.abi import Abi
from tflsplit.memory.kernels import Prepare, Prepared

_COLUMNS = 4  # im2col buffers at a time
_REGISTER_BYTES = 16
_CHANNEL_BLOCK = 124  # CH_IN_BLOCK_MVE, arm_nnsupportfunctions.h

NOTES = {
    "SVDF": "SVDF: on cores with vectors TFLM's kernel refuses to run unless TFLM is built with "
    "KERNELS_OPTIMIZED_FOR_SIZE, which its scratch is counted for",
}
"""What is not exact, by operator."""


def _im2col_bytes(values: int, value_bytes: int) -> int:
    """Columns of so many values, each padded to whole vector registers."""
    column_bytes = -(-values * value_bytes // _REGISTER_BYTES) * _REGISTER_BYTES
    return _COLUMNS * column_bytes


def _window(node: Node) -> int:
    """Values of the input below a filter."""
    _, rows, columns, _ = node.input(1).shape
    return rows * columns * node.input(0).shape[3]


def _is_row(node: Node) -> bool:
    """arm_nn_is_convolve_1_x_n."""
    x, filters = node.input(0).shape, node.input(1).shape
    flat = x[1] == filters[1] == 1 and cmsis_nn.dilation(node)[1] == 1
    return flat and cmsis_nn.stride(node)[1] * x[3] % 4 == 0 and x[3] == filters[3]


def _row_bytes(node: Node) -> int | None:
    """arm_convolve_1_x_n_s8_get_buffer_size_mve; None where it takes the general kernel's."""
    (_, _, width, channels), outputs = node.input(0).shape, node.output.shape[2]
    taps, step, pad = node.input(1).shape[2], cmsis_nn.stride(node)[1], cmsis_nn.pads(node)[1]
    total_pad = (outputs - 1) * step + taps - width
    odd = 0 if total_pad % 2 == 0 else 1 if total_pad > 0 else -1  # C's remainder
    right = max(1, (pad + odd + step - 1) // step) if pad + odd else 0
    left = max(1, (pad + step - 1) // step) if pad else 0
    if right + left > outputs:
        return None
    pad_right = right if odd else pad
    return channels * max(taps + pad, taps - 1 + pad_right)


def _conv(node: Node, abi: Abi) -> Prepared:
    without = cmsis_nn.PREPARE["CONV_2D"](node, abi)
    if not without.scratch:
        return without
    value_bytes = 2 if node.input(0).dtype is DType.INT16 else 1
    row = _row_bytes(node) if value_bytes == 1 and _is_row(node) else None
    size = _im2col_bytes(_window(node), value_bytes) if row is None else row
    return Prepared(without.persistent, (size,))


def _depthwise(node: Node, abi: Abi) -> Prepared:
    without = cmsis_nn.PREPARE["DEPTHWISE_CONV_2D"](node, abi)
    x, filters = node.input(0), node.input(1)
    if x.dtype is not DType.INT8:
        return without
    spread = cmsis_nn.dilation(node)
    if x.shape[3] == 1 and filters.shape[3] > 1:
        # As a convolution, beside its filters in another order.  TFLM leaves its stride unset, and
        # so it is random whether an image of one row counts as one; this is more than it takes.
        pointwise = filters.shape[1:3] == spread == (1, 1) and cmsis_nn.pads(node) == (0, 0)
        columns = 0 if pointwise else _im2col_bytes(_window(node), 1)
        return Prepared(without.persistent, (columns + filters.size,))
    if x.shape[3] != filters.shape[3] or x.shape[0] != 1 or spread != (1, 1):
        return without
    window = filters.shape[1] * filters.shape[2]
    return Prepared(without.persistent, (_COLUMNS * _CHANNEL_BLOCK * window,))


def _sums(node: Node) -> tuple[int, ...]:
    """arm_fully_connected_s8_get_buffer_size_mve: a sum of weights for each value of a result."""
    return (4 * node.output.shape[-1],) if node.input(0).dtype is DType.INT8 else ()


def _fully_connected(node: Node, abi: Abi) -> Prepared:
    without = cmsis_nn.PREPARE["FULLY_CONNECTED"](node, abi)
    as_convolution = len(node.output.shape) > 2 and node.input(1).shape[-1] % 4 == 0
    return without if as_convolution else Prepared(without.persistent, _sums(node))


def _batch_matmul(node: Node, abi: Abi) -> Prepared:
    return Prepared(kernels.PREPARE["BATCH_MATMUL"](node, abi).persistent, _sums(node))


def _average_pool(node: Node, abi: Abi) -> Prepared:
    return Prepared()


def _svdf(node: Node, abi: Abi) -> Prepared:
    without = kernels.PREPARE["SVDF"](node, abi)
    sums = (4 * node.input(1).shape[0],) if node.input(0).dtype is DType.INT8 else ()
    return Prepared(without.persistent, without.scratch + sums)


def _transpose_conv(node: Node, abi: Abi) -> Prepared:
    without = cmsis_nn.PREPARE["TRANSPOSE_CONV"](node, abi)
    x, filters = node.input(2), node.input(1)
    if x.dtype is not DType.INT8 or without.scratch[1] == 0:
        return without
    # A convolution with its filters reversed.
    _, rows, columns, _ = filters.shape
    return Prepared(
        without.persistent,
        (_im2col_bytes(x.shape[3] * rows * columns, 1), *without.scratch[1:]),
    )


PREPARE: dict[str, Prepare] = {
    **cmsis_nn.PREPARE,
    "AVERAGE_POOL_2D": _average_pool,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "SVDF": _svdf,
    "TRANSPOSE_CONV": _transpose_conv,
}
