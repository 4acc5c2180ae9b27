# SPDX-License-Identifier: Apache-2.0
"""The unsplit model as its file means it, where the file or TFLM leave that open.

    file --close_shapes--> every shape known --pads_of_blocks--> every value known
         --wide_biases--> biases that TFLM reads as they are
         --int4_weights--> weights of whole bytes

What comes out is *the* unsplit model: it is split, and results are compared with it.  Most models
come out as they went in.
"""

from __future__ import annotations

from tflsplit.ir import Graph
from tflsplit.passes.close_shapes import close_shapes
from tflsplit.passes.int4_weights import int4_weights
from tflsplit.passes.pads_of_blocks import pads_of_blocks
from tflsplit.passes.wide_biases import wide_biases


def settle(model: Graph) -> Graph:
    """The model as it is meant; itself where nothing is open.

    Doing it twice changes nothing more.  Raises ModelError as ``close_shapes`` does.
    """
    return int4_weights(wide_biases(pads_of_blocks(close_shapes(model))))
