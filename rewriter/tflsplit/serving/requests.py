# SPDX-License-Identifier: Apache-2.0
"""Requests to a service and its answers, as JSON (docs/running_a_cluster.md)."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import numpy as np

from tflsplit.bundle.plan_json import Json
from tflsplit.bundle.strict_json import strict_loads
from tflsplit.errors import UserError
from tflsplit.ir import Value
from tflsplit.runtime.engines import Array
from tflsplit.runtime.load import InputError
from tflsplit.serving.events import Event
from tflsplit.serving.service import Service
from tflsplit.split.devices import tensor_labels
from tflsplit.untrusted import json_lines, one_line

_KEYS = {"id", "inputs", "base64", "status", "restart"}


def answer(service: Service, line: bytes) -> str:
    """What a service says to one line; every line has one answer, with the request's ``id``."""
    number: Any = None
    try:
        request = _request(line)
        number = request.get("id")
        return _line({"id": number} | _answer(service, request))
    except UserError as error:
        return _line({"id": number, "error": one_line(str(error)), "kind": type(error).__name__})


def event_line(event: Event) -> str:
    """What is told of an event."""
    seconds = {} if event.seconds is None else {"seconds": round(event.seconds, 3)}
    return _line({"event": event.kind, "text": one_line(event.text), **seconds})


def too_long(most: int) -> str:
    """The answer to a line that was not read to its end."""
    return _line(
        {"id": None, "error": f"a request has at most {most:,} bytes", "kind": "UserError"}
    )


def _line(document: Json) -> str:
    return json_lines(json.dumps(document, ensure_ascii=False)) + "\n"


def _request(line: bytes) -> Json:
    try:
        request = strict_loads(line)
    except ValueError as error:
        raise UserError(f"a request is one JSON object on one line: {error}") from None
    if not isinstance(request, dict):
        raise UserError("a request is one JSON object on one line")
    if unknown := sorted(request.keys() - _KEYS):
        raise UserError(f"a request has no {unknown[0][:40]!r}; it has: {', '.join(sorted(_KEYS))}")
    return request


def _answer(service: Service, request: Json) -> Json:
    if request.get("status"):
        return {"boards": list(service.boards), "waits_for": service.waits_for}
    if request.get("restart"):
        service.restart()
        return {"boards": list(service.boards)}
    if "inputs" not in request:
        raise UserError("a request has inputs, or is a status or a restart")
    served = service.infer(_inputs(service, request["inputs"]))
    names = [label for _, label in _labelled(service, "outputs")]
    given = _base64 if request.get("base64") else np.ndarray.tolist
    return {
        "outputs": {name: given(one) for name, one in zip(names, served.outputs, strict=True)},
        "boards": served.boards,
        "repeated": served.repeated,
        "seconds": round(served.seconds, 6),
    }


def _labelled(service: Service, which: str) -> list[tuple[Value, str]]:
    graph = service.model
    labels = tensor_labels(graph)
    values: tuple[Value, ...] = tuple(getattr(graph, which))
    return [(value, labels[value]) for value in values]


def _inputs(service: Service, given: Any) -> dict[str, Array]:
    """By name; of a model with one input, that alone will do."""
    values = {label: value for value, label in _labelled(service, "inputs")}
    is_named = isinstance(given, dict) and "base64" not in given
    if not is_named and len(values) == 1:
        given = dict.fromkeys(values, given)
    if not isinstance(given, dict) or given.keys() != values.keys():
        raise InputError(f"inputs is an object with {', '.join(values)}")
    return {name: _array(values[name], name, given[name]) for name in values}


def _array(value: Value, name: str, given: Any) -> Array:
    """Integers are what the tensor stores; numbers with a point are real ones, as float32."""
    wanted = value.dtype.numpy
    if isinstance(given, dict) and given.keys() == {"base64"}:
        return _decoded(value, name, given["base64"])
    try:
        array = np.asarray(given)
    except ValueError:
        raise InputError(f"{name!r} is no array: its rows are not equally long") from None
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind not in "iu":
        raise InputError(f"{name!r} is no array of numbers")
    if wanted.kind in "iu":
        low, high = np.iinfo(wanted.name).min, np.iinfo(wanted.name).max
        if array.size and not (low <= array.min() and array.max() <= high):
            raise InputError(f"{name!r} stores integers from {low} to {high}")
    return array.astype(wanted)


def _decoded(value: Value, name: str, text: Any) -> Array:
    """The tensor's bytes as it stores them, row by row, little-endian."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InputError(f"{name!r} is not base64") from None
    if len(data) != value.size_bytes:
        raise InputError(f"{name!r} has {len(data):,} bytes, not {value.size_bytes:,}")
    return np.frombuffer(data, value.dtype.numpy.newbyteorder("<")).reshape(value.shape)


def _base64(array: Array) -> Json:
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return {"base64": base64.b64encode(data).decode()}
