# SPDX-License-Identifier: Apache-2.0
"""The built-in boards (``boards.toml``), every number with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

from tflsplit.cluster.device_table import read_device
from tflsplit.cluster.spec import Device
from tflsplit.cluster.table import Table
from tflsplit.cluster.toml_file import TomlFile, suggestion
from tflsplit.errors import ClusterError


def board_names() -> tuple[str, ...]:
    """The names of all boards, in the table's order."""
    return tuple(_boards())


def known_board(name: str) -> Device:
    """A board by its name; ClusterError with a suggestion if there is none."""
    if name not in _boards():
        raise ClusterError(f"unknown board {name!r}{suggestion(name, board_names())}")
    return _boards()[name][0]


def board_title(name: str) -> str:
    """What people call a board."""
    known_board(name)
    return _boards()[name][1]


def board_sources(name: str) -> Mapping[str, str]:
    """Where each number of a board comes from, by its key."""
    known_board(name)
    return _boards()[name][2]


@lru_cache(maxsize=1)
def _boards() -> dict[str, tuple[Device, str, Mapping[str, str]]]:
    text = resources.files("tflsplit.cluster").joinpath("boards.toml").read_text(encoding="utf-8")
    file = TomlFile.parse(text, "boards.toml")
    found: dict[str, tuple[Device, str, Mapping[str, str]]] = {}
    for name in file.data:
        table = Table.root(file).table(name)
        like = found[table.text("like", None)] if table.has("like") else None
        found[name] = _board(table, name, like)
    return found


def _board(
    table: Table, name: str, like: tuple[Device, str, Mapping[str, str]] | None
) -> tuple[Device, str, Mapping[str, str]]:
    """A board; what it does not say is that of the board that it is like."""
    title = table.text("title", None)
    sources = table.table("sources")
    texts = {key: sources.text(key, None) for key in sources.content}
    texts = {**(like[2] if like else {}), **texts}
    device = replace(read_device(table, like[0] if like else None, name), board=name)
    table.refuse_unknown()
    return device, title, MappingProxyType(texts)
