# SPDX-License-Identifier: Apache-2.0
"""Engines that run stock operators on this computer.

``tflm``: TFLM's own kernels, from the PyPI wheel ``tflite-micro``: the oracle, the same bits as on
a Cortex-M.  ``litert``: LiteRT's reference kernels (``ai-edge-litert``, BUILTIN_REF), where that
wheel does not exist; split and unsplit must then both run on it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import EngineError
from tflsplit.ir import Graph
from tflsplit.tflite import write_model

Array = NDArray[Any]


class Program(Protocol):
    """A graph that is ready to run."""

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The graph's outputs, as fresh arrays, for its inputs in order."""


Engine = Callable[[Graph], Program]
"""Makes a program of a graph of stock operators; EngineError if the engine refuses it."""


class TflmProgram:
    """A graph on TFLM's kernels."""

    def __init__(self, graph: Graph) -> None:
        from tflite_micro.python.tflite_micro import runtime

        self._graph = graph
        with engine_messages() as messages:
            try:
                self._interpreter = runtime.Interpreter.from_bytes(
                    write_model(graph), arena_size=_host_arena_bytes(graph)
                )
            except (RuntimeError, ValueError) as error:
                raise _refusal("TFLM", graph, error, messages()) from None

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The graph's outputs; see ``Program``."""
        interpreter = self._interpreter
        for index, (value, array) in enumerate(zip(self._graph.inputs, inputs, strict=True)):
            # The wheel takes an array of the tensor's exact shape and type only.
            interpreter.set_input(
                np.ascontiguousarray(array.reshape(value.shape), value.dtype.numpy), index
            )
        with engine_messages() as messages:
            try:
                interpreter.invoke()
            except RuntimeError as error:
                raise _refusal("TFLM", self._graph, error, messages()) from None
        return [
            np.array(interpreter.get_output(index)).reshape(value.shape)
            for index, value in enumerate(self._graph.outputs)
        ]


class LitertProgram:
    """A graph on LiteRT's reference kernels, in one thread and without delegates."""

    def __init__(self, graph: Graph) -> None:
        from ai_edge_litert import interpreter as litert

        self._graph = graph
        try:
            self._interpreter = litert.Interpreter(
                model_content=write_model(graph),
                experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
                num_threads=1,
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise _refusal("LiteRT", graph, error, "") from None
        self._inputs = [d["index"] for d in self._interpreter.get_input_details()]
        self._outputs = [d["index"] for d in self._interpreter.get_output_details()]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The graph's outputs; see ``Program``."""
        for index, value, array in zip(self._inputs, self._graph.inputs, inputs, strict=True):
            self._interpreter.set_tensor(index, array.reshape(value.shape))
        self._interpreter.invoke()
        return [
            self._interpreter.get_tensor(index).reshape(value.shape)
            for index, value in zip(self._outputs, self._graph.outputs, strict=True)
        ]


_ENGINES: dict[str, tuple[str, Engine, str]] = {
    "tflm": ("tflite_micro", TflmProgram, "tflite-micro (Linux on x86-64 only)"),
    "litert": ("ai_edge_litert", LitertProgram, "ai-edge-litert"),
}


def available_engines() -> tuple[str, ...]:
    """The engines whose packages are installed, the oracle first."""
    return tuple(
        name for name, (module, _, _) in _ENGINES.items() if importlib.util.find_spec(module)
    )


def engine(name: str | None = None) -> tuple[str, Engine]:
    """The named engine, or the best that is installed; EngineError if it is not there."""
    available = available_engines()
    if name is None and available:
        name = available[0]
    if name is None or name not in available:
        wanted = _ENGINES[name][2] if name in _ENGINES else "tflite-micro or ai-edge-litert"
        instead = f", or use --engine {available[0]}" if available else ""
        raise EngineError(
            f"the engine is missing: {wanted} is not installed; "
            f"pip install 'tflsplit[host]'{instead}"
        )
    return name, _ENGINES[name][1]


def _host_arena_bytes(graph: Graph) -> int:
    """Ample room for a graph on this host: every tensor at once, and TFLM's own structures."""
    tensors = sum(value.size_bytes + 256 for value in graph.values() if not value.is_constant)
    channels = sum(value.size for value in graph.values() if len(value.shape) == 1)
    return 2 * tensors + 64 * channels + 2048 * len(graph.nodes) + (1 << 18)


def _refusal(engine_name: str, graph: Graph, error: Exception, messages: str) -> EngineError:
    last = [line for line in messages.splitlines() if line.strip()][-2:] or [str(error)]
    ops = ", ".join(sorted({node.op for node in graph.nodes}))
    return EngineError(f"{engine_name} refuses a graph of {ops}: {' / '.join(last)}")


@contextmanager
def engine_messages() -> Iterator[Callable[[], str]]:
    """Catch what C++ code writes to file descriptor 2; yields a function that returns it so far.

    TFLM tells the reason of a failure there and nowhere else.  Not for several threads at once.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def so_far() -> str:
            file.seek(0)
            return file.read().decode(errors="replace")

        try:
            yield so_far
        finally:
            os.dup2(saved, 2)
            os.close(saved)
