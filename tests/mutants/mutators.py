# SPDX-License-Identifier: Apache-2.0
"""Damages to a .tflite file: through its fields, each of a kind of its own, and to its raw bytes.

A mutator changes the record of a ``Model`` (``tflsplit.tflite.decode``) in place and returns what
it did, for the report; None where the model has nothing for it to change.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from tflsplit.tflite import schema
from tflsplit.tflite.decode import Decoder
from tflsplit.tflite.encode import encode
from tflsplit.tflite.flexmap import decode_map, encode_map

Record = dict[str, Any]
Mutator = Callable[[Record, random.Random], str | None]

EXTENTS = (-1, 0, 1, 2, 3, 5, 7, 8, 16, 64, 255, 1000, 65536, 2**20, 2**30, 2**31 - 1)
NUMBERS = (-(2**31), -65536, -129, -2, -1, 0, 1, 2, 3, 4, 7, 127, 255, 32768, 2**30, 2**31 - 1)
SCALES = (
    0.0,
    -1.0,
    1e-38,
    1e-12,
    1e-6,
    0.1,
    0.5,
    1.0,
    2.0,
    1e6,
    1e12,
    1e38,
    float("nan"),
    float("inf"),
)


def _graph(model: Record) -> Record:
    graph: Record = model["subgraphs"][0]
    return graph


def _tensor(model: Record, rng: random.Random) -> tuple[int, Record]:
    """A tensor; rather one that some operator computes."""
    graph = _graph(model)
    tensors = graph["tensors"]
    named = (int(i) for op in graph["operators"] for i in op.get("outputs", ()))
    made = [index for index in named if 0 <= index < len(tensors)]  # after damage to indices
    index = rng.choice(made) if made and rng.random() < 0.6 else rng.randrange(len(tensors))
    return index, tensors[index]


def _operator(model: Record, rng: random.Random) -> tuple[int, Record] | None:
    operators = _graph(model)["operators"]
    if not operators:
        return None
    index = rng.randrange(len(operators))
    return index, operators[index]


def _integers(record: Record, field: str) -> list[int]:
    return [int(number) for number in record.get(field, ())]


def shape(model: Record, rng: random.Random) -> str | None:
    """Another extent, or other dimensions, of a tensor."""
    index, tensor = _tensor(model, rng)
    extents = _integers(tensor, "shape")
    before = list(extents)
    kind = rng.randrange(8)
    if kind == 0:
        extents.insert(rng.randint(0, len(extents)), rng.choice((1, 1, 2, 3)))
    elif kind == 1 and extents:
        extents.pop(rng.randrange(len(extents)))
    elif kind == 2:
        rng.shuffle(extents)
    elif kind == 3:
        extents = [1] * len(extents)
    elif extents:
        at = rng.randrange(len(extents))
        near = (extents[at] - 1, extents[at] + 1, 2 * extents[at], extents[at] // 2)
        extents[at] = rng.choice((*EXTENTS, *near, *near))
    tensor["shape"] = np.array(extents, np.int32)
    tensor.pop("shape_signature", None)
    return f"tensor {index}: {before} -> {extents}"


def element_type(model: Record, rng: random.Random) -> str | None:
    """Another type of a tensor."""
    index, tensor = _tensor(model, rng)
    tensor["type"] = rng.choice([*schema.enum_values("TensorType").values(), 99])
    return f"tensor {index}: type {tensor['type']}"


def quantization(model: Record, rng: random.Random) -> str | None:
    """Scales, zero points or axis of a tensor."""
    index, tensor = _tensor(model, rng)
    record = tensor.setdefault("quantization", {"quantized_dimension": 0, "details_type": 0})
    scales, points = list(record.get("scale", ())), _integers(record, "zero_point")
    kind = rng.randrange(6)
    if kind == 0:
        tensor.pop("quantization")
    elif kind in (1, 2):
        scales = [rng.choice(SCALES) * rng.choice((1, 1, 3)) for _ in scales or [0]]
    elif kind == 3:
        points = [rng.choice(NUMBERS) for _ in points or [0]]
    elif kind == 4:
        record["quantized_dimension"] = rng.choice((-1, 0, 1, 2, 3, 4, 99))
    else:
        count = rng.choice((0, 1, 2, len(scales) + 1, max(0, len(scales) - 1)))
        scales, points = (scales or [0.5]) * count, (points or [0]) * count
        scales, points = scales[:count], points[:count]
    with np.errstate(over="ignore"):
        record["scale"] = np.array(scales, np.float64).astype(np.float32)
    record["zero_point"] = np.array(points, np.int64)
    return f"tensor {index}: kind {kind}, scales {scales[:3]}, zero points {points[:3]}"


def option(model: Record, rng: random.Random) -> str | None:
    """Another value of one option of an operator."""
    found = _operator(model, rng)
    if found is None:
        return None
    index, operator = found
    options = operator.get("builtin_options") or operator.get("builtin_options2")
    names = [name for name, value in (options or {}).items() if np.isscalar(value)]
    if options is None or not names:
        return None
    name = rng.choice(names)
    options[name] = _other(options[name], name, rng)
    return f"operator {index}: {name} = {options[name]}"


def _other(value: Any, name: str, rng: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return rng.choice((*SCALES, -0.5))
    small = any(word in name for word in ("padding", "activation", "format", "mode", "type"))
    return rng.choice((-1, 0, 1, 2, 3, 5, 100)) if small else rng.choice(NUMBERS)


def indices(model: Record, rng: random.Random) -> str | None:
    """Operands or results of an operator: left out, added, exchanged, others instead."""
    found = _operator(model, rng)
    if found is None:
        return None
    index, operator = found
    field = rng.choice(("inputs", "inputs", "inputs", "outputs"))
    numbers = _integers(operator, field)
    before = list(numbers)
    tensors = len(_graph(model)["tensors"])
    kind = rng.randrange(6)
    if kind == 0 and numbers:
        numbers.pop(rng.randrange(len(numbers)))
    elif kind == 1:
        numbers.insert(rng.randint(0, len(numbers)), rng.randrange(tensors))
    elif kind == 2:
        rng.shuffle(numbers)
    elif kind == 3:
        numbers = []
    elif numbers:
        numbers[rng.randrange(len(numbers))] = rng.choice(
            (-1, rng.randrange(tensors), tensors, 2**31 - 1)
        )
    operator[field] = np.array(numbers, np.int32)
    return f"operator {index}: {field} {before} -> {numbers}"


def kind_of_operator(model: Record, rng: random.Random) -> str | None:
    """Another operator with the same operands, results and options."""
    codes = model.get("operator_codes", [])
    if not codes:
        return None
    code = rng.choice(codes)
    number = rng.choice(list(schema.enum_values("BuiltinOperator").values()))
    if rng.random() < 0.3 and len(codes) > 1:
        number = max(rng.choice(codes)[key] for key in ("builtin_code", "deprecated_builtin_code"))
    code["builtin_code"], code["deprecated_builtin_code"] = number, min(number, 127)
    return f"operator code {schema.enum_names('BuiltinOperator').get(number)}"


def constant(model: Record, rng: random.Random) -> str | None:
    """Contents of a small constant: axes, shapes, pads, indices; or the size of any."""
    tensors, buffers = _graph(model)["tensors"], model["buffers"]
    numbers = [number for number, record in enumerate(buffers) if len(record.get("data", ()))]
    held = [(i, t) for i, t in enumerate(tensors) if t["buffer"] in numbers]
    small = [(i, t) for i, t in held if len(buffers[t["buffer"]]["data"]) <= 64]
    if not held:
        return None
    index, tensor = rng.choice(small if small and rng.random() < 0.9 else held)
    data = bytearray(buffers[tensor["buffer"]]["data"].tobytes())
    if rng.random() < 0.15:
        data = data[: rng.randrange(len(data))] if rng.random() < 0.5 else data + b"\1\2\3\4"
    elif len(data) >= 4:
        at = rng.randrange(len(data) // 4) * 4
        data[at : at + 4] = struct.pack("<i", rng.choice(NUMBERS))
    else:
        data[rng.randrange(len(data))] = rng.randrange(256)
    buffers[tensor["buffer"]]["data"] = np.frombuffer(bytes(data), np.uint8)
    return f"contents of tensor {index}"


def buffer(model: Record, rng: random.Random) -> str | None:
    """Another buffer of a tensor, or none."""
    index, tensor = _tensor(model, rng)
    tensor["buffer"] = rng.choice((0, rng.randrange(len(model["buffers"])), 2**31))
    return f"tensor {index}: buffer {tensor['buffer']}"


def border(model: Record, rng: random.Random) -> str | None:
    """Other inputs or outputs of the graph; often it is cut where a tensor is."""
    graph = _graph(model)
    field = rng.choice(("inputs", "outputs"))
    numbers = _integers(graph, field)
    index, _ = _tensor(model, rng)
    kind = rng.randrange(4)
    if kind == 0:
        numbers = [index]
    elif kind == 1:
        numbers.append(index)
    elif numbers:
        numbers.pop(rng.randrange(len(numbers)))
    graph[field] = np.array(numbers, np.int32)
    return f"{field} {numbers}"


def cut(model: Record, rng: random.Random) -> str | None:
    """The graph ends at a tensor: what comes behind is gone."""
    graph = _graph(model)
    found = _operator(model, rng)
    if found is None:
        return None
    index, operator = found
    graph["operators"] = graph["operators"][: index + 1]
    graph["outputs"] = np.array(_integers(operator, "outputs"), np.int32)
    return f"ends at operator {index}"


def order(model: Record, rng: random.Random) -> str | None:
    """Operators left out, twice, or in another order."""
    operators = _graph(model)["operators"]
    if not operators:
        return None
    at, kind = rng.randrange(len(operators)), rng.randrange(3)
    if kind == 0:
        operators.pop(at)
    elif kind == 1:
        operators.append(operators[at])
    else:
        operators.insert(rng.randrange(len(operators)), operators.pop(at))
    return f"operators: kind {kind} at {at}"


def custom_options(model: Record, rng: random.Random) -> str | None:
    """A number in the options of one of our own operators, or any byte of another's."""
    operators = _graph(model)["operators"]
    held = [(i, op) for i, op in enumerate(operators) if len(op.get("custom_options", ()))]
    if not held:
        return None
    index, operator = rng.choice(held)
    raw = operator["custom_options"].tobytes()
    options = decode_map(raw)
    names = [name for name, value in (options or {}).items() if not isinstance(value, str)]
    if options is None or not names or rng.random() < 0.2:
        data = bytearray(raw)
        data[rng.randrange(len(data))] = rng.randrange(256)
        operator["custom_options"] = np.frombuffer(bytes(data), np.uint8)
        return f"operator {index}: a byte of its options"
    name = rng.choice(names)
    value = options[name]
    if isinstance(value, tuple):
        numbers = list(value)
        kind = rng.randrange(3)
        if kind == 0 and numbers:
            numbers.pop()
        elif kind == 1 or not numbers:
            numbers.append(rng.choice(NUMBERS))
        else:
            at = rng.randrange(len(numbers))
            near = (numbers[at] + 1, numbers[at] - 1) if isinstance(numbers[at], int) else ()
            numbers[at] = rng.choice((*NUMBERS, *near, *near, *near))
        value = tuple(numbers)
    else:
        value = rng.choice((*NUMBERS, value + 1 if isinstance(value, int) else 1))
    changed = options.replace(**{name: value})
    operator["custom_options"] = np.frombuffer(encode_map(changed), np.uint8)
    return f"operator {index}: {name} = {value}"


