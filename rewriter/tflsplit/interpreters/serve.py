# SPDX-License-Identifier: Apache-2.0
"""The child: loads and runs models for the command that started it, until that hangs up."""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO

import numpy as np

from tflsplit.interpreters import messages
from tflsplit.interpreters.kinds import Array, Interpreter, RefusedError, print_allocations
from tflsplit.interpreters.kinds import interpreter as load

_STDOUT, _STDERR = 1, 2


class Server:
    """Answers one request after the other.

    {"do": "load", "kind", "outputs", "arena_bytes"}, model -> {"number"}
    {"do": "run", "number"}, inputs                         -> outputs
    {"do": "drop", "numbers"}                               -> (nothing)
    {"do": "record", "arena_bytes"}, model                  -> what was printed is the answer
    Whatever an interpreter refuses                         -> {"refused"}
    """

    def __init__(self) -> None:
        self._programs: dict[int, Interpreter] = {}
        self._loaded = 0

    def answer(self, request: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], Any]:
        """The answer's header and arrays."""
        try:
            return getattr(self, f"_{request['do']}")(request, arrays)  # type: ignore[no-any-return]
        except RefusedError as error:
            return {"refused": str(error)}, []

    def _load(self, request: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], Any]:
        program = load(
            request["kind"], arrays[0].tobytes(), request["outputs"], request["arena_bytes"]
        )
        self._loaded += 1
        self._programs[self._loaded] = program
        return {"number": self._loaded}, []

    def _run(self, request: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], Any]:
        return {}, self._programs[request["number"]].run(arrays)

    def _drop(self, request: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], Any]:
        for number in request["numbers"]:
            self._programs.pop(number, None)
        return {}, []

    def _record(self, request: dict[str, Any], arrays: list[Array]) -> tuple[dict[str, Any], Any]:
        print_allocations(arrays[0].tobytes(), request["arena_bytes"])
        return {}, []


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    server = Server()
    while (request := messages.read(requests)) is not None:
        header, arrays = server.answer(*request)
        messages.write(answers, header, [np.asarray(array) for array in arrays])


def main() -> None:
    """The child's main program: requests on standard input, answers on what was standard output.

    Standard output itself becomes standard error, lest a kernel that prints write into an answer.
    """
    answers = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    with os.fdopen(answers, "wb") as stream:
        serve(sys.stdin.buffer, stream)
