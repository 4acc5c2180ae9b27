# SPDX-License-Identifier: Apache-2.0
"""Factors: the independent dimensions of an operator's loop nest, and what each one touches.

An operator is described once, by its factors, as GSPMD and Shardy do.  CONV_2D, for one, has
``batch``, ``rows`` and ``columns`` (windows), ``out_channels`` and ``in_channels`` (a reduction).
Give every factor an interval and everything else follows: the box of each result, the box of each
operand (its receptive field, weights and bias included), the padding that is missing at a border,
and the multiply-accumulates.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from tflsplit.errors import InternalError
from tflsplit.ir import Node
from tflsplit.ops.region import Box, Interval


class DimMap(Protocol):
    """How an interval of a factor maps to an interval of one operand dimension."""

    def need(self, start: int, stop: int) -> Interval:
        """The interval that ``[start, stop)`` (not empty) reads, not clipped to the operand."""


@dataclass(frozen=True)
class Scaled:
    """Each step of the factor is ``scale`` elements: ``[start * scale, stop * scale)``."""

    scale: int = 1

    def need(self, start: int, stop: int) -> Interval:
        return start * self.scale, stop * self.scale


SAME_INDEX = Scaled(1)


@dataclass(frozen=True)
class Window:
    """A sliding window; what it reaches outside ``[0, extent)`` of the operand is padding.

    steps, extent: of the whole factor and operand.  A step is said to read on to where the next
        one begins, and the last to the end of the operand, even if strides leave some of that out:
        so nothing is left over that no piece asks for, and cutting it off would cost a copy.
    """

    kernel: int
    stride: int
    dilation: int = 1
    pad_before: int = 0
    steps: int = 0
    extent: int = 0

    def need(self, start: int, stop: int) -> Interval:
        first = start * self.stride - self.pad_before
        last = (stop - 1) * self.stride - self.pad_before + (self.kernel - 1) * self.dilation + 1
        next_one = self.extent if stop == self.steps else stop * self.stride - self.pad_before
        return first, max(last, min(next_one, self.extent))


@dataclass(frozen=True)
class Shifted:
    """The operand begins ``offset`` steps into the factor (CONCATENATION, PAD, SLICE).

    What lies outside the operand is not read.
    """

    offset: int

    def need(self, start: int, stop: int) -> Interval:
        return start - self.offset, stop - self.offset


@dataclass(frozen=True)
class Strided:
    """Step i reads element ``begin + i * stride`` (STRIDED_SLICE); ``stride`` > 0."""

    begin: int
    stride: int

    def need(self, start: int, stop: int) -> Interval:
        return self.begin + start * self.stride, self.begin + (stop - 1) * self.stride + 1


class Kind(enum.Enum):
    """What may be done with a factor.

    PARALLEL: any split of it gives independent pieces of the results.
    REDUCTION: a split of it gives partial sums of whole results (exact in int32).
    """

    PARALLEL = "parallel"
    REDUCTION = "reduction"


@dataclass(frozen=True)
class Factor:
    """One dimension of an operator's loop nest.

    size: number of steps.
    operands: for every operand that it touches, by index: the dimension and how it maps.
    results: for every result, by index: the dimension and how many elements a step makes.
    Factors that may not be split at all are simply not listed: an operand or result dimension
    that no factor mentions is always whole.
    """

    name: str
    size: int
    operands: Mapping[int, tuple[int, DimMap]] = field(default_factory=dict)
    results: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    kind: Kind = Kind.PARALLEL


@dataclass(frozen=True)
class Piece:
    """One rank's piece of a node: what it makes and what it reads.

    results: box of each output, in the coordinates of the whole tensor.
    operands: box of each input, clipped to the tensor (None where the optional input is absent).
    pads: for each input and dimension, how many steps of the window lie ``(before, after)`` the
        tensor and are to be read as padding.
    macs: multiply-accumulates of the piece.
    """

    results: tuple[Box, ...]
    operands: tuple[Box | None, ...]
    pads: tuple[tuple[tuple[int, int], ...], ...]
    macs: int

    @cached_property
    def is_empty(self) -> bool:
        """Whether the piece makes nothing."""
        return all(box.is_empty for box in self.results)


def piece_of(
    node: Node,
    factors: Sequence[Factor],
    intervals: Mapping[str, Interval],
    macs: int = 0,
) -> Piece:
    """The piece of ``node`` in which every factor runs over its interval (whole if not given).

    macs: multiply-accumulates of the whole node, alike in every step of its loop nest.
    Raises InternalError for an interval of a factor that the node has not.
    """
    unknown = intervals.keys() - {factor.name for factor in factors}
    if unknown:
        raise InternalError(f"{node!r} has no factor {', '.join(sorted(unknown))}")
    spans = {factor.name: intervals.get(factor.name, (0, factor.size)) for factor in factors}
    empty = any(stop <= start for start, stop in spans.values())
    results = tuple(
        Box.empty(len(value.shape)) if empty else _result_box(index, value.shape, factors, spans)
        for index, value in enumerate(node.outputs)
    )
    operands: list[Box | None] = []
    pads: list[tuple[tuple[int, int], ...]] = []
    for index, value in enumerate(node.inputs):
        if value is None:
            operands.append(None)
            pads.append(())
        elif empty:
            operands.append(Box.empty(len(value.shape)))
            pads.append(((0, 0),) * len(value.shape))
        else:
            box, missing = _operand_box(index, value.shape, factors, spans)
            operands.append(box)
            pads.append(missing)
    steps = math.prod(max(0, stop - start) for start, stop in spans.values())
    every = math.prod(factor.size for factor in factors)
    return Piece(results, tuple(operands), tuple(pads), macs * steps // max(1, every))


def _result_box(
    index: int, shape: Sequence[int], factors: Sequence[Factor], spans: Mapping[str, Interval]
) -> Box:
    intervals = [(0, extent) for extent in shape]
    for factor in factors:
        if index in factor.results:
            dim, scale = factor.results[index]
            start, stop = spans[factor.name]
            intervals[dim] = start * scale, stop * scale
    return Box(tuple(intervals))


def _operand_box(
    index: int, shape: Sequence[int], factors: Sequence[Factor], spans: Mapping[str, Interval]
) -> tuple[Box, tuple[tuple[int, int], ...]]:
    intervals = [(0, extent) for extent in shape]
    pads = [(0, 0)] * len(shape)
    for factor in factors:
        if index not in factor.operands:
            continue
        dim, dim_map = factor.operands[index]
        start, stop = dim_map.need(*spans[factor.name])
        first, last = max(0, start), min(shape[dim], stop)
        if last <= first:
            return Box.empty(len(shape)), ((0, 0),) * len(shape)
        pads[dim] = first - start, stop - last
        intervals[dim] = first, last
    return Box(tuple(intervals)), tuple(pads)
