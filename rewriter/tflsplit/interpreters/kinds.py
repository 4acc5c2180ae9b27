# SPDX-License-Identifier: Apache-2.0
"""The interpreters themselves: TFLM, LiteRT's reference kernels, LiteRT's default ones.

Each takes the bytes of a model and runs it; nothing here knows our graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TFLM, LITERT, DESKTOP = "tflm", "litert", "desktop"


class RefusedError(Exception):
    """An interpreter said no; the message is the exception's, followed by what it printed."""


class Interpreter(Protocol):
    """A model that is ready to run; what has state keeps it from one run to the next."""

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Its outputs, in any shape of as many elements, for inputs of exact shape and type."""


def interpreter(kind: str, model: bytes, outputs: int, arena_bytes: int) -> Interpreter:
    """Load a model; RefusedError if the interpreter does not take it.

    outputs: how many the model has.
    arena_bytes: for TFLM, which allocates nothing else.
    """
    try:
        if kind == TFLM:
            return _Tflm(model, outputs, arena_bytes)
        return _Litert(model, reference=kind == LITERT)
    except (RuntimeError, ValueError, ImportError, MemoryError) as error:
        raise RefusedError(str(error) or type(error).__name__) from None


def print_allocations(model: bytes, arena_bytes: int) -> None:
    """Let TFLM's recording allocator print to standard error what a model takes."""
    from tflite_micro.python.tflite_micro import runtime

    try:
        runtime.Interpreter.from_bytes(model, arena_size=arena_bytes).print_allocations()
    except (RuntimeError, ValueError, ImportError, MemoryError) as error:
        raise RefusedError(str(error) or type(error).__name__) from None


class _Tflm:
    def __init__(self, model: bytes, outputs: int, arena_bytes: int) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self._interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
        self._outputs = outputs

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        for index, array in enumerate(inputs):
            # The wheel takes an array of the tensor's exact shape and type only, in C order.
            self._interpreter.set_input(np.asarray(array, order="C"), index)
        try:
            self._interpreter.invoke()
        except (RuntimeError, MemoryError) as error:
            raise RefusedError(str(error)) from None
        return [np.array(self._interpreter.get_output(index)) for index in range(self._outputs)]


class _Litert:
    """In one thread; reference kernels without delegates, or LiteRT's default ones."""

    def __init__(self, model: bytes, reference: bool) -> None:
        from ai_edge_litert import interpreter as litert

        types = litert.OpResolverType
        self._interpreter = litert.Interpreter(
            model_content=model,
            experimental_op_resolver_type=types.BUILTIN_REF if reference else types.AUTO,
            num_threads=1,
        )
        self._interpreter.allocate_tensors()
        self._inputs = [entry["index"] for entry in self._interpreter.get_input_details()]
        self._outputs = [entry["index"] for entry in self._interpreter.get_output_details()]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        try:
            for index, array in zip(self._inputs, inputs, strict=True):
                self._interpreter.set_tensor(index, array)
            self._interpreter.invoke()
        except (RuntimeError, ValueError, ImportError, MemoryError) as error:
            raise RefusedError(str(error)) from None
        return [self._interpreter.get_tensor(index) for index in self._outputs]
