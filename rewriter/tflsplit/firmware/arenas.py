# SPDX-License-Identifier: Apache-2.0
"""The arena of a device on its board."""

from __future__ import annotations

from pathlib import Path

from tflsplit.firmware.boards import Board
from tflsplit.firmware.options import FirmwareOptions
from tflsplit.ir import Graph
from tflsplit.memory.abi import HOST_64, Abi, align_up
from tflsplit.memory.arena import ArenaEstimate, predict_arena
from tflsplit.memory.demand import Kernels

_ALIGNMENT_BYTES = 16
WHEEL_TREE = "tflm_wheel.json"
"""File by which a TFLM tree is known that stands for TFLM's wheel (tflsplit.emulate.wheel_tree)."""
_CMSIS_NN_HEADER = Path("third_party/cmsis_nn/Include/arm_nnfunctions.h")


def kernels_of(board: Board, options: FirmwareOptions) -> tuple[Kernels, ...]:
    """TFLM's kernels that the board may get; both kinds where that is decided later."""
    found = _of_any_core(board, options)
    return tuple("cmsis_nn_mve" if board.vectors and each == "cmsis_nn" else each for each in found)


def _of_any_core(board: Board, options: FirmwareOptions) -> tuple[Kernels, ...]:
    if options.kernels is not None:
        return (options.kernels,)
    if board.is_of_registry and options.tflm_dir is None:
        return ("registry",) if board.cmsis_nn else ("registry_plain",)
    if options.tflm_dir is None:
        return ("reference", "cmsis_nn") if board.cmsis_nn else ("reference",)
    if not (options.tflm_dir / _CMSIS_NN_HEADER).is_file():
        return ("reference",)
    # Without DSP instructions CMSIS-NN's kernels want less scratch than with them, some no less
    # than the reference ones: such a board has room for either.
    return ("cmsis_nn",) if board.cmsis_nn else ("reference", "cmsis_nn")


def abi_of(board: Board, options: FirmwareOptions) -> Abi:
    """Layout of TFLM's structs on the board: the wheel is built with compression, others not.

    A program of this computer for which no tree is named may get either: the larger layout.
    """
    tree = options.tflm_dir
    if board.section != "host":
        return board.abi
    return HOST_64 if tree is None or (tree / WHEEL_TREE).is_file() else board.abi


def required_arena_bytes(graph: Graph, board: Board, options: FirmwareOptions) -> int:
    """The smallest arena with which the graph starts, without the margin (docs/arena.md).

    Of an arena in several memories, what lies in the main RAM.
    """
    estimates = _estimates(graph, board, options)
    return max(each.required_bytes if options.one_piece else each.main_bytes for each in estimates)


def banks_bytes(graph: Graph, board: Board, options: FirmwareOptions) -> tuple[int, ...]:
    """What lies in each bank; () of an arena in one piece."""
    if options.one_piece:
        return ()
    flavours = [estimate.banks_bytes for estimate in _estimates(graph, board, options)]
    return tuple(map(max, zip(*flavours, strict=True)))


def _estimates(graph: Graph, board: Board, options: FirmwareOptions) -> list[ArenaEstimate]:
    abi = abi_of(board, options)
    return [predict_arena(graph, abi, kernels) for kernels in kernels_of(board, options)]


def arena_bytes(required_bytes: int, options: FirmwareOptions) -> int:
    """What the firmware sets aside."""
    return align_up(required_bytes + options.arena_margin_bytes, _ALIGNMENT_BYTES)
