# SPDX-License-Identifier: Apache-2.0
"""TFLSPLIT_FUSED_BLOCK is the chain of operators that it stands for; its options and scratch."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings

from models.builder import NONE, Tensor
from models.layers import LayerBuilder
from models.mobilenet_v2 import inverted_residual
from tests.ops.custom_cases import Case, constant, fused_block_cases, run_case
from tests.random_models import layers
from tests.random_models.net import Net
from tests.support import run_tflm
from tflsplit.errors import InternalError
from tflsplit.ir import AttrValue, DType, Graph, Node, Quantization, Value
from tflsplit.ops.own.custom import problems
from tflsplit.ops.own.custom_options import Pads, Pair, WindowOptions
from tflsplit.ops.own.expansion import stock_expansion
from tflsplit.ops.own.fused import (
    ABSENT,
    FusedOptions,
    Operands,
    ResidualAdd,
    Stage,
    block_parts,
    fused_block,
    fused_inside,
    unfused,
)
from tflsplit.ops.quantmath import add_multipliers
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.tflite import read_model, write_model
from tflsplit.wire import custom_ops as wire


def computed(node: Node) -> tuple[Value, ...]:
    """Operands that are no constants: x, and what an ADD adds."""
    return tuple(value for value in node.operands if not value.is_constant)


@settings(max_examples=60)
@given(case=fused_block_cases())
def test_the_chain_gives_the_same_bits_on_tflm(case: Case) -> None:
    """Run by its stock expansion as a whole, no map between its parts ever seen."""
    graph = Graph("case", computed(case.node), (case.node.output,), stock_expansion(case.node))
    (result,) = run_tflm(graph, case.arrays)
    np.testing.assert_array_equal(result, run_case(case), strict=True)


@settings(max_examples=60)
@given(case=fused_block_cases())
def test_the_chain_has_the_operands_and_options_of_the_block(case: Case) -> None:
    node, options, chain = case.node, FusedOptions.of(case.node), unfused(case.node)
    stages = [s for s in (options.expand, options.depthwise) if s is not None]
    assert [part.op for part in chain] == [
        *([wire.CONV_2D] if options.expand else []),
        wire.DEPTHWISE_CONV_2D,
        wire.PARTIAL_CONV_2D if options.sums else wire.CONV_2D,
        *(["ADD"] if options.add else []),
    ]
    assert chain[0].input(0) is node.input(0)
    assert chain[-1].output is node.output
    for part, following in pairwise(chain):
        assert following.input(0) is part.output
    for part, stage in zip(chain, stages, strict=False):
        assert WindowOptions.of(part) == stage.window
        assert part.attrs["activation"] == stage.activation
        assert part.output.quantization == stage.quantization
    constants = [v for part in chain for v in part.operands if v.is_constant]
    assert constants == [v for v in node.operands if v.is_constant]


@settings(max_examples=60)
@given(case=fused_block_cases())
def test_blocks_survive_a_file(case: Case) -> None:
    node = case.node
    model = write_model(Graph("block", computed(node), (node.output,), [node]))
    (found,) = read_model(model).nodes
    assert problems(found) == []
    assert FusedOptions.of(found) == FusedOptions.of(node)
    assert [v is None for v in found.inputs] == [v is None for v in node.inputs]


def stage(
    stride: Pair = (1, 1), dilation: Pair = (1, 1), pads: Pads = (0, 0, 0, 0), zero_point: int = 3
) -> Stage:
    return Stage(WindowOptions(stride, dilation, pads), (-128, 127), zero_point, 0.25)


def tables(name: str, channels: int, *weights: int) -> Operands:
    """Operands of a stage, with ``channels`` results."""
    return (
        constant(f"{name}/weights", np.ones(weights, np.int8)),
        constant(f"{name}/bias", np.zeros(channels, np.int32)),
        constant(f"{name}/multiplier", np.full(channels, 2**30, np.int32)),
        constant(f"{name}/shift", np.full(channels, -4, np.int32)),
    )


def activation(name: str, *shape: int) -> Value:
    return Value(name, shape, DType.INT8, Quantization((0.5,), (-7,)))


PLAIN, SAME_3X3 = stage(), stage(pads=(1, 1, 1, 1))


def block(
    kernel: int = 3,
    depthwise: Stage = SAME_3X3,
    expand: Stage | None = PLAIN,
    wide: int = 12,
    tile_columns: int = 0,
    extent: Pair = (8, 10),
) -> Node:
    """x [1, *extent, 4] -- 1x1 to ``wide`` -- depthwise -- 1x1 to 5."""
    x = activation("x", 1, *extent, 4)
    channels = wide if expand else 4
    rows, columns = depthwise.window.output_extent((1, *extent, channels), (kernel, kernel))
    return fused_block(
        x,
        tables("e", wide, wide, 1, 1, 4) if expand else ABSENT,
        tables("d", channels, 1, kernel, kernel, channels),
        tables("p", 5, 5, 1, 1, channels),
        activation("y", 1, rows, columns, 5),
        FusedOptions(expand, depthwise, tile_columns=tile_columns),
        "block",
    )


def adding_block() -> Node:
    """The block of 8x10 positions, and x's like added to its result."""
    plain = block()
    p = plain.output.quantization
    assert p is not None
    residual = activation("r", *plain.output.shape)
    y = Value("sum", plain.output.shape, DType.INT8, Quantization((0.75,), (4,)))
    add = ResidualAdd(
        (-128, 127), p.zero_point, p.scale, 0, add_multipliers(p.scale, 0.5, 0.75), -7
    )
    options = replace(FusedOptions.of(plain), add=add)
    inputs = (*plain.inputs, residual)
    attrs = wire.encode(wire.FUSED_BLOCK, options.attrs())
    return replace(plain, inputs=inputs, outputs=(y,), attrs=attrs)


