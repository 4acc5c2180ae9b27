# SPDX-License-Identifier: Apache-2.0
"""The options of TFLSPLIT_CHAIN, typed.  See ``tflsplit.ops.own.chain``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from tflsplit.errors import ModelError
from tflsplit.ir import AttrValue, Node
from tflsplit.wire import custom_ops as wire

_Ints = tuple[int, ...]
STAGE = wire.STAGE_INTS
ADD = 12
UNIT_INTS = 3 * STAGE + ADD
"""Of a unit: expansion, depthwise convolution, what the unit makes, ADD; zeros where one is not."""
MOST_UNITS = 8


@dataclass(frozen=True)
class Rolling:
    """x comes in pieces of rows, which are not kept.

    rows, columns: of all of x; piece_rows: of a piece.
    """

    rows: int
    columns: int
    piece_rows: int

    @property
    def pieces(self) -> tuple[tuple[int, int], ...]:
        """Rows of every piece of a tile."""
        starts = range(0, self.rows, self.piece_rows)
        return tuple((start, min(start + self.piece_rows, self.rows)) for start in starts)


@dataclass(frozen=True)
class UnitOptions:
    """A unit as stored.

    expand, add: () where there is none.
    result: a stage whose activation, zero point and scale are those of what the unit makes, its ADD
        included, and whose rounding is that of the projection.
    """

    expand: _Ints
    depthwise: _Ints
    result: _Ints
    add: _Ints

    def ints(self) -> _Ints:
        """As stored."""
        nothing = (0,) * STAGE
        parts = self.expand or nothing, self.depthwise, self.result, self.add or (0,) * ADD
        return tuple(number for part in parts for number in part)

    @classmethod
    def of_ints(cls, ints: _Ints) -> UnitOptions:
        """The inverse of ``ints``."""
        expand, depthwise, result = (ints[at : at + STAGE] for at in range(0, 3 * STAGE, STAGE))
        add = ints[3 * STAGE :]
        return cls(
            expand if any(expand) else (), depthwise, result, add if any(add) else ()
        )  # a stage has a stride, an ADD a scale


@dataclass(frozen=True)
class ChainOptions:
    """Options of TFLSPLIT_CHAIN.

    window_columns: columns of a unit's result that are made at a time.
    tile_columns: columns of y that are made from the first row to the last; 0: all.
    rolling: None where x is there, whole.
    """

    units: tuple[UnitOptions, ...]
    window_columns: int
    tile_columns: int = 0
    rolling: Rolling | None = None

    @classmethod
    def of(cls, node: Node) -> ChainOptions:
        """The options of a node; ModelError if they are malformed."""
        return wire.read_once(node, cls, lambda: cls._read(node))

    @classmethod
    def _read(cls, node: Node) -> ChainOptions:
        options = wire.decode(node)
        ints, rolling = cast(_Ints, options["units"]), cast(_Ints, options["rolling"])
        count, rest = divmod(len(ints), UNIT_INTS)
        if rest or not 1 <= count <= MOST_UNITS:
            raise _malformed(node, f"option 'units' has {len(ints)} elements")
        if len(rolling) not in (0, 3):
            raise _malformed(node, f"option 'rolling' has {len(rolling)} elements, not 3")
        parts = (ints[at : at + UNIT_INTS] for at in range(0, len(ints), UNIT_INTS))
        found = cls(
            tuple(map(UnitOptions.of_ints, parts)),
            cast(int, options["window_columns"]),
            cast(int, options["tile_columns"]),
            Rolling(*rolling) if rolling else None,
        )
        problem = next(found._problems(), None)
        if problem:
            raise _malformed(node, problem)
        return found

    def _problems(self) -> Iterator[str]:
        if self.tile_columns and not self.rolling:
            yield "option 'tile_columns' needs 'rolling'"
        plain = (1, 1, 1, 1, 0, 0, 0, 0), (1, 1)
        if any((unit.result[:8], unit.result[12:14]) != plain for unit in self.units):
            yield "option 'units' has a projection that is not 1x1"

    def attrs(self) -> dict[str, AttrValue]:
        """As stored, without the version."""
        rolling = self.rolling
        return {
            "units": tuple(number for unit in self.units for number in unit.ints()),
            "window_columns": self.window_columns,
            "tile_columns": self.tile_columns,
            "rolling": (rolling.rows, rolling.columns, rolling.piece_rows) if rolling else (),
        }


def _malformed(node: Node, problem: str) -> ModelError:
    return ModelError(f"{node.op} {node.name!r}: {problem}; write the device graphs again")
