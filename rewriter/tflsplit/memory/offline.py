# SPDX-License-Identifier: Apache-2.0
"""Offsets planned before the model reaches the device: TFLM's ``OfflineMemoryAllocation``.

The metadata blob is little-endian int32: version, subgraph, number of tensors, then an offset for
each tensor of the file, -1 where TFLM's planner may choose (``micro/docs/memory_management.md`` of
TFLM).  TFLM takes the offsets as they are and does not look for overlaps: check a plan with
``overlap`` before it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tflsplit.errors import ModelError
from tflsplit.ir import Graph, Value
from tflsplit.memory.buffers import ArenaPlan

METADATA_NAME = "OfflineMemoryAllocation"
ONLINE = -1
_VERSION, _HEADER = 1, 3


def offline_metadata(plan: ArenaPlan, order: Sequence[Value]) -> bytes:
    """The blob that gives every tensor of ``order`` its place in ``plan``."""
    places = {buffer.value: at for buffer, at in plan.offsets.items() if buffer.value is not None}
    return offsets_blob(places, order)


def offsets_blob(places: Mapping[Value, int], order: Sequence[Value]) -> bytes:
    """The blob that puts the values of ``places`` there and leaves the others to TFLM."""
    offsets = [places.get(value, ONLINE) for value in order]
    return np.array([_VERSION, 0, len(order), *offsets], "<i4").tobytes()


def offline_offsets(graph: Graph, order: Sequence[Value]) -> dict[Value, int]:
    """The fixed offsets of a graph's tensors; empty without such metadata.

    Raises ModelError if the metadata counts other tensors than the file has.
    """
    blob = graph.metadata.get(METADATA_NAME)
    if blob is None:
        return {}
    words = np.frombuffer(blob[: len(blob) // 4 * 4], "<i4")
    count = int(words[2]) if len(words) >= _HEADER else -1
    if count != len(order) or len(words) < _HEADER + count:
        raise ModelError(
            f"metadata {METADATA_NAME} plans {count} tensors, the graph has {len(order)}; "
            "remove it, or plan the arena again"
        )
    offsets = words[_HEADER : _HEADER + count].tolist()
    return {value: at for value, at in zip(order, offsets, strict=True) if at != ONLINE}
