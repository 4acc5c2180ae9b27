# SPDX-License-Identifier: Apache-2.0
"""The .tflite schema as data, learned from the accessors that the ``tflite`` package generates.

The package has no reflection, but every generated getter asks its table for one slot and then
reads one kind of thing.  Calling it on a ``_Probe`` instead of a table tells the slot, the kind
and the default.  So reader and writer are generic: they hold no list of operators or options, and
a newer schema package brings its new fields without a change here.
"""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np
from flatbuffers import number_types

from tflsplit.errors import InternalError

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3

SCALAR, STRING, TABLE, UNION = "scalar", "string", "table", "union"
SCALARS, STRINGS, TABLES = "scalars", "strings", "tables"

# A union's getter does not say which enum selects its members.
_UNION_ENUMS = {
    ("Operator", "builtin_options"): "BuiltinOptions",
    ("Operator", "builtin_options2"): "BuiltinOptions2",
    ("QuantizationParameters", "details"): "QuantizationDetails",
    ("DimensionMetadata", "array_segments"): "SparseIndexVector",
    ("DimensionMetadata", "array_indices"): "SparseIndexVector",
}

# Operators whose options table does not carry their own name.
_OPTIONS_OF = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "L2_POOL_2D": "Pool2DOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MULTINOMIAL": "RandomOptions",
    "RANDOM_STANDARD_NORMAL": "RandomOptions",
    "RANDOM_UNIFORM": "RandomOptions",
    "REDUCE_ALL": "ReducerOptions",
    "REDUCE_ANY": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "SUM": "ReducerOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "SequenceRNNOptions",
}


@dataclass(frozen=True)
class Field:
    """One field of a table.

    kind: one of the constants above; dtype: the element type of SCALAR and SCALARS.
    default: what an absent SCALAR means.
    target: the table's name of TABLE and TABLES, the selecting enum's name of a UNION (whose
        selector is the field ``<name>_type``).
    """

    name: str
    slot: int
    kind: str
    dtype: np.dtype[Any] | None = None
    default: Any = None
    target: str = ""


@dataclass(frozen=True)
class TableSchema:
    """One table: its name, its fields in slot order and how many slots this schema knows."""

    name: str
    fields: tuple[Field, ...]
    slots: int

    @cached_property
    def names(self) -> frozenset[str]:
        """The fields' names in snake case."""
        return frozenset(field.name for field in self.fields)


class _Probe:
    """Stands in for ``flatbuffers.table.Table`` and notes what a getter asks of it first.

    (First, because the package's ``OperatorCode.BuiltinCode`` goes on to ask for another field.)
    """

    Bytes = b""
    Pos = 0

    def __init__(self, present: bool) -> None:
        self.present = present
        self.slot = -1
        self.is_vector = False
        self.kind = ""
        self.flags: Any = None

    def Offset(self, vtable_offset: int) -> int:  # noqa: N802
        self.slot = (vtable_offset - 4) // 2 if self.slot < 0 else self.slot
        return 4 if self.present else 0

    def Vector(self, offset: int) -> int:  # noqa: N802
        self.is_vector = True
        return 0

    def Get(self, flags: Any, offset: int) -> int:  # noqa: N802
        self.kind, self.flags = self.kind or SCALAR, self.flags or flags
        return 0

    def String(self, offset: int) -> bytes:  # noqa: N802
        self.kind = STRING
        return b""

    def Indirect(self, offset: int) -> int:  # noqa: N802
        self.kind = TABLE
        return 0

    def Union(self, table: object, offset: int) -> None:  # noqa: N802
        self.kind = UNION


@cache
def table_schema(name: str) -> TableSchema:
    """The schema of a table, by its name in the schema (``Conv2DOptions``)."""
    module = _module(name)
    prefix = f"{name}Add"
    getters = [word[len(prefix) :] for word in vars(module) if word.startswith(prefix)]
    fields = sorted((_field(name, getter) for getter in getters), key=lambda field: field.slot)
    return TableSchema(name, tuple(fields), _slot_count(module, name))


@cache
def enum_values(name: str) -> dict[str, int]:
    """The members of a schema enum; of a union, the tables that it may hold."""
    members = vars(getattr(_module(name), name))
    return {key: value for key, value in members.items() if isinstance(value, int)}


@cache
def enum_names(name: str) -> dict[int, str]:
    """``enum_values`` the other way round."""
    return {value: key for key, value in enum_values(name).items()}


@cache
def options_table(operator: str) -> str:
    """The options table that belongs to a builtin operator; "" if it has none."""
    by_spelling = {
        table.lower(): table for union in option_unions() for table in enum_values(union)
    }
    spelled = operator.replace("_", "").lower() + "options"
    return _OPTIONS_OF.get(operator) or by_spelling.get(spelled, "")


def option_unions() -> tuple[str, str]:
    """The two unions that hold options; the second took over when the first was full."""
    return ("BuiltinOptions", "BuiltinOptions2")


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"tflite.{name}")
    except ModuleNotFoundError as error:
        raise InternalError(f"the installed tflite package has no {name}") from error


def _field(table: str, getter: str) -> Field:
    cls = getattr(_module(table), table)
    is_vector = hasattr(cls, f"{getter}Length")
    present, result = _call(cls, getter, is_vector, present=True)
    _, default = _call(cls, getter, is_vector, present=False)
    name = _snake_case(getter)
    if present.kind == SCALAR:
        dtype = _numpy_dtype(present.flags)
        kind = SCALARS if present.is_vector else SCALAR
        return Field(name, present.slot, kind, dtype, None if present.is_vector else default)
    if present.kind == UNION:
        return Field(name, present.slot, UNION, target=_UNION_ENUMS[table, name])
    if present.kind == TABLE:
        kind = TABLES if present.is_vector else TABLE
        return Field(name, present.slot, kind, target=type(result).__name__)
    return Field(name, present.slot, STRINGS if present.is_vector else STRING)


def _call(cls: Any, getter: str, is_vector: bool, present: bool) -> tuple[_Probe, Any]:
    instance, probe = cls(), _Probe(present)
    instance._tab = probe
    return probe, getattr(instance, getter)(*([0] if is_vector else []))


def _numpy_dtype(flags: Any) -> np.dtype[Any]:
    if flags is number_types.BoolFlags:
        return np.dtype(np.bool_)
    dtype: np.dtype[Any] = np.dtype(number_types.to_numpy_type(flags)).newbyteorder("<")
    return dtype


def _slot_count(module: ModuleType, name: str) -> int:
    builder = _SlotCounter()
    start = getattr(module, f"{name}Start")
    if len(inspect.signature(start).parameters) != 1:
        raise InternalError(f"{name}Start of the tflite package takes more than a builder")
    start(builder)
    return builder.slots


class _SlotCounter:
    slots = 0

    def StartObject(self, slots: int) -> None:  # noqa: N802
        self.slots = slots


def _snake_case(camel: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", camel).lower()
