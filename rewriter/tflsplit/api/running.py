# SPDX-License-Identifier: Apache-2.0
"""Inferences of a split model on this computer: what goes in, what comes out, what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tflsplit.bundle import Bundle
from tflsplit.errors import LinkError
from tflsplit.ir import Graph
from tflsplit.runtime.engines import Array, engine
from tflsplit.runtime.load import InputError, fitted
from tflsplit.runtime.local import LocalCluster, assemble
from tflsplit.runtime.processes import ProcessCluster, Report
from tflsplit.split.devices import tensor_labels

Inputs: TypeAlias = Array | Sequence[Array] | Mapping[str, Array]
"""One array; one for each input in the model's order; or by the inputs' names."""


@dataclass(frozen=True)
class Inference:
    """One inference.

    kernels: that ran it, "tflm" or "litert".
    outputs: of the model, whole, in its order.
    devices: what each rank gave, sent and received.
    """

    kernels: str
    outputs: tuple[Array, ...]
    devices: tuple[Report, ...]


class Runner:
    """Runs the devices of a bundle; whoever has state keeps it from one inference to the next."""

    def __init__(self, bundle: Bundle, whole: Graph) -> None:
        """``whole``: the graph that was split."""
        self._bundle, self._whole = bundle, whole
        self._local: dict[str, LocalCluster] = {}

    def infer(self, inputs: Inputs, kernels: str | None, processes: bool) -> Inference:
        """One inference; see ``SplitModel.infer``."""
        name, _ = engine(kernels)
        given = by_name(self._bundle.model, inputs)
        reports = self._apart(given, name) if processes else self._here(given, name)
        parts = [report.outputs for report in reports]
        labels = tensor_labels(self._whole)
        outputs = assemble(self._whole, labels, self._bundle.devices, parts)
        return Inference(name, tuple(outputs), tuple(reports))

    def _apart(self, inputs: dict[str, Array], name: str) -> list[Report]:
        try:
            with ProcessCluster(self._bundle.devices, name) as cluster:
                return cluster.infer(inputs)
        except LinkError as error:
            raise LinkError(f"{self._bundle.folder}: {error}") from None

    def _here(self, inputs: dict[str, Array], name: str) -> list[Report]:
        if name not in self._local:
            self._local[name] = LocalCluster(self._bundle.devices, engine(name)[1])
        self._local[name].infer(inputs)
        return [
            Report(device.outputs, device.sent_bytes, device.received_bytes)
            for device in self._local[name].devices
        ]


def by_name(graph: Graph, inputs: Inputs) -> dict[str, Array]:
    """The model's inputs by tensor name, as it stores them; InputError for what does not fit."""
    labels = tensor_labels(graph)
    names = [labels[value] for value in graph.inputs]
    if isinstance(inputs, Mapping):
        given = dict(inputs)
    else:
        arrays = list(inputs) if isinstance(inputs, (list, tuple)) else [np.asarray(inputs)]
        if len(arrays) != len(names):
            raise InputError(f"the model has {len(names)} inputs: {', '.join(names)}")
        given = dict(zip(names, arrays, strict=True))
    if given.keys() != set(names):
        raise InputError(f"the model's inputs are {', '.join(names)}, not {', '.join(given)}")
    return {
        name: fitted(value, given[name], f"the array for {name!r}")
        for name, value in zip(names, graph.inputs, strict=True)
    }
