# SPDX-License-Identifier: Apache-2.0
"""Engines that run stock operators on this computer.

``tflm``: TFLM's own kernels, from the PyPI wheel ``tflite-micro``: the oracle, the same bits as on
a Cortex-M.  ``litert``: LiteRT's reference kernels (``ai-edge-litert``, BUILTIN_REF), where that
wheel does not exist; split and unsplit must then both run on it.

Both run in a child process (``interpreters``): a model that breaks them does not break the command.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tflsplit.errors import EngineError
from tflsplit.interpreters import ChildProgram, InterpreterError, RefusedError
from tflsplit.ir import Graph
from tflsplit.tflite import write_model

Array = NDArray[Any]


class Program(Protocol):
    """A graph that is ready to run."""

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The graph's outputs, as fresh arrays, for its inputs in order."""


Engine = Callable[[Graph], Program]
"""Makes a program of a graph of stock operators; EngineError if the engine refuses it."""


class _ChildEngine:
    """A graph in the child process that runs interpreters."""

    name, kind = "", ""

    def __init__(self, graph: Graph) -> None:
        """Load it; raises EngineError if the interpreter refuses it, or dies of it."""
        self._graph = graph
        with self._telling():
            self._program = ChildProgram(
                self.kind, write_model(graph), len(graph.outputs), _host_arena_bytes(graph)
            )

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The graph's outputs; see ``Program``.  Raises EngineError as loading does."""
        exact = [
            np.asarray(array.reshape(value.shape), value.dtype.numpy)
            for value, array in zip(self._graph.inputs, inputs, strict=True)
        ]
        with self._telling():
            outputs = self._program.run(exact)
        return [
            array.reshape(value.shape)
            for array, value in zip(outputs, self._graph.outputs, strict=True)
        ]

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Say which operators it was that the interpreter did not like."""
        ops = f"a graph of {', '.join(sorted({node.op for node in self._graph.nodes}))}"
        try:
            yield
        except RefusedError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            why = " / ".join(lines[1:][-2:] or lines)
            raise EngineError(f"{self.name} refuses {ops}: {why}") from None
        except InterpreterError as error:
            raise InterpreterError(error.happened, f"in {ops}", error.model) from None


class TflmProgram(_ChildEngine):
    """A graph on TFLM's kernels."""

    name, kind = "TFLM", "tflm"


class LitertProgram(_ChildEngine):
    """A graph on LiteRT's reference kernels, in one thread and without delegates."""

    name, kind = "LiteRT", "litert"


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


_MAX_ARENA_BYTES = (1 << 31) - 16  # TFLM counts them with 32 bits and a sign


def _host_arena_bytes(graph: Graph) -> int:
    """Ample room for a graph on this host: every tensor at once, and TFLM's own structures."""
    tensors = sum(value.size_bytes + 256 for value in graph.values() if not value.is_constant)
    channels = sum(value.size for value in graph.values() if len(value.shape) == 1)
    return min(2 * tensors + 64 * channels + 2048 * len(graph.nodes) + (1 << 18), _MAX_ARENA_BYTES)
