# SPDX-License-Identifier: Apache-2.0
"""Clusters of the whole firmware as programs of this computer, TFLM from its wheel."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest

from tflsplit.bundle import Bundle
from tflsplit.emulate import FaultModel
from tflsplit.emulate.firmware_build import BuiltFirmware
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import whole_firmware
from tflsplit.emulate.trial import Trial, run_trial
from tflsplit.firmware import FirmwareOptions
from tflsplit.memory import predict_arena
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.runtime.engines import TflmProgram
from tflsplit.verify import make_cases
from tflsplit.verify.inputs import EDGES

needs_wheel_reader = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None
    or importlib.util.find_spec("elftools") is None,
    reason="needs TFLM's wheel (Linux on x86-64) and pyelftools: pip install '.[host]'",
)
needs_cxx = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None,
    reason="needs a C++ compiler: apt install g++",
)


def run_native(
    bundle: Bundle,
    built: BuiltFirmware,
    faults: FaultModel | None = None,
    runs: int = 3,
    in_flight: int = 1,
) -> Trial:
    """Seeded inputs through a cluster; every bit must be the unsplit model's."""
    cases = islice(make_cases(fold_constants(bundle.model), runs, 5), len(EDGES), None)
    with whole_firmware(
        bundle, built.setup, built.devices, faults, seed=9, count_instructions=False
    ) as session:
        trial = run_trial(
            bundle, session, cases, TflmProgram,
            connect_seconds=60, infer_seconds=120, counts_instructions=False,
            in_flight=in_flight,
        )  # fmt: skip
    assert trial.same_bits, trial.differing
    assert len(trial.inferences) == runs
    return trial


def build_exactly(
    bundle: Bundle, wheel: tuple[Path, str] | None = None, flags: Sequence[str] = ()
) -> BuiltFirmware:
    """Firmware whose arenas have no margin."""
    return build_native(bundle, FirmwareOptions(arena_margin_bytes=0, tflm_dir=None), wheel, flags)


def check_arenas(bundle: Bundle, trial: Trial, only_exact: bool = True) -> None:
    """TFLM takes what was predicted, to the byte, from an arena without a byte more.

    only_exact: the prediction must say of itself that it is exact, for every target.
    """
    for device, figures in zip(bundle.devices, trial.devices, strict=True):
        estimate = predict_arena(device.graph, "host_64", "reference")
        assert estimate.exact or not only_exact
        assert figures.arena_used_bytes == estimate.total_bytes
        assert figures.arena_bytes == estimate.required_bytes