def variable(model: Record, rng: random.Random) -> str | None:
    """A tensor becomes one with state, or no longer is."""
    index, tensor = _tensor(model, rng)
    tensor["is_variable"] = not tensor["is_variable"]
    return f"tensor {index}: is_variable {tensor['is_variable']}"


MUTATORS: tuple[Mutator, ...] = (
    shape, shape, shape, element_type, quantization, quantization, option, option, option,
    indices, indices, custom_options, custom_options, kind_of_operator, constant, constant, buffer,
    border, order, variable,
)  # fmt: skip


def raw_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bits, bytes and words of the file as it lies on the disk."""
    mutant = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        position = rng.randrange(8, len(data))
        kind = rng.randrange(3)
        if kind == 0:
            mutant[position] ^= 1 << rng.randrange(8)
        elif kind == 1:
            mutant[position] = rng.randrange(256)
        else:
            word = min(position, len(data) - 4) // 4 * 4
            mutant[word : word + 4] = struct.pack("<i", rng.choice(NUMBERS))
    return bytes(mutant)


def mutated(data: bytes, rng: random.Random) -> tuple[bytes, str, str]:
    """A damaged copy of a file, the kind of (the first) damage, and what was done.

    Nine of ten are damaged through their fields, by one to three mutators, and some end early.
    """
    if rng.random() < 0.1:
        return raw_bytes(data, rng), "raw_bytes", ""
    model = Decoder(data).root()
    kind, done = "", []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutator = rng.choice(MUTATORS)
        text = mutator(model, rng)
        if text is not None:
            kind = kind or mutator.__name__
            done.append(f"{mutator.__name__}: {text}")
            if mutator is shape and rng.random() < 0.2:
                done.append(f"cut: {cut(model, rng)}")
    return encode(model), kind or "none", "; ".join(done)
