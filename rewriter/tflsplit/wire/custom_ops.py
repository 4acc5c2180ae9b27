# SPDX-License-Identifier: Apache-2.0
"""The options of tflsplit's custom operators as they are stored: keys, types, ranges, version.

Options are one FlexBuffer map per operator.  Its values are integers, vectors of integers and, for
the name of a tensor, a string: nothing nested, so that firmware reads them with a few dozen lines
and a viewer shows them on one line each.  ``docs/custom_ops.md`` is the contract; its tables are
tested against ``SCHEMAS``.

The compute operators have two forms.  In the *explicit* one (version 1) weights, bias, multipliers
and shifts are operands of their own: what the rewriter works on.  In the *packed* one (version 2)
they are one constant in the order in which kernels read them: what device graphs hold and the
firmware runs (``ops.own.packed`` goes from one to the other).  PARTIAL_SUM, ADD, MEAN and POOL_2D
have no constants, and one form (version 1); a CHAIN is made of packed blocks, and has one form,
too.

``encode`` and ``decode`` check one option at a time.  What options mean together, and together
with the shapes of the operands, is checked by ``tflsplit.ops.own.custom``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tflsplit.errors import InternalError, ModelError
from tflsplit.ir import Attrs, AttrValue, Node
from tflsplit.wire.checking import is_checked
from tflsplit.wire.option_fields import INT32_MAX, Field, Integer, Integers, Text

_Read = TypeVar("_Read")

VERSION = 1
"""Stored as ``v`` in every option map; raised when a reader of the old ones could misread it."""
SEND_VERSION = 2
"""``v`` of a SEND, which may copy what it sends to a result; of version 1 there is none."""
RECV_VERSION = 3
"""``v`` of a RECV: its result may lie over its shard; not so of version 2; of 1 ``early`` is 0."""
PACKED_VERSION = 2
"""``v`` of a compute operator whose constants are packed."""
BLOCK_VERSION = 3
"""``v`` of a packed fused block: of version 2 are those without ``LATER``."""

SEND = "TFLSPLIT_SEND"
RECV = "TFLSPLIT_RECV"
ASK = "TFLSPLIT_ASK"
CONV_2D = "TFLSPLIT_CONV_2D"
DEPTHWISE_CONV_2D = "TFLSPLIT_DEPTHWISE_CONV_2D"
PARTIAL_CONV_2D = "TFLSPLIT_PARTIAL_CONV_2D"
PARTIAL_FULLY_CONNECTED = "TFLSPLIT_PARTIAL_FULLY_CONNECTED"
PARTIAL_SUM = "TFLSPLIT_PARTIAL_SUM"
REQUANTIZE = "TFLSPLIT_REQUANTIZE"
FUSED_BLOCK = "TFLSPLIT_FUSED_BLOCK"
CHAIN = "TFLSPLIT_CHAIN"
ADD = "TFLSPLIT_ADD"
MEAN = "TFLSPLIT_MEAN"
POOL_2D = "TFLSPLIT_POOL_2D"

_MAX_RANK = 254  # 255 is "no rank" on the links
_MOST_DIMS = 8
_MAX_CHANNEL = 65534  # 65535 is "no channel"
_WINDOW: dict[str, Field] = {
    "stride": Integers(minimum=1, maximum=INT32_MAX, count=2),
    "dilation": Integers(minimum=1, maximum=INT32_MAX, count=2),
    "pads": Integers(count=4),
}
_ACTIVATION: dict[str, Field] = {"activation": Integers(minimum=-128, maximum=127, count=2)}

_SWEEP: dict[str, Field] = {
    "first_expand": Integers(minimum=-(2**31)),
    "first_depthwise": Integers(minimum=-(2**31)),
    "first_project": Integers(minimum=-(2**31)),
    "window_columns": Integer(),
}
_BLOCK: dict[str, Field] = {
    "expand": Integers(minimum=-(2**31)),
    "sum": Integer(maximum=1),
    "tile_columns": Integer(),
    "add": Integers(minimum=-(2**31)),
    **_SWEEP,
}

SCHEMAS: Mapping[str, Mapping[str, Field]] = {
    SEND: {
        "channel": Integer(maximum=_MAX_CHANNEL),
        "to": Integers(maximum=_MAX_RANK),
        "tensor": Text(),
        "boxes": Integers(),
        "origin": Integers(),
    },
    RECV: {
        "tensor": Text(),
        "origin": Integers(),
        "local": Integers(),
        "local_origin": Integers(),
        "channels": Integers(maximum=_MAX_CHANNEL),
        "from": Integers(maximum=_MAX_RANK),
        "boxes": Integers(),
        "sum": Integer(maximum=1),
        "early": Integer(maximum=2),
    },
    ASK: {
        "tensor": Text(),
        "channels": Integers(maximum=_MAX_CHANNEL),
        "from": Integers(maximum=_MAX_RANK),
        "bytes": Integers(minimum=1),
    },
    CONV_2D: {**_WINDOW, **_ACTIVATION},
    DEPTHWISE_CONV_2D: {**_WINDOW, **_ACTIVATION},
    PARTIAL_CONV_2D: _WINDOW,
    PARTIAL_FULLY_CONNECTED: {},
    PARTIAL_SUM: {"axes": Integers(maximum=_MOST_DIMS, count=2)},
    REQUANTIZE: _ACTIVATION,
    FUSED_BLOCK: {**_BLOCK, **_ACTIVATION, "depthwise": Integers(minimum=-(2**31), count=12)},
    CHAIN: {
        "units": Integers(minimum=-(2**31)),
        "window_columns": Integer(minimum=1),
        "tile_columns": Integer(),
        "rolling": Integers(minimum=1),
    },
    ADD: {**_ACTIVATION, "scaling": Integers(minimum=-(2**31), count=7)},
    MEAN: {
        "axes": Integers(maximum=_MOST_DIMS, count=2),
        "scaling": Integers(minimum=-(2**31), count=2),
    },
    POOL_2D: {
        "kernel": Integers(minimum=1, count=2),
        "stride": Integers(minimum=1, count=2),
        "pads": Integers(count=4),
        **_ACTIVATION,
        "maximum": Integer(maximum=1),
    },
}
"""Every custom operator's options, beside ``v``."""

