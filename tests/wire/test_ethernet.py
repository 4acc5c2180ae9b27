# SPDX-License-Identifier: Apache-2.0
"""Link frames on Ethernet, against the table that tests the firmware's C++ too."""

import json
from typing import Any

import pytest

from tests import make_ethernet_vectors
from tflsplit.wire.ethernet import SegmentPlace, goes_to_group, open_frame, seal

TABLE: list[dict[str, Any]] = json.loads(make_ethernet_vectors.TABLE.read_text())


def place(case: dict[str, Any], rank: int, has_host: bool = False) -> SegmentPlace:
    plan = bytes.fromhex(case["plan_hex"])
    return SegmentPlace(rank, case["world_size"], plan, has_host=has_host)


def of_hex(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def test_the_table_is_what_its_program_makes(tmp_path, monkeypatch):
    monkeypatch.setattr(make_ethernet_vectors, "TABLE", tmp_path / "table.json")
    make_ethernet_vectors.main()
    assert json.loads((tmp_path / "table.json").read_text()) == TABLE


@pytest.mark.parametrize("case", TABLE, ids=[case["name"] for case in TABLE])
def test_frames_of_the_table(case):
    frames = of_hex(case["ethernet_hex"])
    written = [(one["to"], bytes.fromhex(one["frame_hex"])) for one in case["written"]]
    here = place(case, case["rank"])
    if written and len({raw[5:8] + raw[16:-4] for _, raw in written}) == 1:
        assert list(seal(here, written)) == frames
    elif written:
        assert [frame for one in written for frame in seal(here, [one])] == frames
    for one in case["opened"]:
        there = place(case, one["rank"], one["has_host"])
        found = [open_frame(there, frame) for frame in frames]
        raw = bytes.fromhex(one["frame_hex"])
        assert {each for each in found if each is not None} == (
            {(case["rank"], raw)} if raw else set()
        )


@pytest.mark.parametrize(
    ("receivers", "world_size", "once"),
    [(1, 2, False), (2, 3, True), (2, 4, True), (2, 5, False), (3, 8, False), (4, 8, True)],
)
def test_what_most_others_get_leaves_once(receivers, world_size, once):
    assert goes_to_group(receivers, world_size) is once
