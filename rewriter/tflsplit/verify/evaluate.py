# SPDX-License-Identifier: Apache-2.0
"""A data set through the split and the unsplit model, on all cores: accuracy, and equality."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from tflsplit.bundle import Bundle, read_bundle
from tflsplit.errors import EngineError
from tflsplit.interpreters import naming, run_in_this_process
from tflsplit.runtime.engines import engine
from tflsplit.runtime.interrupts import interrupts_held_back
from tflsplit.verify.dataset import Dataset
from tflsplit.verify.judge import Answer, Difference, Judge, Judged


@dataclass(frozen=True)
class Accuracy:
    """Of one of the two models; fractions of the samples, None where labels do not tell.

    iou: of masks, intersection over union, both counted over the whole set.
    """

    top1: float | None
    top5: float | None
    iou: float | None


@dataclass(frozen=True)
class Evaluation:
    """The result.

    equal: samples of which every output was equal in every bit.
    difference: of the first sample of which it was not.
    desktop: of LiteRT's default kernels, if they were asked for.
    """

    engine: str
    samples: int
    equal: int
    unsplit: Accuracy
    split: Accuracy
    difference: Difference | None
    desktop: Accuracy | None = None

    @property
    def passed(self) -> bool:
        """Whether every output was equal."""
        return self.equal == self.samples


def evaluate(
    bundle: Bundle,
    dataset: Dataset,
    engine_name: str,
    jobs: int = 1,
    desktop: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Run every sample through both models.

    jobs: processes that share the samples.
    desktop: also run the unsplit model on LiteRT's default kernels.
    progress: is called with the number of samples done.
    Raises UserError if a sample cannot be read, EngineError if the engine refuses a graph or a
    process dies.
    """
    judged = []
    with naming(str(bundle.folder)):
        for one in _all(bundle, dataset, engine_name, min(jobs, len(dataset)), desktop):
            judged.append(one)
            progress(len(judged))
    return Evaluation(
        engine=engine_name,
        samples=len(judged),
        equal=sum(one.difference is None for one in judged),
        unsplit=_accuracy([one.unsplit for one in judged]),
        split=_accuracy([one.split for one in judged]),
        difference=next((one.difference for one in judged if one.difference), None),
        desktop=_accuracy([one.desktop for one in judged if one.desktop]) if desktop else None,
    )


def _accuracy(answers: list[Answer]) -> Accuracy:
    known = [answer.place for answer in answers if answer.place is not None]
    counts = [answer.mask for answer in answers if answer.mask is not None]
    union = sum(mask[1] for mask in counts)
    return Accuracy(
        top1=sum(place < 1 for place in known) / len(known) if known else None,
        top5=sum(place < 5 for place in known) / len(known) if known else None,
        iou=sum(mask[0] for mask in counts) / union if union else None,
    )


def _all(
    bundle: Bundle, dataset: Dataset, engine_name: str, jobs: int, desktop: bool
) -> Iterator[Judged]:
    """Every sample's judgement, in order."""
    if jobs <= 1:
        yield from map(Judge(bundle, dataset, engine(engine_name)[1], desktop), range(len(dataset)))
        return
    # Not forked: TFLM and LiteRT are C++ with state that a fork would share half of.
    pool = ProcessPoolExecutor(
        jobs,
        multiprocessing.get_context("spawn"),
        _prepare,
        (bundle.folder, dataset, engine_name, desktop),
    )
    try:
        with interrupts_held_back():
            judged = pool.map(_judge, range(len(dataset)))
        yield from judged
    except BrokenProcessPool:
        raise EngineError(
            f"{bundle.folder}: a process died (out of memory?); "
            "try fewer with --jobs, or --jobs 1 to see why"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_judges: list[Judge] = []
"""The judge of a worker process."""


def _prepare(folder: Path, dataset: Dataset, engine_name: str, desktop: bool) -> None:
    run_in_this_process()  # which may die: the pool tells
    bundle = read_bundle(folder, check=False)  # whoever started this process did
    _judges.append(Judge(bundle, dataset, engine(engine_name)[1], desktop))


def _judge(index: int) -> Judged:
    return _judges[-1](index)