@pytest.mark.parametrize(
    ("place", "number", "message"),
    [
        (0, 128, "option 'add' is malformed"),
        (2, 200, "out of range"),
        (3, 0, "do not follow from the scales"),
        (4, 1, "another activation than its own"),
        (5, -1, "out of range"),
        (5, 2**30 + 1, "do not follow from the scales"),
        (8, 1, "shift outside"),
        (11, 3, "another zero point than its own"),
    ],
)
def test_an_add_that_contradicts_its_operands_is_found(
    place: int, number: int, message: str
) -> None:
    node = adding_block()
    assert problems(node) == []
    ints = node.attrs.integers("add") or ()
    changed = (*ints[:place], number, *ints[place + 1 :])
    (problem,) = problems(replace(node, attrs=node.attrs.replace(add=changed)))
    assert message in problem


def test_an_add_without_its_operand_is_found() -> None:
    node = adding_block()
    (problem,) = problems(replace(node, inputs=node.inputs[:-1]))
    assert "does not go with the options" in problem
    other = activation("r", 1, 8, 10, 4)
    (problem,) = problems(replace(node, inputs=(*node.inputs[:-1], other)))
    assert "which is not like" in problem


INTS = SAME_3X3.ints()


def with_int(index: int, number: int) -> tuple[int, ...]:
    return (*INTS[:index], number, *INTS[index + 1 :])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"v": 4}, "version 4, this program reads 1 and 2 and 3"),
        ({"window_columns": -1}, "option 'window_columns' is -1"),
        ({"window_columns": 3, "tile_columns": 2}, "does not go with 'tile_columns'"),
        ({"first_depthwise": INTS}, "options of a first unit are missing"),
        ({"first_depthwise": INTS, "first_project": INTS}, "a first unit need 'window_columns'"),
        (
            {"first_depthwise": INTS, "first_project": INTS, "window_columns": 2},
            "takes 13 operands, or 14 with an ADD, 26 with a first unit",
        ),
        ({"first_depthwise": INTS[:11]}, "option 'first_depthwise' has 11 elements, not 12"),
        ({"depthwise": INTS[:11]}, "option 'depthwise' has 11 elements, not 12"),
        ({"depthwise": ()}, "option 'depthwise' has 0 elements, not 12"),
        ({"expand": INTS[:11]}, "option 'expand' has 11 elements, not 12"),
        ({"expand": (*INTS, 0)}, "option 'expand' has 13 elements, not 12"),
        ({"expand": with_int(0, 0)}, "option 'expand' has a stride or a dilation"),
        ({"depthwise": with_int(1, -1)}, "option 'depthwise' has a stride or a dilation"),
        ({"depthwise": with_int(3, 0)}, "option 'depthwise' has a stride or a dilation"),
        ({"depthwise": with_int(7, -1)}, "option 'depthwise' has negative pads"),
        ({"depthwise": with_int(8, -129)}, "option 'depthwise' has the activation -129..127"),
        ({"depthwise": with_int(9, 128)}, "option 'depthwise' has the activation -128..128"),
        ({"expand": (*INTS[:8], 5, 4, *INTS[10:])}, "option 'expand' has the activation 5..4"),
        ({"expand": with_int(10, 128)}, "option 'expand' has the zero point 128"),
        ({"activation": (5, 4)}, "activation 5..4 lets nothing through"),
        ({"sum": 2}, "option 'sum' is 2"),
        ({"tile_columns": -1}, "option 'tile_columns' is -1"),
        ({"expand": ()}, "operands of the expansion do not go with its options"),
        ({"sum": 1}, "makes sums, which are not requantized here"),
        ({"depthwise": stage().ints()}, r"must make \[1, 6, 8, 5\]"),
        ({"expand": stage((9, 9)).ints()}, r"must make \[1, 1, 2, 5\]"),
        ({"depthwise": stage(dilation=(9, 9)).ints()}, "must make"),
    ],
)
def test_malformed_options_are_refused(changes: dict[str, AttrValue], message: str) -> None:
    node = block()
    assert problems(node) == []
    (problem,) = problems(replace(node, attrs=node.attrs.replace(**changes)))
    assert problem.startswith("TFLSPLIT_FUSED_BLOCK 'block': ")
    assert re.search(message, problem)