_KERNEL: dict[str, Field] = {"kernel": Integers(minimum=1, maximum=INT32_MAX, count=2)}
_FINISH: dict[str, Field] = {**_ACTIVATION, "rounding": Integer(maximum=2)}
STAGE_INTS = 16
"""Of a stage of a packed block: the explicit 12, kernel (2), channels, rounding."""

PACKED_SCHEMAS: Mapping[str, Mapping[str, Field]] = {
    CONV_2D: {**_WINDOW, **_KERNEL, **_FINISH, "groups": Integer(minimum=1)},
    DEPTHWISE_CONV_2D: {**_WINDOW, **_KERNEL, **_FINISH},
    PARTIAL_CONV_2D: {**_WINDOW, **_KERNEL},
    PARTIAL_FULLY_CONNECTED: {},
    REQUANTIZE: _FINISH,
    FUSED_BLOCK: {**_BLOCK, **_FINISH, "depthwise": Integers(minimum=-(2**31), count=STAGE_INTS)},
}
"""The same of the compute operators in packed form."""

LATER: Mapping[str, AttrValue] = {"add": (), **dict.fromkeys(_SWEEP, ()), "window_columns": 0}
"""Options of a fused block that older files leave out, and what that means."""

DEVICE_SCHEMAS: Mapping[str, Mapping[str, Field]] = {**SCHEMAS, **PACKED_SCHEMAS}
"""What device graphs hold and the firmware reads."""


def device_version(op: str) -> int:
    """The version that goes with ``DEVICE_SCHEMAS``."""
    others = {SEND: SEND_VERSION, RECV: RECV_VERSION}
    return _packed_version(op) if op in PACKED_SCHEMAS else others.get(op, VERSION)


def _packed_version(op: str) -> int:
    return BLOCK_VERSION if op == FUSED_BLOCK else PACKED_VERSION


