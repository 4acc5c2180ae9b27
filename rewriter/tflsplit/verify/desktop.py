# SPDX-License-Identifier: Apache-2.0
"""LiteRT's default kernels: those with which models are usually measured on a desktop.

They round in ways of their own (XNNPACK), so they are nothing to compare bits with.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from tflsplit.errors import EngineError
from tflsplit.ir import Graph
from tflsplit.runtime.engines import Array
from tflsplit.tflite import write_model


class DesktopProgram:
    """A whole model on LiteRT's default kernels, in one thread."""

    def __init__(self, graph: Graph) -> None:
        """EngineError if LiteRT is not installed or refuses the model."""
        if importlib.util.find_spec("ai_edge_litert") is None:
            raise EngineError("--desktop needs ai-edge-litert: pip install 'tflsplit[host]'")
        from ai_edge_litert import interpreter as litert

        try:
            self._interpreter = litert.Interpreter(model_content=write_model(graph), num_threads=1)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"LiteRT refuses the model: {error}") from None
        self._inputs = [entry["index"] for entry in self._interpreter.get_input_details()]
        self._outputs = [entry["index"] for entry in self._interpreter.get_output_details()]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """The model's outputs, as fresh arrays, for its inputs in order."""
        for index, array in zip(self._inputs, inputs, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
