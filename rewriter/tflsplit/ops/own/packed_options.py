# SPDX-License-Identifier: Apache-2.0
"""What the options of compute operators say of their constants, in explicit and in packed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from tflsplit.errors import ModelError
from tflsplit.ir import Attrs, AttrValue, Node, Value
from tflsplit.ops.own.custom_options import Pair
from tflsplit.ops.own.fused import FIRST
from tflsplit.ops.own.fused_options import STAGE_KEYS, FusedOptions, Stage, stage_problems
from tflsplit.ops.own.packed_stage import PackedStage
from tflsplit.ops.own.short_rounding import Rounding
from tflsplit.wire import custom_ops as wire

_Ints = tuple[int, ...]
_PLAIN_INTS = 12
_OF_KERNEL = ("kernel", "groups", "rounding")


@dataclass(frozen=True)
class StageOptions:
    """A stage of a packed block as stored: the explicit stage, and what its operands would show."""

    stage: Stage
    kernel: Pair
    channels: int
    rounding: Rounding

    @classmethod
    def of(cls, node: Node, key: str) -> StageOptions | None:
        """Of a packed block; None where there is none.  Raises ModelError if it is malformed."""
        return wire.read_once(node, (cls, key), lambda: cls._read(node, key))

    @classmethod
    def _read(cls, node: Node, key: str) -> StageOptions | None:
        ints = cast(_Ints, wire.decode(node)[key])
        if not ints:
            return None
        problem = next(iter(_problems(ints)), None)
        if problem:
            raise ModelError(
                f"{node.op} {node.name!r}: option {key!r} {problem}; write the device graphs again"
            )
        stage = Stage.of_ints(ints[:_PLAIN_INTS])
        rows, columns, channels, rounding = ints[_PLAIN_INTS:]
        return cls(stage, (rows, columns), channels, Rounding(rounding))

    def ints(self) -> _Ints:
        """As stored."""
        return (*self.stage.ints(), *self.kernel, self.channels, int(self.rounding))


def _problems(ints: _Ints) -> list[str]:
    if len(ints) != wire.STAGE_INTS:
        return [f"has {len(ints)} elements, not {wire.STAGE_INTS}"]
    found = list(stage_problems(ints[:_PLAIN_INTS]))
    if min(ints[12:15]) < 1:
        found.append("has a kernel or channels that are not positive")
    if not 0 <= ints[15] <= 2:
        found.append(f"has the rounding {ints[15]}, not within 0..2")
    return found


def stages_of(node: Node) -> list[PackedStage]:
    """The stages whose constants a node has, in order.

    Raises ModelError if options are malformed; operands must have the right number of dimensions.
    """
    if node.op == wire.FUSED_BLOCK:
        return _block_stages(node)
    x, y = node.input(0), node.output
    channels = y.shape[-1]
    activation = cast(Pair | None, wire.decode(node).get("activation"))
    if node.op == wire.REQUANTIZE:
        return [PackedStage((channels,), 0, _zero_point(y), activation)]
    if node.op == wire.PARTIAL_FULLY_CONNECTED:
        return [PackedStage((channels, x.shape[-1]), _zero_point(x))]
    rows, columns = _kernel(node)
    y_zero_point = _zero_point(y) if activation else 0
    if node.op == wire.DEPTHWISE_CONV_2D:
        shape: tuple[int, ...] = (1, rows, columns, channels)
        return [PackedStage(shape, _zero_point(x), y_zero_point, activation, depthwise=True)]
    groups = _groups(node)
    shape = (channels, rows, columns, x.shape[3] // groups)
    return [PackedStage(shape, _zero_point(x), y_zero_point, activation, groups)]


def _kernel(node: Node) -> Pair:
    if wire.is_packed(node):
        return cast(Pair, wire.decode(node)["kernel"])
    shape = node.input(1).shape
    return shape[1], shape[2]


def _groups(node: Node) -> int:
    if wire.is_packed(node):
        return cast(int, wire.decode(node).get("groups", 1))
    return node.input(0).shape[3] // node.input(1).shape[3]


def _block_stages(node: Node) -> list[PackedStage]:
    x, y = node.input(0), node.output
    options = block_options(node)
    at, zero_point, stages = x.shape[3], _zero_point(x), list[PackedStage]()
    for key in STAGE_KEYS:
        stage = _inner(node, key)
        if stage is None:
            continue
        plain, depthwise = stage.stage, key.endswith("depthwise")
        inside = 1 if depthwise else at
        shape = (stage.channels, *stage.kernel, inside)
        shape = (1, *stage.kernel, stage.channels) if depthwise else shape
        stages.append(
            PackedStage(shape, zero_point, plain.zero_point, plain.activation, 1, depthwise)
        )
        at, zero_point = stage.channels, plain.zero_point
    activation = None if options.sums else options.activation
    y_zero_point = 0 if options.sums else _zero_point(y)
    if options.add is not None:
        activation, y_zero_point = options.add.activation, options.add.zero_point
    return [*stages, PackedStage((y.shape[3], 1, 1, at), zero_point, y_zero_point, activation)]


_WEIGHTS = dict(zip(STAGE_KEYS, (FIRST, FIRST + 4, FIRST + 8, 1, 5), strict=True))
"""Where the weights of a stage are among the operands of an explicit block."""


def _inner(node: Node, key: str) -> StageOptions | None:
    if wire.is_packed(node):
        return StageOptions.of(node, key)
    options = FusedOptions.of(node)
    first = options.first
    before = (first.expand, first.depthwise, first.project) if first else (None, None, None)
    stages = (*before, options.expand, options.depthwise)
    stage = stages[STAGE_KEYS.index(key)]
    if stage is None:
        return None
    shape = node.input(_WEIGHTS[key]).shape
    channels = shape[3] if key.endswith("depthwise") else shape[0]
    return StageOptions(stage, (shape[1], shape[2]), channels, Rounding.ANY)


def inner_stages(node: Node) -> list[Stage]:
    """All stages of a block but the last projection, in order, in either form."""
    found = (_inner(node, key) for key in STAGE_KEYS)
    return [inner.stage for inner in found if inner is not None]


def block_options(node: Node) -> FusedOptions:
    """The options of a block, in either form, as the explicit form has them."""
    if not wire.is_packed(node):
        return FusedOptions.of(node)
    plain = replace_attrs(node, explicit_attrs(node))
    return FusedOptions.of(plain)


def replace_attrs(node: Node, attrs: Attrs) -> Node:
    """The node with other options."""
    return replace(node, attrs=attrs)


def attrs_of(node: Node, roundings: Sequence[Rounding]) -> Attrs:
    """The options of an explicit node in packed form."""
    options: dict[str, AttrValue] = wire.decode(node)
    schema = wire.PACKED_SCHEMAS[node.op]
    if "kernel" in schema:
        options["kernel"] = _kernel(node)
    if "groups" in schema:
        options["groups"] = _groups(node)
    if "rounding" in schema:
        options["rounding"] = int(roundings[-1])
    if node.op == wire.FUSED_BLOCK:
        inner = [key for key in STAGE_KEYS if _inner(node, key)]
        options.update(dict.fromkeys(set(STAGE_KEYS) - set(inner), ()))
        for key, rounding in zip(inner, roundings, strict=False):
            stage = _inner(node, key)
            assert stage is not None
            options[key] = replace(stage, rounding=rounding).ints()
    return wire.encode(node.op, options, wire.device_version(node.op))


def explicit_attrs(node: Node) -> Attrs:
    """The options of a packed node in explicit form."""
    return wire.read_once(node, "explicit", lambda: _explicit_attrs(node))


def _explicit_attrs(node: Node) -> Attrs:
    options = {key: value for key, value in wire.decode(node).items() if key not in _OF_KERNEL}
    if node.op == wire.FUSED_BLOCK:
        for key in STAGE_KEYS:
            stage = StageOptions.of(node, key)
            options[key] = stage.stage.ints() if stage else ()
    return wire.encode(node.op, options)


def roundings_of(node: Node) -> list[Rounding]:
    """Of the stages of a packed node; ANY of sums, which are not rounded."""
    options = wire.decode(node)
    last = Rounding(cast(int, options.get("rounding", 0)))
    if node.op != wire.FUSED_BLOCK:
        return [last]
    inner = (StageOptions.of(node, key) for key in STAGE_KEYS)
    return [*(stage.rounding for stage in inner if stage), last]


def _zero_point(value: Value) -> int:
    return 0 if value.quantization is None else value.quantization.zero_point
