# SPDX-License-Identifier: Apache-2.0
"""The unsplit model on an engine, with every tensor visible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tflsplit.devices import tensor_labels
from tflsplit.ir import Graph, Node, Value
from tflsplit.runtime.engines import Array, Engine
from tflsplit.runtime.steps import KernelStep, Step, compile_graph
from tflsplit.verify.unwritten import FILLINGS, Mask, filled, unwritten


class Reference:
    """The model as it was read, its tensors named as those of the graph that was split.

    State is kept from one inference to the next, as the unsplit model keeps it.
    """

    def __init__(self, model: Graph, whole: Graph, engine: Engine) -> None:
        """``whole``: ``model`` after its passes; tensors that these took away are not named.

        Raises EngineError if the engine refuses the model.
        """
        self.model, self.whole = model, whole
        self.labels = tensor_labels(whole)
        self._producers = {
            self.labels[value]: node for node in whole.nodes for value in node.outputs
        }
        self._places = {node: place for place, node in enumerate(whole.nodes)}
        made = {value for node in model.nodes for value in node.outputs}
        self._kept = [value for value in self.labels if value in made and value.dtype.itemsize]
        self._unwritten = unwritten(model)
        runs = FILLINGS if self._unwritten else FILLINGS[:1]
        self._programs: list[list[Step]] = [
            compile_graph(model, engine, keep=self._kept) for _ in runs
        ]

    def producer(self, tensor: str) -> Node | None:
        """The node of ``whole`` that makes a tensor; None for an input."""
        return self._producers.get(tensor)

    def position(self, tensor: str) -> int:
        """Where a tensor stands in the model's order; model inputs come first."""
        node = self._producers.get(tensor)
        return -1 if node is None else self._places[node]

    def run(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Mask]]:
        """One inference: every tensor by name, and of some the elements that mean nothing."""
        given = {value: inputs[self.labels[value]] for value in self.whole.inputs}
        first, *others = (
            self._values(steps, given, byte)
            for steps, byte in zip(self._programs, FILLINGS, strict=False)
        )
        void = {
            self.labels[value]: mask
            for other in others
            for value in self._kept
            if (mask := first[value] != other[value]).any()
        }
        return {self.labels[v]: first[v] for v in (*self.whole.inputs, *self._kept)}, void

    def _values(
        self, steps: Sequence[Step], given: Mapping[Value, Array], byte: int
    ) -> dict[Value, Array]:
        values = dict(given)
        for step in steps:
            assert isinstance(step, KernelStep)
            results = step.run([values[value] for value in step.inputs])
            for value, array in zip(step.outputs, results, strict=True):
                mask = self._unwritten.get(value)
                values[value] = array if mask is None else filled(array, mask, byte)
        return values


def differing(want: Array, got: Array, void: Mask | None) -> Mask | None:
    """The elements in which two arrays differ, all of ``void`` apart; None if there are none.

    void: elements that mean nothing.  NaN equals NaN.
    """
    if np.array_equal(want, got, equal_nan=got.dtype.kind == "f"):
        return None
    different = np.asarray(want != got)
    if got.dtype.kind == "f":
        different &= ~(np.isnan(want) & np.isnan(got))
    if void is not None:
        different &= ~void
    return different if different.any() else None
