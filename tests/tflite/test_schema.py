# SPDX-License-Identifier: Apache-2.0
"""The schema learned from the package agrees with the package."""

import inspect

import pytest
import tflite

from tflsplit.tflite import schema
from tflsplit.tflite.schema import enum_names, enum_values, options_table, table_schema

TABLES = sorted(
    {
        name
        for name, thing in vars(tflite).items()
        if inspect.isclass(thing) and hasattr(thing, "GetRootAs")
    }
)


@pytest.mark.parametrize("name", TABLES)
def test_every_generated_add_function_is_a_field_in_its_own_slot(name: str):
    table = table_schema(name)
    added = [word for word in vars(tflite) if word.startswith(f"{name}Add")]
    assert len(table.fields) == len(added)
    slots = [field.slot for field in table.fields]
    assert len(set(slots)) == len(slots)
    assert all(0 <= slot < table.slots for slot in slots)


def test_fields_have_the_schemas_names_types_and_defaults():
    fields = {field.name: field for field in table_schema("Conv2DOptions").fields}
    assert list(fields) == [
        "padding",
        "stride_w",
        "stride_h",
        "fused_activation_function",
        "dilation_w_factor",
        "dilation_h_factor",
        "quantized_bias_type",
    ]
    assert fields["dilation_h_factor"].default == 1
    assert str(fields["stride_w"].dtype) == "int32"


def test_kinds_of_fields():
    kinds = {field.name: (field.kind, field.target) for field in table_schema("Operator").fields}
    assert kinds["builtin_options"] == (schema.UNION, "BuiltinOptions")
    assert kinds["mutating_variable_inputs"] == (schema.SCALARS, "")
    fields = {field.name: (field.kind, field.target) for field in table_schema("Tensor").fields}
    assert fields["sparsity"] == (schema.TABLE, "SparsityParameters")
    assert fields["variant_tensors"] == (schema.TABLES, "VariantSubType")
    assert fields["name"] == (schema.STRING, "")


def test_the_new_builtin_code_is_not_taken_for_the_old_one():
    # The package's getter falls back to the old field; their slots must still differ.
    fields = {field.name: field.slot for field in table_schema("OperatorCode").fields}
    assert (fields["deprecated_builtin_code"], fields["builtin_code"]) == (0, 3)


def test_every_options_table_belongs_to_an_operator():
    tables = {table for union in schema.option_unions() for table in enum_values(union)}
    assert {options_table(op) for op in enum_values("BuiltinOperator")} == (tables - {"NONE"}) | {
        ""
    }


@pytest.mark.parametrize(
    ("op", "table"),
    [
        ("CONV_2D", "Conv2DOptions"),
        ("PADV2", "PadV2Options"),
        ("MEAN", "ReducerOptions"),
        ("MAX_POOL_2D", "Pool2DOptions"),
        ("RELU", ""),
        ("BITCAST", "BitcastOptions"),
    ],
)
def test_options_by_operator(op: str, table: str):
    assert options_table(op) == table


def test_enum_names_is_the_inverse_of_enum_values():
    assert enum_names("TensorType")[enum_values("TensorType")["INT8"]] == "INT8"
