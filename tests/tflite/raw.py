# SPDX-License-Identifier: Apache-2.0
"""Small .tflite files made with the generated builder functions alone.

They are the independent side of these tests: nothing of ``tflsplit.tflite`` takes part.
"""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite

Quantized = tuple[Sequence[float], Sequence[int], int]


class RawModel:
    """Collects tensors and operators by number, then builds the file."""

    def __init__(self) -> None:
        self.buffers: list[bytes] = [b""]
        self.tensors: list[dict[str, Any]] = []
        self.operators: list[dict[str, Any]] = []
        self.codes: list[tuple[int, int, str]] = []
        self.metadata: list[tuple[str, int]] = []

    def buffer(self, data: bytes) -> int:
        self.buffers.append(data)
        return len(self.buffers) - 1

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: int,
        quantized: Quantized | None = None,
        buffer: int = 0,
        **more: Any,
    ) -> int:
        self.tensors.append(
            {"name": name, "shape": shape, "dtype": dtype, "quantized": quantized,
             "buffer": buffer, **more}
        )  # fmt: skip
        return len(self.tensors) - 1

    def operator(
        self,
        code: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: tuple[str, dict[str, Any]] | None = None,
        version: int = 1,
        custom: str = "",
        custom_options: bytes | None = None,
    ) -> None:
        entry = (code, version, custom)
        if entry not in self.codes:
            self.codes.append(entry)
        self.operators.append(
            {"code": self.codes.index(entry), "inputs": inputs, "outputs": outputs,
             "options": options, "custom_options": custom_options}
        )  # fmt: skip

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        b = flatbuffers.Builder(1024)
        buffers = _tables(b, [_buffer(b, data) for data in self.buffers])
        codes = _tables(b, [_code(b, *entry) for entry in self.codes])
        metadata = _tables(b, [_metadata(b, *entry) for entry in self.metadata])
        tensors = _tables(b, [_tensor(b, **tensor) for tensor in self.tensors])
        operators = _tables(b, [_operator(b, **operator) for operator in self.operators])
        ends = [_ints(b, inputs), _ints(b, outputs), b.CreateString("main")]
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors)
        tflite.SubGraphAddInputs(b, ends[0])
        tflite.SubGraphAddOutputs(b, ends[1])
        tflite.SubGraphAddOperators(b, operators)
        tflite.SubGraphAddName(b, ends[2])
        subgraphs = _tables(b, [tflite.SubGraphEnd(b)])
        description = b.CreateString("raw")
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, codes)
        tflite.ModelAddSubgraphs(b, subgraphs)
        tflite.ModelAddDescription(b, description)
        tflite.ModelAddBuffers(b, buffers)
        if self.metadata:
            tflite.ModelAddMetadata(b, metadata)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())


def dense_model() -> bytes:
    """x int8[1,4] -> FULLY_CONNECTED (int8 weights [3,4], int32 bias) -> RELU -> y int8[1,3]."""
    rng = np.random.default_rng(1)
    raw = RawModel()
    weights = raw.buffer(rng.integers(-127, 128, (3, 4), np.int8).tobytes())
    bias = raw.buffer(rng.integers(-500, 500, 3, np.int32).tobytes())
    types = tflite.TensorType
    x = raw.tensor("x", (1, 4), types.INT8, ([0.5], [-3], 0), signature=(-1, 4))
    w = raw.tensor("w", (3, 4), types.INT8, ([0.25], [0], 0), weights)
    b = raw.tensor("b", (3,), types.INT32, ([0.125], [0], 0), bias)
    h = raw.tensor("h", (1, 3), types.INT8, ([2.0], [7], 0))
    y = raw.tensor("y", (1, 3), types.INT8, ([2.0], [7], 0))
    options = ("FullyConnectedOptions", {"KeepNumDims": True})
    raw.operator(tflite.BuiltinOperator.FULLY_CONNECTED, (x, w, b), (h,), options, version=4)
    raw.operator(tflite.BuiltinOperator.RELU, (h,), (y,), version=2)
    raw.metadata.append(("min_runtime_version", raw.buffer(b"1.5.0\0\0")))
    return raw.build([x], [y])


