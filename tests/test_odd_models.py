# SPDX-License-Identifier: Apache-2.0
"""Networks with something unusual in each, planned as `rewrite` does: the same bits at any N."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.splits import compared, needs_tflm
from tflsplit.cluster import default_cluster
from tflsplit.planner import Planner
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import load

ODD = (
    "audio_preprocessor",
    "conv1d_audio",
    "convnext",
    "keyword_svdf",
    "mnist_lstm",
    "pad3_s2",
    "prelu_leaky",
    "split_conv1x1",
    "sr_d2s",
)
LARGER = ("gru_unrolled", "vit2")
COUNTS = (1, 2, 3, 4, 8)


def cases() -> Iterator[tuple[str, int]]:
    yield from ((name, count) for name in ODD for count in COUNTS)
    yield from ((name, count) for name in LARGER for count in (1, 3))


@needs_tflm
@pytest.mark.parametrize(("name", "count"), list(cases()))
def test_the_same_bits(name: str, count: int, shared_models: Path):
    path = shared_models / "odd" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"needs odd/{path.name} in the folder of public models (CONTRIBUTING.md)")
    cluster = default_cluster(count)
    split = split_model(load(path), lambda graph: Planner(graph, cluster).best("latency").plan)
    verdict = compared(split, runs=1)
    assert verdict.passed, verdict.mismatch or verdict.problems


def test_every_odd_model_that_is_there_is_listed(shared_models: Path):
    there = {path.stem for path in (shared_models / "odd").glob("*.tflite")}
    assert there <= {*ODD, *LARGER}
