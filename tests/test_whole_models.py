# SPDX-License-Identifier: Apache-2.0
"""Real networks from public repositories: split, compared with unsplit TFLM, every tensor, exactly.

A covering subset runs by default: every model at every N with the default policy, every way at one
N or another, so that every pair of a model and a way is there.  ``TFLSPLIT_FULL=1`` runs every
model at every N in every way, and more inputs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.splits import compared, needs_litert, needs_tflm
from tflsplit.ir import Graph
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import load

FULL = os.environ.get("TFLSPLIT_FULL") == "1"

LARGE = "mobilenet_v2_1.0_224_coral_ptq"
MIDDLE = ("mobilenet_v2_0.35_160_cfu", "gen_unet_96_int8", "yolo_face_nxp")
SMALL = (
    "mlperf_vww_mbv1",
    "mlperf_resnet8",
    "mlperf_kws_dscnn",
    "mlperf_ad_fc",
    "tflm_person_detect",
    "tflm_person_detect_qdimfix",
    "mobilenet_v1_0.25_128_tinymaix",
    "mcunet_vww_tinyengine",
    "pypi_silabs_kws_mbv2",
    "gen_cifar_grouped_se_hswish_int8",
    "gen_tcn_dilated_2in2out_int8",
    "resnet8_int16x8",
)
MODELS = (*SMALL, *MIDDLE, LARGE)
COUNTS = (1, 2, 3, 4, 8)
MORE_COUNTS = (5, 7, 16)
WAYS = ("auto", "rows", "out_channels", "channels", "in_channels")

Case = tuple[str, int, str, bool]
"""Model, number of devices, way, stock kernels only."""


def every_case() -> Iterator[Case]:
    for model in MODELS:
        for count in (*COUNTS, *MORE_COUNTS):
            for way in WAYS:
                yield model, count, way, False
                if way != "in_channels":
                    yield model, count, way, True


def covering_cases() -> Iterator[Case]:
    """Each model × each N once, each way of each model once, more devices and stock kernels."""
    for index, model in enumerate(SMALL):
        for count in COUNTS:
            yield model, count, "auto", False
        for shift, way in enumerate(WAYS[1:]):
            yield model, (2, 3, 4, 8)[(index + shift) % 4], way, False
        yield model, MORE_COUNTS[index % 3], "auto", index % 2 == 0
        yield model, 4, "rows", True
    for index, model in enumerate(MIDDLE):
        for count in COUNTS:
            yield model, count, "auto", False
        yield model, (2, 4, 3)[index], WAYS[1 + index], False
        yield model, (3, 8, 2)[index], "in_channels", False
        yield model, 4, "auto", True
    yield LARGE, 3, "auto", False
    yield LARGE, 8, "auto", False


def name_of(case: Case) -> str:
    model, count, way, stock = case
    return f"{model}-{count}-{way}{'-stock' if stock else ''}"


CASES = list(dict.fromkeys(every_case() if FULL else covering_cases()))


@cache
def model_of(folder: Path, name: str) -> Graph:
    path = folder / f"{name}.tflite"
    if not path.is_file():
        pytest.skip(f"needs {path.name} in the folder of public models (CONTRIBUTING.md)")
    return load(path)


@needs_tflm
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_same_bits(case: Case, shared_models: Path):
    name, count, way, stock = case
    model = model_of(shared_models, name)
    split = split_model(model, Wishes(count, split=way, stock_kernels=stock))
    # Three edge inputs always; of the large model one smooth image more is enough.
    verdict = compared(split, runs=4 if FULL else 1)
    assert verdict.passed, verdict.mismatch or verdict.problems
    assert verdict.tensors >= len(split.whole.nodes)


@needs_litert
@pytest.mark.parametrize(
    ("name", "way"),
    [("mlperf_ad_fc", "in_channels"), ("mlperf_resnet8", "auto"), ("mlperf_kws_dscnn", "rows")],
)
def test_the_same_bits_on_litert(name: str, way: str, shared_models: Path):
    split = split_model(model_of(shared_models, name), Wishes(4, split=way))
    verdict = compared(split, runs=3, engine_name="litert")
    assert verdict.passed, verdict.mismatch or verdict.problems


def test_the_covering_cases_cover():
    found = list(covering_cases())
    for model in MODELS[:-1]:
        counts = {count for name, count, way, _ in found if name == model and way == "auto"}
        assert set(COUNTS) <= counts
    for model in SMALL:
        assert {way for name, _, way, _ in found if name == model} == set(WAYS)
        assert any(stock for name, _, _, stock in found if name == model)
    assert {count for _, count, _, _ in found} == {*COUNTS, *MORE_COUNTS}
    assert set(found) <= set(every_case())
    assert {name for name, *_ in found} == set(MODELS)


def test_every_model_that_is_there_is_listed(shared_models: Path):
    there = {path.stem for path in shared_models.glob("*.tflite")}
    assert there - {"malformed_scales_catdog2"} <= set(MODELS)