def without(*places: int) -> Callable[[Node], Node]:
    def change(node: Node) -> Node:
        inputs = (None if at in places else value for at, value in enumerate(node.inputs))
        return replace(node, inputs=tuple(inputs))

    return change


def operand(place: int, value: Value) -> Callable[[Node], Node]:
    def change(node: Node) -> Node:
        return replace(node, inputs=(*node.inputs[:place], value, *node.inputs[place + 1 :]))

    return change


def int8(*shape: int) -> Value:
    return constant("other", np.ones(shape, np.int8))


def int32(*numbers: int) -> Value:
    return constant("other", np.array(numbers, np.int32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: replace(n, inputs=n.inputs[:12]), "takes 13 operands"),
        (lambda n: replace(n, outputs=n.outputs * 2), "makes 1 result"),
        (without(0), "operand 0 must be there"),
        (without(1), "operand 1 must be there"),
        (without(1, 2, 3, 4), "operands of the expansion"),
        (without(5), "operand 5 must be there"),
        (without(8), "operand 8 must be there"),
        (without(9), "operand 9 must be there"),
        (without(12), "operand 12 must be there"),
        (operand(0, activation("x", 8, 10, 4)), "operand 0 must be there, with 4 dimensions"),
        (operand(3, int8(1, 12)), "operand 3 must be there, with 1 dimensions"),
        (operand(1, int8(12, 1, 1, 2)), "the expansion must not be grouped"),
        (operand(5, int8(1, 3, 3, 24)), "must not have a channel multiplier"),
        (operand(9, int8(5, 3, 3, 12)), "must have 1x1 weights of 12 input channels"),
        (operand(9, int8(5, 1, 1, 6)), "must have 1x1 weights of 12 input channels"),
        (operand(7, int32(*[1] * 11)), r"int32\[12\]"),
        (operand(8, int32(*[31] * 12)), "shift outside"),
        (operand(11, int32(*[-1] * 5)), "negative multiplier"),
        (operand(2, int32(0)), r"int32\[12\]"),
    ],
)
def test_operands_that_do_not_fit_are_refused(change: Callable[[Node], Node], message: str) -> None:
    (problem,) = problems(change(block()))
    assert re.search(message, problem)


def test_a_caller_that_gets_it_wrong_hears_of_it_at_once() -> None:
    node = block()
    with pytest.raises(InternalError, match="must make"):
        fused_block(
            node.input(0),
            node.inputs[1:5],
            node.inputs[5:9],
            node.inputs[9:],
            activation("y", 1, 8, 9, 5),
            FusedOptions.of(node),
        )


def test_bias_is_optional_everywhere() -> None:
    assert problems(without(2, 6, 10)(block())) == []


def parts_of(make: Callable[[LayerBuilder, Tensor], Tensor]) -> list[tuple[str | None, str, str]]:
    """Names of expansion, depthwise convolution and projection of every block found."""
    net = LayerBuilder("net", 1, images=2)
    graph = net.finish(make(net, net.input((8, 8, 4))))
    found = block_parts(graph).items()
    names = [(e.name if e else None, d.name, project.name) for project, (e, d) in found]
    inside = {name for expand, depthwise, _ in names for name in (expand, depthwise) if name}
    assert fused_inside(graph) == inside
    return names


