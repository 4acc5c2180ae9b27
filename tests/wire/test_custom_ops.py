# SPDX-License-Identifier: Apache-2.0
"""The options of custom operators as stored: ranges, versions, the document that describes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tflsplit.errors import InternalError, ModelError
from tflsplit.ir import Attrs, AttrValue, Node
from tflsplit.wire import custom_ops as wire
from tflsplit.wire.option_fields import Field, Integer, Text

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "custom_ops.md"

SEND: dict[str, AttrValue] = {
    "channel": 7,
    "to": (0, 2),
    "tensor": "conv/Relu6",
    "boxes": (0, 1, 3, 5),
    "origin": (0, 2),
}


def stored(op: str, options: dict[str, AttrValue]) -> Node:
    return Node(op, (), (), Attrs(options), name="node 3", is_custom=True)


def field_values(field: Field) -> st.SearchStrategy[AttrValue]:
    if isinstance(field, Integer):
        return st.integers(field.minimum, field.maximum)
    if isinstance(field, Text):
        return st.text()
    sizes = (0, 6) if field.count is None else (field.count, field.count)
    element = st.integers(field.minimum, field.maximum)
    return st.lists(element, min_size=sizes[0], max_size=sizes[1]).map(tuple)


@given(st.data())
def test_what_encode_wrote_decode_reads(data: st.DataObject) -> None:
    schemas = data.draw(st.sampled_from([wire.SCHEMAS, wire.PACKED_SCHEMAS]))
    op = data.draw(st.sampled_from(sorted(schemas)))
    explicit = schemas is wire.SCHEMAS and op != wire.RECV
    version = wire.VERSION if explicit else wire.device_version(op)
    schema = schemas[op]
    options = {key: data.draw(field_values(field)) for key, field in schema.items()}
    attrs = wire.encode(op, options, version)
    assert attrs["v"] == version
    assert wire.decode(stored(op, dict(attrs))) == options


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": 3}, "options are of version 3, this program reads 1 and 2"),
        ({"v": True}, "options are of version True"),
        ({"v": None}, "no version"),
        ({"channel": None}, "option 'channel' is missing"),
        ({"colour": 3}, "unknown option 'colour'"),
        ({"channel": -1}, "option 'channel' is -1, not within 0..65534"),
        ({"channel": 65535}, "option 'channel' is 65535, not within"),
        ({"channel": True}, "option 'channel' is True, not an integer"),
        ({"channel": 1.0}, "option 'channel' is 1.0, not an integer"),
        ({"channel": (1,)}, r"option 'channel' is \(1,\), not an integer"),
        ({"to": 3}, "option 'to' is 3, not a vector of integers"),
        ({"to": (0, 255)}, "option 'to' has an element that is 255, not within 0..254"),
        ({"to": (0, "1")}, "option 'to' has an element that is '1', not an integer"),
        ({"boxes": "0:1"}, "option 'boxes' is '0:1', not a vector"),
        ({"boxes": (0, -1)}, "option 'boxes' has an element that is -1"),
        ({"tensor": 3}, "option 'tensor' is 3, not a string"),
    ],
)
def test_malformed_options_are_refused_by_name(
    change: dict[str, AttrValue | None], message: str
) -> None:
    changed = {"v": wire.VERSION, **SEND, **change}
    options = {key: value for key, value in changed.items() if value is not None}
    with pytest.raises(ModelError, match=f"TFLSPLIT_SEND 'node 3': .*{message}"):
        wire.decode(stored(wire.SEND, options))
    if "v" not in change:
        options.pop("v")
        with pytest.raises(InternalError, match=message):
            wire.encode(wire.SEND, options)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_vector_of_the_wrong_length_is_refused(count: int) -> None:
    options: dict[str, AttrValue] = {"v": 1, "activation": (0,) * count}
    with pytest.raises(ModelError, match=f"option 'activation' has {count} elements, not 2"):
        wire.decode(stored(wire.REQUANTIZE, options))


def test_an_operator_that_is_not_ours_has_no_options() -> None:
    with pytest.raises(ModelError, match="no custom operator of this name is known"):
        wire.decode(stored("TFLSPLIT_BROADCAST", {"v": 1}))
    assert not wire.is_ours(stored("Ethos-U", {}))
    assert wire.is_ours(stored(wire.SEND, {}))


def documented_options() -> dict[str, set[str]]:
    """From the document: option names by operator, those of a family of options spelt out."""
    tables: dict[str, set[str]] = {}
    heading, in_options = "", False
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:]
        if line.startswith("|"):
            in_options = in_options or line.startswith("| Option |")
            row = re.match(r"\| `(\w+)` \|", line)
            if row and in_options:
                tables.setdefault(heading, set()).add(row[1])
        else:
            in_options = False
        family = re.fullmatch(r"Options: (.*)\.", line)
        if family and family[1] != "none beside `v`":
            tables.setdefault(heading, set()).update(family[1].split(", "))
    return tables


def test_the_document_lists_exactly_the_options_that_are_stored() -> None:
    documented = documented_options()
    families = {
        "window": {"kernel", "stride", "dilation", "pads"},
        "requantization": {"activation", "rounding"},
    }
    assert documented.pop("What the compute operators share") == set().union(*families.values())
    for op, schema in wire.DEVICE_SCHEMAS.items():
        names = documented.pop(op, set())
        spelt = set().union(*(families.get(name, {name}) for name in names))
        assert spelt == set(schema), op
    assert not documented


def test_the_document_says_the_version() -> None:
    assert wire.RECV_VERSION == wire.BLOCK_VERSION
    assert wire.SEND_VERSION == wire.PACKED_VERSION
    versions = (
        f"now {wire.VERSION} of ASK, TFLSPLIT_PARTIAL_SUM, TFLSPLIT_CHAIN, TFLSPLIT_ADD, "
        f"TFLSPLIT_MEAN and TFLSPLIT_POOL_2D, {wire.BLOCK_VERSION} "
        f"of RECV and TFLSPLIT_FUSED_BLOCK, {wire.PACKED_VERSION} of the others"
    )
    assert f"version of the options, {versions} |" in DOCUMENT.read_text()


def test_checked_options_are_read_once_and_others_each_time() -> None:
    """What was encoded cannot change; what comes from elsewhere is judged by whoever reads it."""
    checked = Node(wire.SEND, (), (), wire.encode(wire.SEND, SEND), name="n", is_custom=True)
    for node, times in ((checked, 1), (stored(wire.SEND, {**SEND, "v": 1}), 2)):
        made: list[int] = []
        for _ in range(2):
            found = wire.read_once(node, "ranks", lambda made=made: made.append(1) or len(made))  # type: ignore[misc]
        assert found == times
    renamed = Node(wire.RECV, (), (), checked.attrs, name="n", is_custom=True)
    assert wire.read_once(renamed, "ranks", lambda: 9) == 9  # of another operator: not checked
