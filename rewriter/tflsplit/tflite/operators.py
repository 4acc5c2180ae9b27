# SPDX-License-Identifier: Apache-2.0
"""Operator records of the file to ``Node``s of the graph, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tflsplit.errors import InternalError, ModelError
from tflsplit.ir import Attrs, AttrValue, Node, Value
from tflsplit.tflite import schema, validate
from tflsplit.tflite.decode import Decoder, Record
from tflsplit.tflite.flexmap import decode_map, encode_map
from tflsplit.tflite.freeze import freeze, leftovers

# Custom operators whose options are a FlexBuffer map by contract (docs/custom_ops.md).
OWN_PREFIX = "TFLSPLIT_"
# The attribute that holds the options of any other custom operator, as they are.
RAW_OPTIONS = "custom_options"
# In file_extra where the options table is not the one that the operator's name tells; "" if none.
OPTIONS_TABLE = "options"
INTERMEDIATES = "intermediates"

_CUSTOM = "CUSTOM"
# Until 2020 the code was one byte; larger codes put this there and themselves in a new field.
_LARGEST_OLD_CODE = 127
_READ = (
    "opcode_index", "inputs", "outputs", "builtin_options_type", "builtin_options",
    "builtin_options2_type", "builtin_options2", "custom_options", "intermediates",
    "large_custom_options_offset", "large_custom_options_size",
)  # fmt: skip


@dataclass(frozen=True)
class OpCode:
    """An entry of the file's table of operators: which operator, in which version."""

    op: str
    version: int
    is_custom: bool

    @classmethod
    def read(cls, record: Record) -> OpCode:
        """The entry of a record; ModelError for an operator that the schema does not know."""
        code = max(record["deprecated_builtin_code"], record["builtin_code"])
        name = schema.enum_names("BuiltinOperator").get(code)
        if name is None:
            raise ModelError(
                f"operator code {code} is not known; {validate.DAMAGED}, "
                "or update the 'tflite' package"
            )
        if name != _CUSTOM:
            return cls(name, record["version"], False)
        if not record.get("custom_code"):
            raise ModelError(f"a custom operator has no name; {validate.DAMAGED}")
        return cls(record["custom_code"], record["version"], True)

    @classmethod
    def of(cls, node: Node) -> OpCode:
        """The entry that a node needs."""
        return cls(node.op, node.version, node.is_custom)

    def record(self) -> dict[str, Any]:
        """The entry's record; InternalError for an operator that the schema does not know."""
        code = schema.enum_values("BuiltinOperator").get(_CUSTOM if self.is_custom else self.op)
        if code is None:
            raise InternalError(f"{self.op} is no builtin operator")
        record = {
            "deprecated_builtin_code": min(code, _LARGEST_OLD_CODE),
            "builtin_code": code,
            "version": self.version,
        }
        return record | ({"custom_code": self.op} if self.is_custom else {})


def read_node(
    index: int, record: Record, codes: Sequence[OpCode], values: Sequence[Value], decoder: Decoder
) -> Node:
    """The operator of a record; ModelError where it refers to what is not there."""
    if not record["opcode_index"] < len(codes):
        raise ModelError(f"operator {index} has an unknown operator code; {validate.DAMAGED}")
    code = codes[record["opcode_index"]]
    what = f"operator {index} ({code.op})"
    operands = pick(f"{what}, inputs", record.get("inputs", ()), values, optional=True)
    outputs = pick(f"{what}, outputs", record.get("outputs", ()), values)
    extra = leftovers(record, "Operator", _READ)
    if len(record.get("intermediates", ())):
        intermediates = pick(f"{what}, intermediates", record["intermediates"], values, True)
        extra[INTERMEDIATES] = intermediates
    if code.is_custom:
        attrs = _custom_attrs(code.op, record, decoder)
    else:
        attrs, table = _builtin_attrs(what, record)
        if table != schema.options_table(code.op):
            extra[OPTIONS_TABLE] = table
        raw = _raw_options(record, decoder)
        if raw is not None:
            extra[RAW_OPTIONS] = raw
    present = tuple(value for value in outputs if value is not None)
    return Node(
        code.op,
        operands,
        present,
        attrs,
        version=code.version,
        is_custom=code.is_custom,
        file_extra=Attrs(extra),
    )


