# SPDX-License-Identifier: Apache-2.0
"""Tensor records of the file to ``Value``s of the graph, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import InternalError, ModelError
from tflsplit.ir import Attrs, DType, Quantization, Value
from tflsplit.tflite import schema, validate
from tflsplit.tflite.decode import Record
from tflsplit.tflite.freeze import freeze, leftovers
from tflsplit.tflite.unknown import slot_number

# Where the file had the tensor; only a hint, to write it there again.
INDEX = "index"

_ELEMENTS_OF_NO_SIZE = (DType.STRING, DType.RESOURCE, DType.VARIANT)
_READ = ("shape", "type", "buffer", "name", "quantization", "is_variable")
# Unknown fields of the quantization table, kept beside the tensor's own.
_QUANTIZATION = "quantization."


def read_value(index: int, record: Record, buffer: NDArray[np.uint8]) -> Value:
    """The tensor of a record, checked; its contents are a view of ``buffer``.

    buffer: the bytes of the record's buffer; empty for a computed tensor.
    Raises ModelError naming the tensor.
    """
    name = record.get("name", "")
    what = f"tensor {index} ({name})" if name else f"tensor {index}"
    shape = _integers(record, "shape")
    validate.check_shape(what, shape, _integers(record, "shape_signature"))
    dtype = _dtype(what, record["type"])
    value = Value(name, shape, dtype, is_variable=record["is_variable"])
    value.quantization, unknown = _quantization(what, record.get("quantization"), shape, dtype)
    value.data = _contents(what, value, buffer, "sparsity" in record)
    value.file_extra = Attrs({INDEX: index, **leftovers(record, "Tensor", _READ), **unknown})
    return value


def write_value(value: Value, buffer: int) -> dict[str, Any]:
    """The record of a tensor whose contents are in the buffer of that number."""
    extra: dict[str, Any] = dict(value.file_extra)
    extra.pop(INDEX, None)
    unknown = {key: extra.pop(key) for key in list(extra) if key.startswith(_QUANTIZATION)}
    if not _signature_fits(value):
        extra.pop("shape_signature", None)
    record: dict[str, Any] = {
        "name": value.name,
        "shape": value.shape,
        "type": schema.enum_values("TensorType")[value.dtype.value],
        "buffer": buffer,
        "is_variable": value.is_variable,
        **extra,
    }
    if value.quantization is not None:
        record["quantization"] = _quantization_record(value.quantization, unknown)
    return record


def _integers(record: Record, field: str) -> tuple[int, ...]:
    return tuple(record[field].tolist()) if field in record else ()


def _dtype(what: str, number: int) -> DType:
    name = schema.enum_names("TensorType").get(number)
    if name is None or name not in DType.__members__:
        raise ModelError(
            f"{what} has element type {number}, which is not known; {validate.DAMAGED}, "
            "or write it with an older converter"
        )
    return DType[name]


def _quantization(
    what: str, record: Record | None, shape: tuple[int, ...], dtype: DType
) -> tuple[Quantization | None, dict[str, bytes]]:
    if record is None:
        return None, {}
    scales = freeze(record.get("scale", ()))
    quantization = Quantization(
        scales=scales,
        zero_points=freeze(record.get("zero_point", ())),
        axis=validate.harmless_axis(record["quantized_dimension"], len(scales), shape),
        minimum=freeze(record.get("min", ())),
        maximum=freeze(record.get("max", ())),
        details=freeze(record["details"].get("custom", b"")) if "details" in record else None,
    )
    validate.check_quantization(what, quantization, shape, dtype)
    unknown = {key: value for key, value in record.items() if slot_number(key) is not None}
    return quantization, {_QUANTIZATION + key: value for key, value in unknown.items()}


def _quantization_record(quantization: Quantization, unknown: Mapping[str, Any]) -> dict[str, Any]:
    vectors = {
        "scale": quantization.scales,
        "zero_point": quantization.zero_points,
        "min": quantization.minimum,
        "max": quantization.maximum,
    }
    record: dict[str, Any] = {name: values for name, values in vectors.items() if values}
    record["quantized_dimension"] = quantization.axis
    if quantization.details is not None:
        record["details_type"] = schema.enum_values("QuantizationDetails")["CustomQuantization"]
        record["details"] = {"custom": quantization.details}
    return record | {key.removeprefix(_QUANTIZATION): raw for key, raw in unknown.items()}


def _contents(
    what: str, value: Value, buffer: NDArray[np.uint8], is_sparse: bool
) -> NDArray[Any] | None:
    if not buffer.size:
        return None
    if value.dtype in _ELEMENTS_OF_NO_SIZE:
        return buffer
    if is_sparse and buffer.size != value.size_bytes:
        raise ModelError(
            f"{what} holds compressed sparse weights, which TFLM cannot read; "
            "convert the model without sparsity"
        )
    packed = not value.dtype.itemsize
    needed = value.size_bytes if value.dtype is not DType.BFLOAT16 else 2 * value.size
    validate.check_contents(what, buffer.size, needed)
    return buffer if packed else buffer.view(value.dtype.numpy).reshape(value.shape)


def raw_bytes(value: Value) -> NDArray[np.uint8]:
    """A constant's contents as contiguous bytes; no copy if they are contiguous."""
    data = value.data
    if data is None:
        raise InternalError(f"{value!r} is no constant")
    if value.dtype.itemsize and data.dtype.itemsize != value.dtype.itemsize:
        raise InternalError(f"{value!r} holds elements of {data.dtype}")
    if value.dtype.itemsize and data.shape != value.shape:
        raise InternalError(f"{value!r} holds an array of shape {data.shape}")
    return np.ascontiguousarray(data).reshape(-1).view(np.uint8)


def _signature_fits(value: Value) -> bool:
    """Whether ``shape_signature`` still describes the shape (a shard's would not)."""
    signature = value.file_extra.integers("shape_signature")
    return len(signature) == len(value.shape) and all(
        wanted in (-1, size) for wanted, size in zip(signature, value.shape, strict=True)
    )
