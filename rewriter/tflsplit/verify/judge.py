# SPDX-License-Identifier: Apache-2.0
"""One sample through the split and the unsplit model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tflsplit.bundle import Bundle
from tflsplit.ir import Value
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import Array, Engine
from tflsplit.runtime.local import LocalCluster, assemble
from tflsplit.split.devices import tensor_labels
from tflsplit.verify.dataset import Dataset
from tflsplit.verify.desktop import DesktopProgram

Counts = tuple[int, int]
"""Elements in the intersection and in the union of two masks."""


@dataclass(frozen=True)
class Difference:
    """The first element of an output that the split and the unsplit model disagree on."""

    sample: str
    output: str
    index: tuple[int, ...]
    expected: float
    got: float

    def __str__(self) -> str:
        return (
            f"sample {self.sample}: output {self.output!r} differs at {list(self.index)}: "
            f"{self.got:g} instead of {self.expected:g}"
        )


@dataclass(frozen=True)
class Answer:
    """One model's answer to one sample.

    place: the label's among the classes, 0 the best; None without label.
    mask: against the sample's mask; None without one.
    """

    place: int | None = None
    mask: Counts | None = None


@dataclass(frozen=True)
class Judged:
    """What came of one sample.

    unsplit, split: how good the answers were.
    desktop: the same of LiteRT's default kernels, if they were asked for.
    """

    difference: Difference | None
    unsplit: Answer
    split: Answer
    desktop: Answer | None = None


class Judge:
    """The split and the unsplit model, ready to run, and a data set."""

    def __init__(
        self, bundle: Bundle, dataset: Dataset, engine: Engine, desktop: bool = False
    ) -> None:
        """Compile both; EngineError if the engine refuses a part of one.

        desktop: also run the unsplit model on LiteRT's default kernels.
        """
        self._dataset = dataset
        self._devices = bundle.devices
        self._model = bundle.model
        # Outputs are assembled by the folded graph's names, as the plan was made from it.
        self._whole = prepare(bundle.model)
        self._labels = tensor_labels(self._whole)
        self._unsplit = engine(bundle.model)
        self._desktop = DesktopProgram(bundle.model) if desktop else None
        self._cluster = LocalCluster(bundle.devices, engine)

    def __call__(self, index: int) -> Judged:
        """Run one sample; UserError if it cannot be read."""
        array = self._dataset.sample(self._model.inputs[0], index)
        unsplit = self._unsplit.run([array])
        self._cluster.infer({self._labels[self._whole.inputs[0]]: array})
        results = [device.outputs for device in self._cluster.devices]
        split = assemble(self._whole, self._labels, self._devices, results)
        return Judged(
            self._difference(self._dataset.names[index], unsplit, split),
            self._answer(index, unsplit[0]),
            self._answer(index, split[0]),
            self._answer(index, self._desktop.run([array])[0]) if self._desktop else None,
        )

    def _answer(self, index: int, scores: Array) -> Answer:
        dataset = self._dataset
        if dataset.labels is not None:
            return Answer(place=place(scores, dataset.labels[index]))
        if dataset.masks is not None:
            return Answer(mask=overlap(self._model.outputs[0], scores, dataset.masks[index]))
        return Answer()

    def _difference(
        self, sample: str, unsplit: list[Array], split: list[Array]
    ) -> Difference | None:
        for value, want, got in zip(self._whole.outputs, unsplit, split, strict=True):
            different = want != got
            if want.dtype.kind == "f":  # NaN is not equal to itself
                different &= ~(np.isnan(want) & np.isnan(got))
            if different.any():
                at = np.unravel_index(int(np.argmax(different)), want.shape)
                index = tuple(map(int, at))
                return Difference(sample, value.name, index, float(want[at]), float(got[at]))
        return None


def place(scores: Array, label: int) -> int:
    """How many classes beat ``label``; of equal scores the lower index wins, as in argmax."""
    flat = scores.reshape(-1)
    own = flat[label]
    return int((flat > own).sum() + (flat[:label] == own).sum())


def overlap(value: Value, scores: Array, mask: Array) -> Counts:
    """Elements in which output and ``mask`` both are set, and in which one of them is.

    An output element is set if what it stands for is at least 0.5; one of ``mask`` if it is not 0.
    """
    real = scores.astype(np.float64)
    if value.quantization and value.quantization.scales and scores.dtype.kind != "f":
        real = (real - value.quantization.zero_point) * value.quantization.scale
    found, wanted = real.reshape(-1) >= 0.5, mask.reshape(-1) != 0
    return int((found & wanted).sum()), int((found | wanted).sum())
