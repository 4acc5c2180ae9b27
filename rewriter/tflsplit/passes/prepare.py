# SPDX-License-Identifier: Apache-2.0
"""The passes over a whole model before it is planned.

model --fold_constants--> shapes known --stream_states--> no resource variables
      --flat_biases--> biases are vectors
      --fold_identities--> layers gone that change no byte --fold_pads--> PADs gone
      --dense_depthwise--> images of one channel are convolved --drop_channels--> what is split
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tflsplit.ir import Graph
from tflsplit.memory.offline import METADATA_NAME
from tflsplit.ops.rule import graph_macs
from tflsplit.passes.dense_depthwise import dense_depthwise
from tflsplit.passes.drop_channels import drop_channels, dropped_channels
from tflsplit.passes.flat_biases import flat_biases
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.passes.fold_identities import fold_identities
from tflsplit.passes.fold_pads import fold_pads
from tflsplit.passes.stream_states import stream_states


def prepare(model: Graph) -> Graph:
    """The graph that is split, by whose names plans and results go; ``model`` stays as it is.

    Where the file's tensors lie in an arena is of no use any more: other tensors do.
    """
    graph = drop_channels(with_all_channels(model))
    metadata = {key: blob for key, blob in graph.metadata.items() if key != METADATA_NAME}
    return replace(graph, metadata=metadata)


def without_resources(model: Graph) -> Graph:
    """``prepare`` as far as to know whether the model can be split."""
    return stream_states(fold_constants(model))


def with_all_channels(model: Graph) -> Graph:
    """``prepare`` before channels are dropped."""
    return dense_depthwise(fold_pads(fold_identities(flat_biases(without_resources(model)))))


@dataclass(frozen=True)
class Dropped:
    """What is not computed, because it is known beforehand or nobody reads it.

    channels: of layers with weights.
    macs: what that saves; of_macs: of what they were.
    """

    channels: int
    macs: int
    of_macs: int


def dropped(model: Graph, whole: Graph) -> Dropped:
    """What ``whole``, the graph that is split, does without.

    model: as it was read, the argument of ``prepare``.
    """
    before = graph_macs(with_all_channels(model))
    return Dropped(dropped_channels(whole), before - graph_macs(whole), before)
