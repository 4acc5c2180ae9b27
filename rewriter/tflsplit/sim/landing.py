# SPDX-License-Identifier: Apache-2.0
"""SENDs and ASKs; what of a block's input is missing, as ``Communicator::is_receiving`` has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tflsplit.sim.block import Rows, Steps, run_block
from tflsplit.sim.communicator import Communicator
from tflsplit.sim.node import Node
from tflsplit.sim.program import Ask, Compute, Landing, Post
from tflsplit.sim.trace import Channel


def say(step: Post | Ask, node: Node, number: int) -> None:
    """Post messages of inference ``number``, or ask for some ahead."""
    if isinstance(step, Post):
        for ranks, size in step.messages:
            node.messages.post((number, step.channel), ranks, size)
    else:
        for channel, source, size in step.pieces:
            node.messages.expect((number, channel), source, size, ahead=True)
    node.poll_after_post()


def missing_pieces(
    landings: Sequence[Landing], messages: Communicator, number: int, rows: Rows
) -> list[tuple[int, Channel]]:
    """(source, channel) of the messages that still write to some rows of x in inference ``number``.

    A message that fills its rows without gaps has brought the first of them before the last.
    """
    missing = []
    for landing in landings:
        channel = number, landing.channel
        received = messages.received_bytes(channel, landing.source)
        if received is None:
            continue
        start, stop = landing.rows
        if landing.row_bytes:
            start += received // landing.row_bytes
        if start < rows[1] and stop > rows[0]:
            missing.append((landing.source, channel))
    return missing


def is_arriving(step: Compute, node: Node, number: int) -> bool:
    """Whether some of a kernel's input is still under way."""
    rows = (0, step.block.x_rows) if step.block else (0, 0)
    return bool(missing_pieces(step.landings, node.messages, number, rows))


def run_arriving(
    step: Compute,
    node: Node,
    number: int,
    run: Callable[[float], Steps],
    note: Callable[[float, list[tuple[int, Channel]]], None],
) -> Steps:
    """A kernel of inference ``number`` on ``node`` whose input is still under way.

    run: compute so long; note: that it has waited since then for these messages.
    """
    assert step.block is not None

    def missing(rows: Rows) -> list[tuple[int, Channel]]:
        return missing_pieces(step.landings, node.messages, number, rows)

    def wait(rows: Rows) -> Steps:
        start, pieces = node.env.now, missing(rows)
        if pieces:
            yield from node.wait(lambda: not missing(rows))
            note(start, pieces)

    yield from run_block(step.block, lambda rows: not missing(rows), wait, run)
