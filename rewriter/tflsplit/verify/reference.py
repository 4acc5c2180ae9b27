# SPDX-License-Identifier: Apache-2.0
"""The unsplit model on an engine, with every tensor visible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tflsplit.ir import Graph, Node, Value
from tflsplit.runtime.engines import Array, Engine
from tflsplit.runtime.steps import KernelStep, Step, compile_graph
from tflsplit.split.devices import tensor_labels
from tflsplit.verify.unwritten import FILLINGS, Mask, filled, unwritten


class Reference:
    """The model as it was read, its tensors named as those of the graph that was split.

    Of a tensor that lost channels, those that are left are given; and whether those that went hold
    what was said of them, ``problems`` tells.
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
        sources = {value: value if value in made else _whole(value) for value in self.labels}
        self._kept = {
            value: source
            for value, source in sources.items()
            if source in made and value.dtype.itemsize
        }
        self.problems: tuple[str, ...] = ()
        self._unwritten = unwritten(model)
        runs = FILLINGS if self._unwritten else FILLINGS[:1]
        self._programs: list[list[Step]] = [
            compile_graph(model, engine, keep=[*self._kept.values()]) for _ in runs
        ]

    def producer(self, tensor: str) -> Node | None:
        """The node of ``whole`` that makes a tensor; None for an input."""
        return self._producers.get(tensor)

    def position(self, tensor: str) -> int:
        """Where a tensor stands in the model's order; model inputs come first."""
        node = self._producers.get(tensor)
        return -1 if node is None else self._places[node]

    def run(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Mask]]:
        """One inference: every tensor by name, and of some the elements that mean nothing.

        Sets ``problems``: channels that were taken out as constant, but are not.
        """
        given = {value: inputs[self.labels[value]] for value in self.whole.inputs}
        first, *others = (
            self._values(steps, given, byte)
            for steps, byte in zip(self._programs, FILLINGS, strict=False)
        )
        void = {
            self.labels[value]: _left(value, mask)
            for other in others
            for value, source in self._kept.items()
            if (mask := first[source] != other[source]).any()
        }
        self.problems = tuple(
            problem
            for value, source in self._kept.items()
            for problem in _not_constant(value, first[source])
        )
        found = {self.labels[v]: first[v] for v in self.whole.inputs}
        found |= {self.labels[v]: _left(v, first[source]) for v, source in self._kept.items()}
        return found, void

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


def _whole(value: Value) -> Value:
    """The model's tensor that this one is, or is left of."""
    return value if value.origin is None else value.origin.value


def _left(value: Value, array: Array) -> Array:
    """The channels of a model's tensor that ``value`` kept."""
    if value.origin is None or array.shape == value.shape:
        return array
    return np.ascontiguousarray(array[..., list(value.origin.kept)])


def _not_constant(value: Value, array: Array) -> Iterator[str]:
    """Every channel that was taken out of a tensor and does not hold what it should."""
    if value.origin is None or array.shape == value.shape:
        return
    for channel, constant in value.origin.constants.items():
        found = array[..., channel]
        if (found != constant).any():
            other = found[found != constant][0]
            yield (
                f"channel {channel} of tensor {value.name!r} was dropped because it always holds "
                f"{constant}, but it holds {other}"
            )


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
