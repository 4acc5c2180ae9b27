# SPDX-License-Identifier: Apache-2.0
"""Where the registry's TFLM computes other bits than the TFLM that verify compares with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tflsplit.errors import ranks_named
from tflsplit.firmware.boards import BOARDS
from tflsplit.ir import DType
from tflsplit.memory.registry_tflm import OTHER_BITS
from tflsplit.split.devices import DeviceGraph


def registry_warnings(
    devices: Sequence[DeviceGraph], boards: Sequence[str], tflm_dir: Path | None
) -> list[str]:
    """At most one sentence, which names the ranks and operators.

    boards: by rank; one without firmware has no TFLM either.  tflm_dir: the local tree that is
        built instead; None: the registry's TFLM.
    """
    found = {
        rank: sorted(_with_other_bits(device))
        for rank, (device, board) in enumerate(zip(devices, boards, strict=True))
        if tflm_dir is None and _is_of_registry(board) and _with_other_bits(device)
    }
    if not found:
        return []
    ranks = {op: [rank for rank in found if op in found[rank]] for op in sorted(OTHER_BITS)}
    where = "; ".join(f"{op} on {ranks_named(on)}" for op, on in ranks.items() if on)
    return [
        f"the registry's TFLM has kernels that round otherwise than today's ({where}): a board may "
        "give other values than `tflsplit run`; --tflm-dir names a TFLM tree of today's "
        "(docs/firmware.md)"
    ]


def _is_of_registry(board: str) -> bool:
    return board in BOARDS and BOARDS[board].is_of_registry


def _with_other_bits(device: DeviceGraph) -> set[str]:
    return {
        node.op
        for node in device.graph.nodes
        if node.op in OTHER_BITS and node.input(0).dtype is DType.INT8
    }
