# SPDX-License-Identifier: Apache-2.0
"""The firmware against TFLM of October 2026: another API, the bits of the pinned release."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.bundles import banked_bundle, bundle_of
from tests.emulate.test_wheel import probe
from tests.native import (
    build_exactly,
    check_arenas,
    needs_cxx,
    needs_wheel_reader,
    run_native,
)
from tflsplit.bundle import read_bundle
from tflsplit.emulate.wheel_check import RELEASES, check_wheel
from tflsplit.emulate.wheel_file import read_wheel, wheel_below
from tflsplit.errors import ClusterError, LinkError
from tflsplit.memory import structs
from tflsplit.memory.demand import TABLES

pytestmark = [needs_wheel_reader, needs_cxx]

ROOT = Path(__file__).resolve().parents[2]
# FULLY_CONNECTED's options take 16 bytes more than in September: bytes and alignment are measured.
OPTIONS = f"{structs.OPTIONS['FULLY_CONNECTED']} PP"


@pytest.fixture(scope="module")
def wheel() -> tuple[Path, str]:
    folder = os.environ.get("TFLSPLIT_TFLM_NEXT", "") or ROOT / "build" / "tflm-next"
    try:
        return wheel_below(Path(folder))
    except ClusterError:
        pytest.skip("needs a release of October 2026: make build/tflm-next/.installed")


def test_it_is_another_generation(wheel: tuple[Path, str]):
    release, builtins = check_wheel(read_wheel(*wheel))
    assert release.namespaced
    assert "AddConv2D" in {builtin.add for builtin in builtins}


def test_the_release_that_is_installed_is_known():
    (line,) = [x for x in (ROOT / "Makefile").read_text().splitlines() if "TFLM_NEXT :=" in x]
    assert RELEASES[line.split(":= ")[1]].namespaced


def test_an_interpreter_is_as_large_as_declared(wheel: tuple[Path, str], tmp_path: Path):
    written, declared, *rest = probe(*wheel, tmp_path)
    assert written == declared
    assert rest[1:] == [1, 1]


@pytest.mark.parametrize(
    ("name", "world_size", "split"),
    [("resnet", 4, "rows"), ("ds_cnn", 2, "in_channels"), ("mobilenet", 4, "auto")],
)
def test_the_same_bits_in_the_arena_of_that_release(
    wheel: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    world_size: int,
    split: str,
):
    monkeypatch.setitem(TABLES["reference"][0], "FULLY_CONNECTED", OPTIONS)
    bundle = read_bundle(bundle_of(tmp_path / "plan", name, world_size, split))
    check_arenas(bundle, run_native(bundle, build_exactly(bundle, wheel)))


def test_an_arena_in_two_memories(
    wheel: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(TABLES["reference"][0], "FULLY_CONNECTED", OPTIONS)
    bundle = banked_bundle(tmp_path, "mobilenet", 1, (1 << 16,))
    run_native(bundle, build_exactly(bundle, wheel), runs=1)


def test_the_arena_of_september_is_too_small(wheel: tuple[Path, str], tmp_path: Path):
    """So that release needs the margin that firmware has unless told otherwise."""
    bundle = read_bundle(bundle_of(tmp_path / "plan", "autoencoder", 2))
    with pytest.raises(LinkError, match="TFLM takes neither the graph nor its arena"):
        run_native(bundle, build_exactly(bundle, wheel))