def is_ours(node: Node) -> bool:
    """Whether ``node`` is one of the operators that this module describes."""
    return node.is_custom and node.op in SCHEMAS


def is_packed(node: Node) -> bool:
    """Whether ``node`` is a compute operator of ours in packed form."""
    if not is_ours(node) or node.op not in PACKED_SCHEMAS:
        return False
    return node.attrs.get("v") in (PACKED_VERSION, _packed_version(node.op))


class _Encoded(Attrs):
    """Options of ``op`` that ``encode`` has checked: a search makes and reads some 50,000."""

    __slots__ = ("op", "read")

    def __init__(self, op: str, options: Mapping[str, AttrValue]) -> None:
        super().__init__(options)
        self.op = op
        self.read: dict[object, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return _Encoded, (self.op, dict(self.items()))


def encode(op: str, options: Mapping[str, AttrValue], version: int | None = None) -> Attrs:
    """The attributes of a node of operator ``op``; InternalError for options it cannot have.

    version: None: of a compute operator that of the explicit form, else the newest.
    """
    if version is None:
        version = device_version(op) if op in (SEND, RECV) else VERSION
    attrs = _Encoded(op, {**options, "v": version})
    problem = _problem(op, attrs) if is_checked() else None
    if problem:
        raise InternalError(f"{op}: {problem}")
    return attrs


def decode(node: Node) -> dict[str, AttrValue]:
    """The options of ``node`` without ``v``, each of the type and range that ``SCHEMAS`` says.

    Raises ModelError if an option is missing, unknown or out of range, or if the options have a
    version that this program does not read.
    """
    attrs = node.attrs
    is_checked = isinstance(attrs, _Encoded) and attrs.op == node.op
    problem = None if is_checked else _problem(node.op, attrs)
    if problem:
        raise ModelError(f"{node.op} {node.name!r}: {problem}; write the device graphs again")
    options = {key: value for key, value in attrs.items() if key != "v"}
    return {**(LATER if node.op == FUSED_BLOCK else {}), **_EARLY.get(node.op, {}), **options}


def read_once(node: Node, name: object, read: Callable[[], _Read]) -> _Read:
    """What ``read`` makes of a node's options; kept by name beside what ``encode`` has checked."""
    attrs = node.attrs
    if not isinstance(attrs, _Encoded) or attrs.op != node.op:
        return read()
    if name not in attrs.read:
        attrs.read[name] = read()
    found: _Read = attrs.read[name]
    return found


_EARLY: Mapping[str, Mapping[str, AttrValue]] = {RECV: {"early": 0}}
"""Options that a RECV of version 1 lacks, and what they were then."""


def _problem(op: str, attrs: Attrs) -> str | None:
    schema = SCHEMAS.get(op)
    if schema is None:
        return "no custom operator of this name is known"
    given = dict(attrs.items())  # asked some hundred times
    if "v" not in given:
        return "its options have no version (key 'v')"
    version, known = given["v"], range(VERSION, device_version(op) + 1)
    if type(version) is not int or version not in known:
        numbers = " and ".join(map(str, known))
        return f"its options are of version {version!r}, this program reads {numbers}"
    if version != VERSION:
        schema = DEVICE_SCHEMAS[op]
    later = _later(op, version)
    missing = [key for key in schema if key not in given and key not in later]
    unknown = [key for key in given if key not in schema and key != "v"]
    if missing or unknown:
        return f"option {missing[0]!r} is missing" if missing else f"unknown option {unknown[0]!r}"
    problems = ((key, field.problem(given[key])) for key, field in schema.items() if key in given)
    return next((f"option {key!r} {text}" for key, text in problems if text), None)


def _later(op: str, version: int) -> frozenset[str]:
    """Options that a block or RECV of an older version may leave out."""
    if op == RECV and version == VERSION:
        return frozenset(_EARLY[RECV])
    if op != FUSED_BLOCK or version == BLOCK_VERSION:
        return frozenset()
    return frozenset(LATER) if version == VERSION else frozenset(_SWEEP)
