# SPDX-License-Identifier: Apache-2.0
"""A predicted arena that TFLM does not confirm: whose fault it may be."""

from __future__ import annotations

from importlib import metadata

import pytest

from tflsplit.verify.arenas import another_build

WISHES = ["numpy>=2", "tflite-micro==0.dev1; python_version < '3.14' and extra == 'host'"]


@pytest.mark.parametrize(
    ("installed", "wishes", "said"),
    [
        ("0.dev1", WISHES, ""),
        ("0.dev2", None, ""),
        ("0.dev2", WISHES, ": tflite-micro 0.dev2 is installed, arenas are those of 0.dev1: "
         "pip install 'tflite-micro==0.dev1'"),
    ],
)  # fmt: skip
def test_another_build_of_tflm_is_named(
    installed: str, wishes: list[str] | None, said: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(metadata, "version", lambda _: installed)
    monkeypatch.setattr(metadata, "requires", lambda _: wishes)
    assert another_build() == said
