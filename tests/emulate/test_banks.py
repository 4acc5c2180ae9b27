# SPDX-License-Identifier: Apache-2.0
"""The whole firmware with arenas in several memories, as programs of this computer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import banked_bundle
from tests.native import build_exactly, needs_cxx, needs_wheel_reader, run_native
from tflsplit.errors import ClusterError, LinkError
from tflsplit.firmware import FirmwareOptions
from tflsplit.firmware.banks import placed_banks
from tflsplit.firmware.boards import board_named
from tflsplit.firmware.generate import device_sources
from tflsplit.memory import predict_arena

pytestmark = [needs_wheel_reader, needs_cxx]


@pytest.mark.parametrize(
    ("name", "world_size", "banks"),
    [("mobilenet", 1, (1 << 16,)), ("mobilenet", 3, (1024, 1 << 16)), ("unet", 2, (1 << 16,))],
)
def test_the_unsplit_models_bits_over_several_memories(
    tmp_path: Path, name: str, world_size: int, banks: tuple[int, ...]
):
    bundle = banked_bundle(tmp_path, name, world_size, banks)
    arenas = [predict_arena(device.graph, "host_64") for device in bundle.devices]
    assert any(sum(arena.banks_bytes) for arena in arenas)
    trial = run_native(bundle, build_exactly(bundle), runs=2)
    for arena, figures in zip(arenas, trial.devices, strict=True):
        assert figures.arena_bytes == arena.main_bytes
        assert 0 <= figures.arena_bytes - figures.arena_used_bytes < 16


def test_sixteen_bytes_less_of_main_ram_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bundle = banked_bundle(tmp_path, "mobilenet", 1, (1 << 16,))
    estimate = predict_arena(bundle.devices[0].graph, "host_64")
    monkeypatch.setattr(
        "tflsplit.firmware.generate.required_arena_bytes", lambda *_: estimate.main_bytes - 16
    )
    built = build_exactly(bundle)
    with pytest.raises(LinkError, match="TFLM takes neither the graph nor its arena"):
        run_native(bundle, built)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"section": None}, "the board has no bank bank1 of .* bytes, where activations"),
        ({"less": 16}, "a tensor is planned across the end of its bank"),
        ({"earlier": 16}, "a tensor is planned across the end of its bank"),
    ],
)
def test_a_bank_that_is_not_there_or_too_small_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
):
    bundle = banked_bundle(tmp_path, "mobilenet", 1, (1 << 16,))

    def other(*of: Any) -> Any:
        (bank,) = placed_banks(*of)
        size, start = bank.size_bytes - changes.get("less", 0), bank.start
        section = changes.get("section", bank.section)
        start -= changes.get("earlier", 0)
        return (replace(bank, size_bytes=size, start=start, section=section),)

    monkeypatch.setattr("tflsplit.firmware.generate.placed_banks", other)
    built = build_exactly(bundle)
    with pytest.raises(LinkError, match=message):
        run_native(bundle, built)


def test_a_board_without_the_bank_has_no_firmware_for_it(tmp_path: Path):
    bundle = banked_bundle(tmp_path, "mobilenet", 1, (1 << 16,))
    device, options = bundle.devices[0], FirmwareOptions(tflm_dir=None)
    with pytest.raises(ClusterError, match=r"firmware of pico knows no bank 'bank1'.*section"):
        placed_banks(device, board_named("pico"), options)
    one_piece = replace(options, boards=("pico",), one_piece=True)  # as for deployments
    (source,) = device_sources(bundle.document, bundle.devices, one_piece)
    assert (source.banks, board_named("pico").banks) == ((), {})
    assert source.required_arena_bytes >= predict_arena(device.graph).required_bytes
    (bank,) = placed_banks(device, board_named("host"), options)
    assert (bank.section, bank.size_bytes) == ("", predict_arena(device.graph).banks_bytes[0])