def _buffer(b: Any, data: bytes) -> int:
    vector = 0
    if data:
        b.StartVector(1, len(data), 16)
        b.head = b.head - len(data)
        b.Bytes[b.head : b.head + len(data)] = data
        vector = b.EndVector()
    tflite.BufferStart(b)
    if data:
        tflite.BufferAddData(b, vector)
    return int(tflite.BufferEnd(b))


def _code(b: Any, code: int, version: int, custom: str) -> int:
    name = b.CreateString(custom) if custom else 0
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
    tflite.OperatorCodeAddBuiltinCode(b, code)
    tflite.OperatorCodeAddVersion(b, version)
    if custom:
        tflite.OperatorCodeAddCustomCode(b, name)
    return int(tflite.OperatorCodeEnd(b))


def _metadata(b: Any, name: str, buffer: int) -> int:
    text = b.CreateString(name)
    tflite.MetadataStart(b)
    tflite.MetadataAddName(b, text)
    tflite.MetadataAddBuffer(b, buffer)
    return int(tflite.MetadataEnd(b))


def _tensor(
    b: Any,
    name: str,
    shape: Sequence[int],
    dtype: int,
    quantized: Quantized | None,
    buffer: int,
    signature: Sequence[int] = (),
    is_variable: bool = False,
) -> int:
    text, extents, before = b.CreateString(name), _ints(b, shape), _ints(b, signature)
    quantization = _quantization(b, *quantized) if quantized else 0
    tflite.TensorStart(b)
    tflite.TensorAddName(b, text)
    tflite.TensorAddShape(b, extents)
    tflite.TensorAddType(b, dtype)
    tflite.TensorAddBuffer(b, buffer)
    tflite.TensorAddIsVariable(b, is_variable)
    if quantized:
        tflite.TensorAddQuantization(b, quantization)
    if signature:
        tflite.TensorAddShapeSignature(b, before)
    return int(tflite.TensorEnd(b))


def _quantization(b: Any, scales: Sequence[float], zero_points: Sequence[int], axis: int) -> int:
    scale = b.CreateNumpyVector(np.array(scales, np.float32))
    zero_point = b.CreateNumpyVector(np.array(zero_points, np.int64))
    tflite.QuantizationParametersStart(b)
    tflite.QuantizationParametersAddScale(b, scale)
    tflite.QuantizationParametersAddZeroPoint(b, zero_point)
    tflite.QuantizationParametersAddQuantizedDimension(b, axis)
    return int(tflite.QuantizationParametersEnd(b))


def _operator(
    b: Any,
    code: int,
    inputs: Sequence[int],
    outputs: Sequence[int],
    options: tuple[str, dict[str, Any]] | None,
    custom_options: bytes | None,
) -> int:
    ends = _ints(b, inputs), _ints(b, outputs)
    table = _options(b, *options) if options else 0
    blob = b.CreateByteVector(custom_options) if custom_options is not None else 0
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, code)
    tflite.OperatorAddInputs(b, ends[0])
    tflite.OperatorAddOutputs(b, ends[1])
    if options:
        tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, options[0]))
        tflite.OperatorAddBuiltinOptions(b, table)
    if custom_options is not None:
        tflite.OperatorAddCustomOptions(b, blob)
    return int(tflite.OperatorEnd(b))


def _options(b: Any, table: str, values: dict[str, Any]) -> int:
    getattr(tflite, f"{table}Start")(b)
    for field, value in values.items():
        getattr(tflite, f"{table}Add{field}")(b, value)
    return int(getattr(tflite, f"{table}End")(b))


def _ints(b: Any, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.array(values, np.int32)))


def _tables(b: Any, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())
