# SPDX-License-Identifier: Apache-2.0
"""LiteRT's default kernels: those with which models are usually measured on a desktop.

They round in ways of their own (XNNPACK), so they are nothing to compare bits with.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from tflsplit.errors import EngineError
from tflsplit.interpreters import ChildProgram, RefusedError
from tflsplit.ir import Graph
from tflsplit.runtime.engines import Array
from tflsplit.tflite import write_model


class DesktopProgram:
    """A whole model on LiteRT's default kernels, in one thread."""

    def __init__(self, graph: Graph) -> None:
        """EngineError if LiteRT is not installed or refuses the model."""
        if importlib.util.find_spec("ai_edge_litert") is None:
            raise EngineError("--desktop needs ai-edge-litert: pip install 'tflsplit[host]'")
        try:
            self._program = ChildProgram("desktop", write_model(graph), len(graph.outputs))
        except RefusedError as error:
            raise EngineError(f"LiteRT refuses the model: {error}") from None

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The model's outputs, as fresh arrays, for its inputs in order."""
        return self._program.run(inputs)
