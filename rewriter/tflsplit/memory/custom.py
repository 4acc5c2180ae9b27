# SPDX-License-Identifier: Apache-2.0
"""What tflsplit's own operators keep in the arena: what the firmware's kernels allocate, exactly.

The kernels read multipliers and shifts from constant tensors in flash, so none of them has tables
per channel, and they read their options there again each time they run; a chain, whose units are
many numbers, to the begin of its scratch.  ``OP_DATA`` is what
``init`` allocates, as fields of ``abi.struct_layout``: ``OpData`` in
``tflm_app/lib/split_tflm/src/compute_op.h``, whose size a ``static_assert`` there holds.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from tflsplit.ir import Node
from tflsplit.memory.abi import Abi, align_up, struct_layout
from tflsplit.memory.buffers import ALIGNMENT_BYTES
from tflsplit.memory.kernels import Prepare, Prepared
from tflsplit.ops.own.chain_layout import chain_scratch
from tflsplit.ops.own.chain_options import ChainOptions
from tflsplit.ops.own.packed import unpacked
from tflsplit.ops.own.scratch import scratch_bytes
from tflsplit.wire import custom_ops as wire

# The zero points of x and y, which only Prepare can ask TFLM for, and the scratch buffer's number.
_COMPUTE = "iii"

OP_DATA: dict[str, str] = {
    # Nothing: TFLM itself remembers where the options are.
    wire.SEND: "",
    wire.RECV: "",
    wire.ASK: "",
    wire.CONV_2D: _COMPUTE,
    wire.DEPTHWISE_CONV_2D: _COMPUTE,
    wire.PARTIAL_CONV_2D: _COMPUTE,
    wire.PARTIAL_FULLY_CONNECTED: _COMPUTE,
    wire.PARTIAL_SUM: _COMPUTE,
    wire.REQUANTIZE: _COMPUTE,
    wire.FUSED_BLOCK: _COMPUTE,
    wire.CHAIN: _COMPUTE,
    wire.ADD: _COMPUTE,
    wire.MEAN: _COMPUTE,
    wire.POOL_2D: _COMPUTE,
}

CHAIN_UNIT_BYTES = 380
"""``sizeof(ChainUnit)``."""


def op_data_bytes(node: Node, abi: Abi) -> int:
    """What ``init`` allocates for a node."""
    return struct_layout(OP_DATA[node.op], abi).size_bytes


def units_bytes(node: Node) -> int:
    """Of a chain: what it keeps of its units, in Prepare and while it runs; of others 0."""
    units = len(ChainOptions.of(node).units) if node.op == wire.CHAIN else 0
    return align_up(CHAIN_UNIT_BYTES * units, ALIGNMENT_BYTES)


def _scratch(node: Node, abi: Abi) -> Prepared:
    """``..._get_scratch_bytes`` of the kernels: the same on every core (``ops.own.scratch``)."""
    found = _KNOWN.get(node)
    if found is None:
        found = _KNOWN[node] = _scratch_once(node)
    return found


_KNOWN: WeakKeyDictionary[Node, Prepared] = WeakKeyDictionary()
"""Of every node, which planning asks for several times."""


def _scratch_once(node: Node) -> Prepared:
    """Found once for all nodes of equal options and shapes, from which alone it follows."""
    x, values = node.inputs[0], (*node.inputs, *node.outputs)
    shapes = tuple([None if v is None else (v.shape, v.dtype, v is x) for v in values])
    key = node.op, node.attrs, len(node.inputs), shapes
    found = _ALIKE.get(key)
    if found is None:
        if len(_ALIKE) >= _MOST_KNOWN:
            _ALIKE.clear()
        is_chain = node.op == wire.CHAIN
        size_bytes = (
            units_bytes(node) + chain_scratch(node)
            if is_chain
            else scratch_bytes(unpacked(node, sizes_only=True))
        )
        found = _ALIKE[key] = Prepared((), (size_bytes,) if size_bytes else ())
    return found


_ALIKE: dict[tuple[object, ...], Prepared] = {}
_MOST_KNOWN = 16384


PREPARE: dict[str, Prepare] = dict.fromkeys(
    OP_DATA.keys() - {wire.SEND, wire.RECV, wire.ASK}, _scratch
)
