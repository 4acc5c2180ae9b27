# SPDX-License-Identifier: Apache-2.0
"""Lines of JSON: what a service is asked for, what it answers, and what it refuses."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest

from tests.splits import tiny
from tflsplit.errors import LinkError
from tflsplit.serving import Event, Served
from tflsplit.serving.requests import answer, event_line, too_long
from tflsplit.split.devices import tensor_labels


class Pretended:
    """In the place of a service: outputs that can be told from others, for the inputs it got."""

    def __init__(self) -> None:
        self.model = tiny("ds_cnn")
        self.boards = ("board A (host 61)", "board B (host 62)")
        self.waits_for = ""
        self.got: dict[str, Any] = {}
        self.restarts = 0
        self.error: LinkError | None = None

    def infer(self, inputs: dict[str, Any]) -> Served:
        if self.error is not None:
            raise self.error
        self.got = inputs
        outputs = tuple(
            np.arange(math.prod(value.shape)).reshape(value.shape).astype(value.dtype.numpy)
            for value in self.model.outputs
        )
        return Served(outputs, 2, 1, 0.25, 0.125)

    def restart(self) -> None:
        self.restarts += 1


@pytest.fixture
def service() -> Pretended:
    return Pretended()


def asked(service: Pretended, request: Any) -> dict[str, Any]:
    line = request if isinstance(request, bytes) else json.dumps(request).encode()
    said = answer(service, line)  # type: ignore[arg-type]
    assert said.endswith("\n")
    assert said.count("\n") == 1
    document: dict[str, Any] = json.loads(said)
    return document


def names(service: Pretended, which: str) -> list[str]:
    labels = tensor_labels(service.model)
    return [labels[value] for value in getattr(service.model, which)]


def test_inputs_come_as_numbers_by_name_or_alone(service: Pretended):
    (value,) = service.model.inputs
    (name,), (output,) = names(service, "inputs"), names(service, "outputs")
    numbers = np.random.default_rng(0).integers(-128, 128, value.shape)
    for given in (numbers.tolist(), {name: numbers.tolist()}):
        said = asked(service, {"id": "x", "inputs": given})
        assert service.got[name].dtype == np.int8
        assert np.array_equal(service.got[name], numbers)
        assert said["id"] == "x"
        assert said["outputs"][output] == service.infer(service.got).outputs[0].tolist()
        assert (said["boards"], said["repeated"], said["seconds"]) == (2, 1, 0.25)


def test_numbers_with_a_point_are_real_ones(service: Pretended):
    (value,) = service.model.inputs
    asked(service, {"inputs": np.full(value.shape, 0.5).tolist()})
    (array,) = service.got.values()
    assert array.dtype == np.float32  # which the service quantizes


def test_bytes_both_ways(service: Pretended):
    (value,) = service.model.inputs
    (output,) = names(service, "outputs")
    data = bytes(range(256)) * (value.size_bytes // 256) + bytes(value.size_bytes % 256)
    given = {"base64": base64.b64encode(data).decode()}
    said = asked(service, {"inputs": given, "base64": True})
    (array,) = service.got.values()
    assert array.tobytes() == data
    expected = service.infer(service.got).outputs[0].tobytes()
    assert base64.b64decode(said["outputs"][output]["base64"]) == expected


@pytest.mark.parametrize(
    ("request_line", "said"),
    [
        (b"{", "one JSON object on one line"),
        (b"[1]", "one JSON object on one line"),
        (b'{"input": 1}', "a request has no 'input'; it has: base64, id"),
        (b'{"id": 1}', "a request has inputs"),
        (b'{"inputs": {"nothing": 1}}', "inputs is an object with"),
        (b'{"inputs": [[1, 2], [3]]}', "not equally long"),
        (b'{"inputs": ["a"]}', "is no array of numbers"),
        (b'{"inputs": [128]}', "stores integers from -128 to 127"),
        (b'{"inputs": {"base64": "??"}}', "is not base64"),
        (b'{"inputs": {"base64": 7}}', "is not base64"),
        (b'{"inputs": {"base64": "AAAA"}}', "has 3 bytes, not"),
        (b'{"inputs": NaN}', "NaN is no number"),
    ],
)
def test_what_is_refused(service: Pretended, request_line: bytes, said: str):
    answered = asked(service, request_line)
    assert said in answered["error"]
    assert not service.got


def test_errors_have_the_requests_id(service: Pretended):
    service.error = LinkError("rank 1 \x1b[2J")
    (value,) = service.model.inputs
    said = asked(service, {"id": [7], "inputs": np.zeros(value.shape, int).tolist()})
    assert said == {"id": [7], "error": r"rank 1 \x1b[2J", "kind": "LinkError"}


def test_state_and_a_new_sequence(service: Pretended):
    assert asked(service, {"status": True}) == {
        "id": None, "boards": list(service.boards), "waits_for": "",
    }  # fmt: skip
    asked(service, {"restart": True})
    assert service.restarts == 1


def test_lines_of_events():
    assert json.loads(event_line(Event("lost", "board A"))) == {"event": "lost", "text": "board A"}
    assert json.loads(event_line(Event("running", "x", 1.23456)))["seconds"] == 1.235
    assert "at most 1,000 bytes" in json.loads(too_long(1000))["error"]