def pointwise(net: LayerBuilder, x: Tensor, channels: int = 6) -> Tensor:
    return net.conv(x, channels, (1, 1), activation=NONE)


def test_a_node_with_several_results_begins_no_block() -> None:
    """SPLIT in front of a 1x1 convolution."""
    net = Net(random.Random(1))
    halves = net.results(
        "SPLIT", (net.integers(3), net.input((1, 4, 4, 8))), [(1, 4, 4, 4)] * 2, num_splits=2
    )
    layers.pointwise(net, halves[0], 4)
    graph = net.finish("split")
    assert block_parts(graph) == {}
    assert all(split_model(graph, Wishes(count, fuse=True)).devices for count in (1, 2, 3))


def test_blocks_of_mobilenet_v2() -> None:
    def make(net: LayerBuilder, x: Tensor) -> Tensor:
        x = net.conv(x, 4, (3, 3), (2, 2))
        x = inverted_residual(net, x, 1, 4, 1)  # the stem is its expansion no more: ADD reads it
        x = inverted_residual(net, x, 3, 4, 1)
        return inverted_residual(net, x, 3, 6, 2)

    assert parts_of(make) == [
        (None, "depthwise_conv_2d_1", "conv_2d_2"),
        ("conv_2d_4", "depthwise_conv_2d_5", "conv_2d_6"),
        ("conv_2d_8", "depthwise_conv_2d_9", "conv_2d_10"),
    ]


def test_a_stem_is_the_expansion_of_the_first_block() -> None:
    def make(net: LayerBuilder, x: Tensor) -> Tensor:
        return inverted_residual(net, net.conv(x, 8, (3, 3), (2, 2)), 1, 6, 1)

    assert parts_of(make) == [("conv_2d_0", "depthwise_conv_2d_1", "conv_2d_2")]


def test_blocks_of_mobilenet_v1_do_not_share_a_layer() -> None:
    def make(net: LayerBuilder, x: Tensor) -> Tensor:
        for _ in range(3):
            x = pointwise(net, net.depthwise(x))
        return x

    assert parts_of(make) == [
        (None, f"depthwise_conv_2d_{i}", f"conv_2d_{i + 1}") for i in (0, 2, 4)
    ]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda net, x: net.conv(net.depthwise(x), 6), id="a 3x3 projection"),
        pytest.param(
            lambda net, x: net.conv(net.depthwise(x), 6, (1, 1), (2, 2)), id="a strided projection"
        ),
        pytest.param(
            lambda net, x: net.conv(net.depthwise(x), 6, (1, 1), groups=2), id="a grouped one"
        ),
        pytest.param(
            lambda net, x: pointwise(net, net.depthwise(x, multiplier=2)), id="a multiplier"
        ),
        pytest.param(lambda net, x: pointwise(net, net.conv(x, 6)), id="no depthwise convolution"),
        pytest.param(lambda net, x: net.depthwise(x), id="no projection"),
        pytest.param(
            lambda net, x: net.concat(*[pointwise(net, d) for d in [net.depthwise(x)] * 2]),
            id="d is read twice",
        ),
    ],
)
def test_what_is_no_block(make: Callable[[LayerBuilder, Tensor], Tensor]) -> None:
    assert parts_of(make) == []


def test_an_expansion_that_is_grouped_or_read_twice_stays_outside() -> None:
    def grouped(net: LayerBuilder, x: Tensor) -> Tensor:
        return pointwise(net, net.depthwise(net.conv(x, 6, groups=2)))

    def twice(net: LayerBuilder, x: Tensor) -> Tensor:
        e = net.conv(x, 6)
        return net.add(pointwise(net, net.depthwise(e)), e)

    for make in (grouped, twice):
        assert parts_of(make) == [(None, "depthwise_conv_2d_1", "conv_2d_2")]


def test_an_output_of_the_model_stays_outside() -> None:
    net = LayerBuilder("net", 1, images=2)
    e = net.conv(net.input((8, 8, 4)), 6)
    d = net.depthwise(e)
    y = pointwise(net, d)
    assert fused_inside(net.finish(y, e)) == {d.value.name}
    assert fused_inside(net.finish(y, d)) == set()
