# SPDX-License-Identifier: Apache-2.0
"""What Python's JSON reader lets through, and this one does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.bundle.strict_json import MAX_DEPTH, strict_loads


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        (b"\xff\xfe{}", "codec"),
        ('{"a": NaN}', "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e999]", "1e999 is too large"),
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' stands twice"),
        (r'["\ud800"]', "lone surrogate"),
        (r'{"\udfff": 1}', "lone surrogate"),
        ("[" * 17 + "1" + "]" * 17, "nested more than 16 deep"),
        ("[" * 100_000, "nested more than 16 deep"),
        ('{"a":' * 100_000, "nested more than 16 deep"),
        ("1" * 5000, "digits"),
    ],
)
def test_what_is_not_json_is_refused(text: str | bytes, says: str):
    with pytest.raises(ValueError, match=says):
        strict_loads(text)


def test_as_deep_as_it_may_be():
    deepest: Any = 1
    for _ in range(MAX_DEPTH):
        deepest = [deepest]
    assert strict_loads(json.dumps(deepest)) == deepest
    with pytest.raises(ValueError, match="nested"):
        strict_loads(json.dumps([deepest]))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=10,
    )
)  # fmt: skip
def test_everything_else_is_what_it_was(document: Any):
    text = json.dumps(document)
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        assert strict_loads(text) == document
