# SPDX-License-Identifier: Apache-2.0
"""Fields of a newer schema are kept where they provably are numbers, and refused otherwise."""

from collections.abc import Iterator

import pytest
import tflite

from tests.tflite.raw import dense_model
from tflsplit.errors import ModelError
from tflsplit.tflite import read_model, write_model
from tflsplit.tflite.schema import table_schema


def patched_slots(table: str, slots: int) -> pytest.MonkeyPatch:
    """Makes the known schema forget the fields behind the first ``slots``."""
    patch = pytest.MonkeyPatch()
    full = table_schema(table)
    older = type(full)(full.name, full.fields[:slots], slots)

    def lookup(name: str) -> object:
        return older if name == table else table_schema(name)

    for module in ("decode", "encode", "freeze"):
        patch.setattr(f"tflsplit.tflite.{module}.table_schema", lookup)
    return patch


@pytest.fixture
def _old_fully_connected() -> Iterator[None]:
    """A schema in which FULLY_CONNECTED has no keep_num_dims (slot 2) and nothing behind it."""
    patch = patched_slots("FullyConnectedOptions", 2)
    yield
    patch.undo()


@pytest.mark.usefixtures("_old_fully_connected")
def test_a_small_number_is_kept_bit_for_bit():
    graph = read_model(dense_model())
    assert graph.nodes[0].attrs["slot_2"] == b"\1"
    assert "keep_num_dims" not in graph.nodes[0].attrs
    options = options_of(write_model(graph))
    assert options.KeepNumDims() is True


def options_of(model: bytes) -> tflite.FullyConnectedOptions:
    """The options of the first operator, read by the package's own accessors."""
    operator = tflite.Model.GetRootAs(model).Subgraphs(0).Operators(0)
    options = tflite.FullyConnectedOptions()
    options.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
    return options


def test_what_may_be_an_offset_is_refused():
    patch = patched_slots("SubGraph", 4)  # forgets the graph's name, a string
    try:
        with pytest.raises(ModelError, match=r"SubGraph has a field in slot 4 .* 'tflite' package"):
            read_model(dense_model())
    finally:
        patch.undo()


def test_a_vector_in_a_tensor_is_refused():
    patch = patched_slots("Tensor", 5)  # forgets is_variable and the shape's signature
    try:
        with pytest.raises(ModelError, match="Tensor has a field in slot 7"):
            read_model(dense_model())
    finally:
        patch.undo()
