# SPDX-License-Identifier: Apache-2.0
"""The options of TFLSPLIT_FUSED_BLOCK, typed.  See ``tflsplit.ops.own.fused``."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from tflsplit.errors import ModelError
from tflsplit.ir import AttrValue, Node, Quantization
from tflsplit.ops.own.custom_options import INT8_RANGE, Pads, Pair, WindowOptions, activation_of
from tflsplit.wire import custom_ops as wire

_Ints = tuple[int, ...]
_STAGE_INTS = 12


@dataclass(frozen=True)
class Stage:
    """A convolution inside the block.

    zero_point, scale: of its result, which is no tensor of the graph.
    """

    window: WindowOptions
    activation: Pair
    zero_point: int
    scale: float

    def ints(self) -> _Ints:
        """As stored: stride, dilation, pads, activation, zero point, bits of the float32 scale."""
        window = self.window
        (bits,) = struct.unpack("<i", struct.pack("<f", self.scale))
        return (
            *window.stride,
            *window.dilation,
            *window.pads,
            *self.activation,
            self.zero_point,
            bits,
        )

    @classmethod
    def of_ints(cls, ints: _Ints) -> Stage:
        """The inverse of ``ints``."""
        (scale,) = struct.unpack("<f", struct.pack("<i", ints[11]))
        window = WindowOptions(cast(Pair, ints[0:2]), cast(Pair, ints[2:4]), cast(Pads, ints[4:8]))
        return cls(window, cast(Pair, ints[8:10]), ints[10], scale)

    @property
    def quantization(self) -> Quantization:
        """Of the stage's result."""
        return Quantization((self.scale,), (self.zero_point,))


_ADD_INTS = 12


@dataclass(frozen=True)
class ResidualAdd:
    """An ADD of the projection's result ``p``, which is no tensor of the graph, and an operand.

    activation, zero_point, scale: of p.  residual_zero_point: of the other operand.
    function: ADD's ``fused_activation_function``; what it lets through is the block's
        ``activation``.
    multipliers: (multiplier, shift) of p, of the other operand and of their sum, as TFLM has them.
    """

    activation: Pair
    zero_point: int
    scale: float
    function: int
    multipliers: tuple[Pair, Pair, Pair]
    residual_zero_point: int = 0

    def ints(self) -> _Ints:
        """As stored."""
        (bits,) = struct.unpack("<i", struct.pack("<f", self.scale))
        numbers = (number for pair in self.multipliers for number in pair)
        head = (*self.activation, self.zero_point, bits, self.function)
        return (*head, *numbers, self.residual_zero_point)

    @classmethod
    def of_ints(cls, ints: _Ints) -> ResidualAdd:
        """The inverse of ``ints``; ModelError if they make no sense."""
        if len(ints) != _ADD_INTS or not -128 <= ints[0] <= ints[1] <= 127:
            raise ModelError("option 'add' is malformed")
        zero_points = ints[2], ints[11]
        if min(zero_points) < -128 or max(zero_points) > 127 or min(ints[5:11:2]) < 0:
            raise ModelError("option 'add' has a zero point or a multiplier out of range")
        if min(ints[6:11:2]) < -31 or max(ints[6:11:2]) > 0:
            raise ModelError("option 'add' has a shift outside -31..0")
        (scale,) = struct.unpack("<f", struct.pack("<i", ints[3]))
        pairs = (ints[5], ints[6]), (ints[7], ints[8]), (ints[9], ints[10])
        return cls((ints[0], ints[1]), ints[2], scale, ints[4], pairs, ints[11])


def stage_problems(ints: _Ints) -> Iterator[str]:
    """What is wrong with a stage as stored."""
    if len(ints) != _STAGE_INTS:
        yield f"has {len(ints)} elements, not {_STAGE_INTS}"
        return
    if min(ints[0:4]) < 1:
        yield "has a stride or a dilation that is not positive"
    if min(ints[4:8]) < 0:
        yield "has negative pads"
    low, high, zero_point = ints[8:11]
    if not -128 <= low <= high <= 127:
        yield f"has the activation {low}..{high}, no range within -128..127"
    if not -128 <= zero_point <= 127:
        yield f"has the zero point {zero_point}, not within -128..127"