def pick(
    what: str, indices: Any, values: Sequence[Value], optional: bool = False
) -> tuple[Value | None, ...]:
    """The tensors of those numbers; None for -1 where ``optional``; ModelError out of range."""
    numbers = np.asarray(indices).tolist()
    lowest = -1 if optional else 0
    strays = [number for number in numbers if not lowest <= number < len(values)]
    if strays:
        raise ModelError(
            f"{what}: there is no tensor {strays[0]} among {len(values)}; {validate.DAMAGED}"
        )
    return tuple(None if number < 0 else values[number] for number in numbers)


def write_node(node: Node, opcode: int, index_of: Callable[[Value], int]) -> dict[str, Any]:
    """The record of a node; ``index_of`` gives a tensor's number."""
    extra: dict[str, Any] = dict(node.file_extra)
    table = extra.pop(OPTIONS_TABLE, None)
    record: dict[str, Any] = {
        "opcode_index": opcode,
        "inputs": _indices(node.inputs, index_of),
        "outputs": _indices(node.outputs, index_of),
    }
    if INTERMEDIATES in extra:
        record[INTERMEDIATES] = _indices(extra.pop(INTERMEDIATES), index_of)
    if node.is_custom:
        return record | extra | _custom_record(node)
    options = schema.options_table(node.op) if table is None else str(table)
    return record | extra | _options_record(node, options)


def _indices(values: Sequence[Value | None], index_of: Callable[[Value], int]) -> tuple[int, ...]:
    return tuple(-1 if value is None else index_of(value) for value in values)


def _builtin_attrs(what: str, record: Record) -> tuple[Attrs, str]:
    """The options as attributes, and the name of their table ("" where there are none)."""
    first, second = (_options(record, field) for field in ("builtin_options", "builtin_options2"))
    if first[1] and second[1]:
        raise ModelError(f"{what} has two tables of options; {validate.DAMAGED}")
    return first if first[1] else second


def _options(record: Record, field: str) -> tuple[Attrs, str]:
    union = schema.option_unions()[field.endswith("2")]
    if field not in record:
        return Attrs(), ""
    return freeze(record[field]), schema.enum_names(union)[record[f"{field}_type"]]


def _custom_attrs(op: str, record: Record, decoder: Decoder) -> Attrs:
    raw = _raw_options(record, decoder)
    if raw is None:
        return Attrs()
    options = decode_map(raw) if op.startswith(OWN_PREFIX) else None
    return Attrs({RAW_OPTIONS: raw}) if options is None else options


def _raw_options(record: Record, decoder: Decoder) -> bytes | None:
    if record["large_custom_options_offset"] > 1:
        offset, size = record["large_custom_options_offset"], record["large_custom_options_size"]
        return decoder.external(offset, size, "large_custom_options").tobytes()
    return record["custom_options"].tobytes() if "custom_options" in record else None


def _custom_record(node: Node) -> dict[str, AttrValue]:
    if not node.attrs:
        return {}
    if set(node.attrs) == {RAW_OPTIONS} and isinstance(node.attrs[RAW_OPTIONS], bytes):
        return dict(node.attrs)
    return {RAW_OPTIONS: encode_map(node.attrs)}


def _options_record(node: Node, table: str) -> dict[str, Any]:
    if not table:
        if node.attrs:
            raise InternalError(f"{node!r} has attributes, but {node.op} has no options")
        return {}
    first, second = option_fields = schema.option_unions()
    union = first if table in schema.enum_values(first) else second
    field = ("builtin_options", "builtin_options2")[option_fields.index(union)]
    return {f"{field}_type": schema.enum_values(union)[table], field: node.attrs}
