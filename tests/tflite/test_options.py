# SPDX-License-Identifier: Apache-2.0
"""Every options table of every operator survives writing and reading, with any values."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tflsplit.errors import InternalError
from tflsplit.ir import Attrs, DType, Graph, Node, Value
from tflsplit.tflite import read_model, schema, write_model
from tflsplit.tflite.schema import Field, enum_values, options_table, table_schema

OPERATORS = sorted(op for op in enum_values("BuiltinOperator") if options_table(op))


def scalars(dtype: np.dtype[Any]) -> st.SearchStrategy[Any]:
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind == "f":
        return st.floats(width=32, allow_nan=False)
    info = np.iinfo(dtype)
    return st.integers(int(info.min), int(info.max))


def values(field: Field) -> st.SearchStrategy[Any]:
    if field.kind == schema.STRING:
        return st.text()
    if field.kind == schema.STRINGS:
        return st.lists(st.text()).map(tuple)
    assert field.dtype is not None, "an options table with nested tables: extend this test"
    if field.kind == schema.SCALAR:
        return scalars(field.dtype)
    if field.dtype == np.uint8:
        return st.binary()
    return st.lists(scalars(field.dtype), max_size=5).map(tuple)


def one_node(op: str, attrs: Attrs) -> Graph:
    x, y = (Value(name, (1, 4), DType.INT8) for name in "xy")
    return Graph("main", (x,), (y,), [Node(op, (x,), (y,), attrs)])


@pytest.mark.parametrize("op", OPERATORS)
@settings(max_examples=5)
@given(data=st.data())
def test_every_option_of_every_operator_comes_back(op: str, data: st.DataObject):
    fields = table_schema(options_table(op)).fields
    attrs = Attrs({field.name: data.draw(values(field), field.name) for field in fields})
    node = read_model(write_model(one_node(op, attrs))).nodes[0]
    assert (node.op, dict(node.attrs)) == (op, dict(attrs))


@pytest.mark.parametrize("op", sorted(enum_values("BuiltinOperator").keys() - {"CUSTOM"}))
def test_options_left_out_come_back_with_the_schemas_defaults(op: str):
    node = read_model(write_model(one_node(op, Attrs()))).nodes[0]
    table = options_table(op)
    fields = table_schema(table).fields if table else ()
    defaults = {field.name: field.default for field in fields if field.kind == schema.SCALAR}
    assert dict(node.attrs) == defaults
    assert "options" not in node.file_extra


def test_an_option_that_the_operator_does_not_have_is_a_bug_of_the_caller():
    with pytest.raises(InternalError, match="Conv2DOptions has no field strides"):
        write_model(one_node("CONV_2D", Attrs(strides=(1, 1))))
    with pytest.raises(InternalError, match="RELU has no options"):
        write_model(one_node("RELU", Attrs(alpha=1.0)))


def test_a_value_that_the_field_cannot_hold_is_a_bug_of_the_caller():
    with pytest.raises(InternalError, match=r"Conv2DOptions\.stride_w"):
        write_model(one_node("CONV_2D", Attrs(stride_w=2**40)))
    with pytest.raises(InternalError, match=r"ReshapeOptions\.new_shape"):
        write_model(one_node("RESHAPE", Attrs(new_shape=("a",))))


def test_a_table_that_is_not_the_operators_own_is_kept():
    graph = one_node("RELU", Attrs(alpha=0.5))
    graph.nodes[0].file_extra = Attrs(options="LeakyReluOptions")
    node = read_model(write_model(graph)).nodes[0]
    assert dict(node.attrs) == {"alpha": 0.5}
    assert node.file_extra["options"] == "LeakyReluOptions"
