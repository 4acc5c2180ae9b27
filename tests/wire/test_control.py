# SPDX-License-Identifier: Apache-2.0
"""The control messages against the table that C++ is tested against too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make_control_vectors as maker
from tflsplit.wire.control import (
    LINK_COUNTERS,
    Info,
    LinkReport,
    Message,
    Query,
    Report,
    Start,
    TextReport,
    is_later,
    pack,
    unpack,
)

TABLE = json.loads(maker.TABLE.read_text())
KINDS: dict[str, type[Any]] = {
    "query": Query, "start": Start, "info": Info, "report": Report, "link": LinkReport,
    "text": TextReport,
}  # fmt: skip


def message_of(row: dict[str, Any]) -> Message:
    fields: dict[str, Any] = {}
    fields |= {key: int(v) if key.endswith("_ticks") else v for key, v in row["fields"].items()}
    if "counters" in fields:
        fields["counters"] = tuple(fields["counters"])
    message: Message = KINDS[row["kind"]](**fields)
    return message


def test_the_table_is_what_its_maker_writes():
    assert {"messages": maker.messages(), "ignored": maker.ignored()} == TABLE


@pytest.mark.parametrize("row", TABLE["messages"], ids=lambda row: row["name"])
def test_messages_pack_and_unpack_as_the_table_says(row: dict[str, Any]):
    message, payload = message_of(row), bytes.fromhex(row["payload"])
    assert pack(message) == payload
    assert unpack(payload) == message


@pytest.mark.parametrize("row", TABLE["ignored"], ids=lambda row: row["name"])
def test_what_makes_no_sense_is_ignored(row: dict[str, str]):
    assert unpack(bytes.fromhex(row["payload"])) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_none(payload: bytes):
    message = unpack(payload)
    assert message is None or isinstance(message, tuple(KINDS.values()))


def test_every_message_of_the_document_is_in_the_table():
    assert {row["kind"] for row in TABLE["messages"]} == set(KINDS)
    for kind, (number, size, _) in maker.LAYOUTS.items():
        assert (KINDS[kind].TYPE, KINDS[kind].LAYOUT.size) == (number, size)


def test_counters_by_name():
    link = LinkReport(counters=tuple(range(18)))
    assert [link.count(name) for name in LINK_COUNTERS] == list(range(18))


def test_long_texts_are_cut_and_foreign_letters_replaced():
    assert unpack(pack(TextReport(1, "é" * 200))) == TextReport(1, "?" * 160)
    assert unpack(pack(Info(board="x" * 20))) == Info(board="x" * 16)


def test_epochs_wrap():
    assert is_later(0, 65535)
    assert is_later(1, 0)
    assert not is_later(65535, 0)
    assert not is_later(5, 5)
