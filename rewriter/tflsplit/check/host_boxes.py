# SPDX-License-Identifier: Apache-2.0
"""What devices RECV from the host is there to be given: the host has the model's inputs, whole."""

from __future__ import annotations

from collections.abc import Iterator

from tflsplit.check.schedule import Exchange, Programs
from tflsplit.ir import Graph, Value
from tflsplit.ops.own.custom_options import RecvPiece
from tflsplit.ops.region import Box
from tflsplit.split.devices import tensor_labels


def check_host_boxes(whole: Graph, programs: Programs) -> list[str]:
    """Every piece from the host is of a model input, within it, of its type, on its own channel."""
    labels = tensor_labels(whole)
    inputs = {labels[value]: value for value in whole.inputs if value in labels}
    steps = [step for program in programs for step in program]
    taken = {step.send.channel for step in steps if step.send is not None}
    asked: set[tuple[int, int]] = set()
    problems = []
    for step in steps:
        for piece in step.recv.pieces if step.recv else ():
            if piece.source != len(programs):
                continue
            if piece.channel in taken or (piece.channel, step.rank) in asked:
                problems.append(
                    f"rank {step.rank}: channel {piece.channel} is not the host's alone"
                )
            asked.add((piece.channel, step.rank))
            problems += [
                f"rank {step.rank}: RECV of channel {piece.channel} {text}"
                for text in _problems(step, piece, inputs)
            ]
    return problems


def _problems(step: Exchange, piece: RecvPiece, inputs: dict[str, Value]) -> Iterator[str]:
    assert step.recv is not None
    value = inputs.get(step.recv.tensor)
    if value is None:
        yield f"asks the host for {step.recv.tensor!r}, which is no input of the model"
        return
    whole = Box.whole(value.shape)
    if len(whole.intervals) != len(piece.box.intervals) or not whole.contains(piece.box):
        yield f"asks the host for {piece.box} of {step.recv.tensor!r}, which is {whole}"
    if value.dtype is not step.node.output.dtype:
        yield f"expects {step.node.output.dtype.value}, but the input is {value.dtype.value}"
    if step.recv.add:
        yield "adds up what the host gives"
