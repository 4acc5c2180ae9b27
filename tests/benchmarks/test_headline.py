# SPDX-License-Identifier: Apache-2.0
"""The table at the head of the README: its commands exist, its figures are what these answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.headline import COLUMNS, measured, table
from tflsplit.cli import parser

ROOT = Path(__file__).resolve().parents[2]


def answer(words: Sequence[str]) -> dict[str, Any]:
    """As a command would, once its words are known to be right; figures tell the columns apart."""
    parser(words[0]).parse_args(list(words))
    if words[0] == "inspect":
        return {"one_board": {"tflm_arena_bytes": 3 << 19}}
    if words[0] == "simulate":
        return {"seed": {"payload_bytes": 21_340_000, "latency_us": 3_120_000}}
    if words[0] == "verify":
        return {"passed": not words[1].endswith("2")}
    size = len(words)
    device = {"arena_required_bytes": 1024 * size, "weights_bytes": 1 << 20, "sent_bytes": 2048}
    return {
        "world_size": int(words[3]),
        "devices": [device, {**device, "arena_required_bytes": 1024}],
        "beside": [{"latency_us": 1000 * size}],
    }


def test_the_table_says_what_the_commands_answer(tmp_path: Path):
    lines = table(measured(tmp_path / "m.tflite", tmp_path, answer)).splitlines()
    rows = {row.split(" | ")[0].strip("| "): row.strip("| ").split(" | ")[1:] for row in lines}
    assert rows["boards that it uses"] == ["1", "8", "8", "8", "8"]
    assert rows["arena of the fullest"] == ["6 KiB", "6 KiB", "8 KiB", "9 KiB", "8 KiB"]
    assert rows["moved between boards"] == ["–", *["4 KiB"] * 4]
    assert rows["an inference"] == ["6 ms", "6 ms", "8 ms", "9 ms", "8 ms"]
    assert rows["the unsplit model's bits"] == ["all", "all", "NO", "all", "all"]
    assert any("arena of 1.50 MiB" in line for line in lines)
    assert any("21.3 MB and take 3.1 s" in line for line in lines)


def test_the_readme_has_the_table_of_these_columns():
    section = (ROOT / "README.md").read_text().split("<!-- begin headline -->")[1]
    head, _, commands = section.split("<!-- end")[0].strip().splitlines()[:3]
    assert head.strip("| ").split(" | ") == [*COLUMNS]
    assert commands.count("`-n ") == len(COLUMNS)
    assert all(f"`{' '.join(options)}`" in commands for options in COLUMNS.values())
    demo = (ROOT / "Makefile").read_text()
    assert "rewrite $(MODEL) -n $(DEVICES) -o" in demo
    assert f"\nDEVICES ?= {COLUMNS['`make demo`'][1]}\n" in demo, "the column of `make demo`"