@dataclass(frozen=True)
class FirstUnit:
    """A unit before the others of a chained block; its result is their x, and no tensor.

    expand: None where its depthwise convolution reads x itself.
    """

    expand: Stage | None
    depthwise: Stage
    project: Stage

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those that are there, in order."""
        return (*((self.expand,) if self.expand else ()), self.depthwise, self.project)


FIRST_KEYS = ("first_expand", "first_depthwise", "first_project")
STAGE_KEYS = (*FIRST_KEYS, "expand", "depthwise")
"""Options that are stages, in the order in which they run."""


@dataclass(frozen=True)
class FusedOptions:
    """Options of TFLSPLIT_FUSED_BLOCK.

    expand: None where the depthwise convolution reads x itself.
    activation: of y; without meaning where ``sums``.
    sums: y is the int32 sums of the projection, to be added up and requantized elsewhere.
    tile_columns: columns of y made at a time; 0: all.
    add: an ADD after the projection, inside the operator; its other operand is the last one.
    window_columns: columns of y for which all rows of the expansion's result exist that are under
        the window; beside them only the rows that the next row of y needs, too.  0: whole rows.
    first: a unit before; only with ``window_columns``.
    """

    expand: Stage | None
    depthwise: Stage
    activation: Pair = INT8_RANGE
    sums: bool = False
    tile_columns: int = 0
    add: ResidualAdd | None = None
    window_columns: int = 0
    first: FirstUnit | None = None

    @classmethod
    def of(cls, node: Node) -> FusedOptions:
        """The options of a node; ModelError if they are malformed."""
        return wire.read_once(node, cls, lambda: cls._read(node))

    @classmethod
    def _read(cls, node: Node) -> FusedOptions:
        options = wire.decode(node)
        stages: dict[str, Stage] = {}
        for key in STAGE_KEYS:
            ints = cast(_Ints, options[key])
            problem = next(stage_problems(ints), None) if ints else None
            if problem:
                raise _malformed(node, f"option {key!r} {problem}")
            if ints:
                stages[key] = Stage.of_ints(ints)
        found = cls(
            stages.get("expand"),
            stages["depthwise"],
            activation_of(node),
            options["sum"] == 1,
            cast(int, options["tile_columns"]),
            _add_of(node, cast(_Ints, options["add"])),
            cast(int, options["window_columns"]),
            _first_of(node, stages),
        )
        problem = next(found.problems(), None)
        if problem:
            raise _malformed(node, problem)
        return found

    def problems(self) -> Iterator[str]:
        """How options contradict each other."""
        if self.window_columns and self.tile_columns:
            yield "option 'window_columns' does not go with 'tile_columns'"
        if self.first and not self.window_columns:
            yield "options of a first unit need 'window_columns'"

    def attrs(self) -> dict[str, AttrValue]:
        """As stored, without the version."""
        return {
            "expand": self.expand.ints() if self.expand else (),
            "depthwise": self.depthwise.ints(),
            "activation": self.activation,
            "sum": int(self.sums),
            "tile_columns": self.tile_columns,
            "add": self.add.ints() if self.add else (),
            "window_columns": self.window_columns,
            **dict.fromkeys(FIRST_KEYS, ()),
            **(self._first_attrs() if self.first else {}),
        }

    def _first_attrs(self) -> dict[str, AttrValue]:
        assert self.first is not None
        stages = self.first.expand, self.first.depthwise, self.first.project
        return {
            key: stage.ints() if stage else ()
            for key, stage in zip(FIRST_KEYS, stages, strict=True)
        }


def _add_of(node: Node, ints: _Ints) -> ResidualAdd | None:
    try:
        return ResidualAdd.of_ints(ints) if ints else None
    except ModelError as error:
        raise _malformed(node, str(error)) from None


def _first_of(node: Node, stages: Mapping[str, Stage]) -> FirstUnit | None:
    there = [key for key in FIRST_KEYS if key in stages]
    if not there:
        return None
    if not {"first_depthwise", "first_project"} <= set(there):
        raise _malformed(node, "options of a first unit are missing")
    return FirstUnit(stages.get("first_expand"), stages["first_depthwise"], stages["first_project"])


def _malformed(node: Node, problem: str) -> ModelError:
    return ModelError(f"{node.op} {node.name!r}: {problem}; write the device graphs again")
