# SPDX-License-Identifier: Apache-2.0
"""A device graph that differs in anything at all fails, and the first difference is named.

Every case changes the file of one device, as a wrong build or a bad flash would; the comparison
must find it and say which tensor, layer, device and element went wrong first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.tiny import NETWORKS
from tests.bundles import (
    bundle_of,
    device_graph,
    node_named,
    plan_of,
    replace_value,
    rewrite_node,
    rewrite_plan,
)
from tests.splits import compared, needs_tflm, tiny
from tests.support import run_tflm
from tflsplit.bundle import read_bundle
from tflsplit.cli import main
from tflsplit.errors import ModelError
from tflsplit.ir import Attrs, DType, Graph, Node, Value
from tflsplit.memory import ArenaEstimate, offline_metadata, predict_arena, tensor_order
from tflsplit.memory.buffers import ArenaPlan
from tflsplit.memory.lifetimes import peak_live_bytes
from tflsplit.memory.offline import METADATA_NAME
from tflsplit.ops.own.custom_options import RecvOptions, SendOptions
from tflsplit.ops.own.packed import packed, unpacked
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import split_model
from tflsplit.runtime.engines import engine
from tflsplit.split.devices import constant_bytes
from tflsplit.verify import Mismatch, Verdict, make_cases, verify_bundle
from tflsplit.wire.custom_ops import RECV, SEND

pytestmark = needs_tflm

ROWS, CHANNELS, STOCK, SUMS = "conv_2d_0", "conv_2d_6", "conv_2d_2", "conv_2d_13"
"""Layers of models/tiny.py's mobilenet at N=4: by rows with our convolution, by output channels,
by rows with a stock kernel, by input channels with partial sums."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundle_of(tmp_path / "out")


def verified(folder: Path, runs: int = 2) -> Verdict:
    name, make = engine("tflm")
    return verify_bundle(read_bundle(folder, check=False), name, make, runs, seed=3)


def mismatch_of(folder: Path) -> Mismatch:
    verdict = verified(folder)
    assert not verdict.passed
    assert verdict.problems == ()
    assert verdict.mismatch is not None
    return verdict.mismatch


def exit_code(folder: Path) -> int:
    return main(["verify", str(folder), "--runs", "2", "--seed", "3"])


def changed_constant(
    rank: int, layer: str, suffix: str, change: Callable[[Any], None]
) -> Callable[[Path], None]:
    """Change a constant of a layer in a device's file, in place."""

    def apply(folder: Path) -> None:
        def edit(graph: Graph) -> None:
            node = node_named(graph, layer)
            explicit = unpacked(node)
            old = next(v for v in explicit.operands if v.name.endswith(suffix))
            assert old.data is not None
            data = old.data.copy()
            change(data)
            assert not np.array_equal(data, old.data)
            new = replace(old, data=data)
            if explicit is node:
                replace_value(graph, old, new)
                return
            explicit.inputs = tuple(new if value is old else value for value in explicit.inputs)
            again = packed(explicit)
            node.inputs, node.attrs = again.inputs, again.attrs

        rewrite_node(folder, rank, edit)

    return apply


def describe_again(folder: Path, rank: int) -> None:
    """Write into plan.json what a device graph says of itself, so that only a run can tell."""
    graph = device_graph(folder, rank)
    arena = predict_arena(graph)

    def as_it_is(document: dict[str, Any]) -> None:
        entry = document["devices"][rank]
        entry["steps"] += [-1] * (len(graph.nodes) - entry["nodes"])
        entry["nodes"] = len(graph.nodes)
        entry["weights_bytes"] = constant_bytes(graph)
        entry["peak_live_bytes"] = peak_live_bytes(graph)
        for part in ("total", "head", "tail", "required"):
            key = "arena_bytes" if part == "total" else f"arena_{part}_bytes"
            entry[key] = getattr(arena, f"{part}_bytes")

    rewrite_plan(folder, as_it_is)


def without_planned_offsets(folder: Path, rank: int) -> None:
    """Let TFLM place the tensors of a device, each by itself."""

    def forget(graph: Graph) -> None:
        del graph.metadata[METADATA_NAME]

    rewrite_node(folder, rank, forget)
    describe_again(folder, rank)


def flip_channel(channel: int) -> Callable[[Any], None]:
    def change(data: Any) -> None:
        data[channel] = -data[channel] - 1

    return change


def box_of(folder: Path, rank: int, tensor: str) -> list[tuple[int, int]]:
    document = plan_of(folder)
    flat = document["devices"][rank]["tensors"][tensor][1]
    return list(zip(flat[::2], flat[1::2], strict=True))


def whole_tensor(mismatch: Mismatch, folder: Path) -> Any:
    """What the unsplit model holds there, from a run that shares no code with the comparison."""
    graph = tiny("mobilenet")
    value = next(v for n in graph.nodes for v in n.outputs if v.name == mismatch.tensor)
    (case,) = (c for c in make_cases(graph, 2, seed=3) if c.name == mismatch.case)
    visible = Graph("visible", graph.inputs, (value,), graph.nodes)
    return run_tflm(visible, [case.inputs[v.name] for v in graph.inputs])[0]


def check_named(mismatch: Mismatch, folder: Path, layer: str, rank: int) -> None:
    """Tensor, layer, rank and element are the right ones; "expected" is the unsplit model's."""
    assert (mismatch.tensor, mismatch.layer, mismatch.rank) == (layer, layer, rank)
    assert mismatch.local_tensor == layer
    box = box_of(folder, rank, layer)
    for coordinate, (start, stop) in zip(mismatch.index, box, strict=True):
        assert start <= coordinate < stop
    expected = whole_tensor(mismatch, folder)[mismatch.index]
    assert mismatch.expected == expected
    assert mismatch.got != expected
    assert 0 < mismatch.differing <= mismatch.size
    text = str(mismatch)
    for part in (repr(layer), f"rank {rank}", str(list(mismatch.index)), mismatch.case):
        assert part in text


@pytest.mark.parametrize("name", NETWORKS)
def test_an_untouched_folder_passes_and_says_what_was_compared(name: str, tmp_path: Path):
    verdict = verified(bundle_of(tmp_path / "out", name))
    assert verdict.passed
    assert (verdict.engine, verdict.problems, verdict.cases) == ("tflm", (), 3 + 2)
    assert verdict.tensors >= len(tiny(name).nodes)
    outputs = sum(v.size for v in tiny(name).outputs)
    assert verdict.elements >= 5 * outputs


@pytest.mark.parametrize("layer", [ROWS, STOCK, CHANNELS])
@pytest.mark.parametrize("suffix", ["/weights", "/bias"])
def test_a_weight_or_a_bias(folder: Path, layer: str, suffix: str):
    changed_constant(2, layer, suffix, flip_channel(1))(folder)
    mismatch = mismatch_of(folder)
    check_named(mismatch, folder, layer, rank=2)
    # Output channel 1 of the rank's own channels is the only one that can be wrong.
    assert mismatch.index[3] == box_of(folder, 2, layer)[3][0] + 1
    assert exit_code(folder) == 1


def test_one_byte_of_a_weight(folder: Path):
    def one_byte(data: Any) -> None:
        data[0, 0, 0, 0] ^= 0x40

    changed_constant(2, CHANNELS, "/weights", one_byte)(folder)
    check_named(mismatch_of(folder), folder, CHANNELS, rank=2)


def test_a_weight_of_a_partial_sum_shows_on_the_first_rank_that_keeps_the_sum(folder: Path):
    """The sum itself exists on no device: what is compared is what was made of it."""
    changed_constant(2, f"{SUMS}/partial", "/weights", flip_channel(0))(folder)
    mismatch = mismatch_of(folder)
    check_named(mismatch, folder, SUMS, rank=0)
    assert mismatch.index[3] == 0


def test_a_multiplier_of_a_requantization(folder: Path):
    def doubled(data: Any) -> None:
        data[1] //= 2

    changed_constant(3, SUMS, "/multiplier", doubled)(folder)
    mismatch = mismatch_of(folder)
    check_named(mismatch, folder, SUMS, rank=3)
    assert mismatch.index[3] == box_of(folder, 3, SUMS)[3][0] + 1


def test_a_multiplier_that_does_not_follow_from_the_scales(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    """No stock kernel could compute it, so it is found before anything runs."""

    def other(data: Any) -> None:
        data[0] -= 1

    changed_constant(2, ROWS, "/multiplier", other)(folder)
    verdict = verified(folder)
    assert verdict.mismatch is None
    (problem,) = verdict.problems
    assert problem.startswith("rank 2: ")
    assert f"{ROWS}/multiplier" in problem
    assert exit_code(folder) == 1
    assert f"FAILED: {problem}" in capsys.readouterr().out


def changed_quantization(
    rank: int, tensor: str, **changes: tuple[float, ...] | tuple[int, ...]
) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        def edit(graph: Graph) -> None:
            value = next(v for v in graph.values() if v.name == tensor)
            assert value.quantization is not None
            value.quantization = replace(value.quantization, **changes)  # type: ignore[arg-type]

        rewrite_node(folder, rank, edit)

    return apply


def test_a_scale(folder: Path):
    changed_quantization(1, CHANNELS, scales=(0.05,))(folder)
    check_named(mismatch_of(folder), folder, CHANNELS, rank=1)
    assert exit_code(folder) == 1


def test_a_zero_point_that_packed_constants_do_not_have(folder: Path):
    """It is part of what they were made of, so it is found before anything runs."""
    changed_quantization(1, ROWS, zero_points=(7,))(folder)
    with pytest.raises(ModelError, match=f"TFLSPLIT_CONV_2D {ROWS!r}: has .* constants"):
        verified(folder)


@pytest.mark.parametrize("layer", [STOCK, CHANNELS, SUMS])
def test_a_zero_point(folder: Path, layer: str):
    changed_quantization(1, layer, zero_points=(7,))(folder)
    check_named(mismatch_of(folder), folder, layer, rank=1)


def test_pads_on_the_wrong_side(folder: Path):
    """The halo of the last rank's strip: its missing row is below, not above."""

    def edit(graph: Graph) -> None:
        node = node_named(graph, "depthwise_conv_2d_1")
        top, bottom, left, right = node.attrs.integers("pads")
        assert (top, bottom) == (0, 1)
        node.attrs = node.attrs.replace(pads=(bottom, top, left, right))

    rewrite_node(folder, 3, edit)
    check_named(mismatch_of(folder), folder, "depthwise_conv_2d_1", rank=3)


def test_an_activation_bound(folder: Path):
    def edit(graph: Graph) -> None:
        node = node_named(graph, ROWS)
        low, _ = node.attrs.integers("activation")
        node.attrs = node.attrs.replace(activation=(low, low + 9))

    rewrite_node(folder, 0, edit)
    check_named(mismatch_of(folder), folder, ROWS, rank=0)


def other_row(data: Any) -> None:
    data[1] += 1 if data[1] == 0 else -1


def test_a_slice_that_begins_elsewhere(folder: Path):
    """Rows that were recomputed for a neighbour are added instead of the rank's own."""
    without_planned_offsets(folder, 1)
    changed_constant(1, "conv_2d_0/slice", "/begin", other_row)(folder)
    mismatch = mismatch_of(folder)
    # The slice is the first tensor that is wrong; it is a copy of what conv_2d_0 made.
    assert (mismatch.tensor, mismatch.rank) == (ROWS, 1)
    assert mismatch.local_tensor == "conv_2d_0/slice"


def test_a_slice_that_no_longer_lies_where_it_is_cut_from(folder: Path):
    """The same, where the slice was planned to be a part of its operand's own memory."""
    changed_constant(1, "conv_2d_0/slice", "/begin", other_row)(folder)
    verdict = verified(folder)
    assert verdict.cases == 0
    (problem,) = verdict.problems
    assert problem.startswith("rank 1: arena: conv_2d_0 ")
    assert "conv_2d_0/slice" in problem


def a_halo(graph: Graph, op: str) -> Any:
    return next(node for node in graph.nodes if node.op == op)


@pytest.mark.parametrize("op", [SEND, RECV])
def test_a_box_that_the_other_side_does_not_know(
    folder: Path, op: str, capsys: pytest.CaptureFixture[str]
):
    """A halo one row off is found by the checker, before anything runs."""

    def edit(graph: Graph) -> None:
        node = a_halo(graph, op)
        boxes = list(node.attrs.integers("boxes"))
        step = -1 if boxes[2] else 1
        boxes[2] += step
        boxes[3] += step
        node.attrs = node.attrs.replace(boxes=tuple(boxes))

    rewrite_node(folder, 2, edit)
    code = exit_code(folder)
    printed = capsys.readouterr()
    assert code in (1, 2)
    assert "conv_2d_4" in printed.out + printed.err
    assert any(rank in printed.out + printed.err for rank in ("rank 1", "rank 2", "node2.tflite"))


def test_a_halo_of_the_wrong_rows_on_both_sides(tmp_path: Path):
    """Rank 0 gives row 2 as row 3, with boxes that agree: only the bits can tell."""
    folder = bundle_of(tmp_path / "out", "resnet", 2, "rows")

    def shifted(graph: Graph) -> None:
        graph.metadata.pop(METADATA_NAME)  # it has no place for one tensor more
        send = a_halo(graph, SEND)
        options = SendOptions.of(send)
        x = send.input(0)
        roll = Value(x.name + "/rolled", x.shape, x.dtype, x.quantization)
        reverse = next(n for n in graph.nodes if x in n.outputs)
        assert options.to == (1,)
        # What is sent is the tensor with its rows the other way round.
        axis = Value("axis", (1,), DType.INT32, None, np.array([1], np.int32))
        node = replace(reverse, op="REVERSE_V2", inputs=(x, axis), outputs=(roll,), name="rolled")
        node = replace(node, is_custom=False, attrs=Attrs({}))
        graph.nodes.insert(graph.nodes.index(send), node)
        send.inputs = (roll,)
        for later in graph.nodes[graph.nodes.index(send) + 1 :]:
            if later.op == RECV and x in later.inputs[1:]:
                local, *pending = later.inputs
                later.inputs = (local, *(roll if v is x else v for v in pending))
                break

    rewrite_node(folder, 0, shifted)
    describe_again(folder, 0)
    verdict = verified(folder)
    assert verdict.mismatch is not None, verdict.problems
    assert verdict.mismatch.rank == 1
    assert verdict.mismatch.local_tensor.endswith("/gathered")
    assert verdict.mismatch.tensor == next(
        RecvOptions.of(n).tensor for n in device_graph(folder, 1).nodes if n.op == RECV
    )


def test_swapped_files_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]):
    one, two = folder / "node1.tflite", folder / "node2.tflite"
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)
    assert exit_code(folder) == 2
    assert "node1.tflite belongs to another plan or rank" in capsys.readouterr().err


def change_bound(document: dict[str, Any]) -> None:
    layer = next(layer for layer in document["layers"] if layer["node"] == CHANNELS)
    layer["bounds"][2] += 1


def change_tensor_box(document: dict[str, Any]) -> None:
    box = document["devices"][2]["tensors"][STOCK][1]
    box[2], box[3] = box[2] - 1, box[3] - 1


def change_bytes(document: dict[str, Any]) -> None:
    document["devices"][1]["sent_bytes"] += 1


def change_arena(document: dict[str, Any]) -> None:
    document["devices"][1]["arena_required_bytes"] -= 16


def change_way(document: dict[str, Any]) -> None:
    document["layers"][0]["way"] = "whole"


def change_owner(document: dict[str, Any]) -> None:
    document["devices"][2]["tensors"][STOCK][2] = False


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (change_bound, f"by its layers rank 1 holds .* of '{CHANNELS}', but its graph"),
        (change_tensor_box, f"by its layers rank 2 holds .* of '{STOCK}', but its graph"),
        (change_owner, f"by its layers rank 2 holds .* of '{STOCK}', but its graph nothing"),
        (change_bytes, "sent_bytes of rank 1 is .*, but its graph comes to"),
        (change_arena, "arena_required_bytes of rank 1 is .*, but its graph comes to"),
        (change_way, "the layers make no plan .* takes neither factor"),
    ],
)
def test_a_plan_that_does_not_tell_the_truth(
    folder: Path,
    change: Callable[[dict[str, Any]], None],
    says: str,
    capsys: pytest.CaptureFixture[str],
):
    rewrite_plan(folder, change)
    code = main(["verify", str(folder), "--runs", "0", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert code == 1
    assert not result["passed"]
    assert any(re.search(says, problem) for problem in result["problems"])


def test_json_names_the_first_difference(folder: Path, capsys: pytest.CaptureFixture[str]):
    changed_constant(2, CHANNELS, "/bias", flip_channel(0))(folder)
    mismatch = mismatch_of(folder)
    assert main(["verify", str(folder), "--runs", "2", "--seed", "3", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is False
    assert found["mismatch"]["tensor"] == CHANNELS
    assert found["mismatch"]["index"] == list(mismatch.index)
    assert found["mismatch"]["rank"] == 2


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_the_first_of_several_differences_is_in_the_models_order(folder: Path, rank: int):
    """A later layer on an earlier rank does not hide the earlier layer."""
    changed_constant(rank, SUMS, "/bias", flip_channel(0))(folder)
    changed_constant(2, CHANNELS, "/bias", flip_channel(0))(folder)
    check_named(mismatch_of(folder), folder, CHANNELS, rank=2)


def test_several_inputs_and_outputs(tmp_path: Path):
    folder = bundle_of(tmp_path / "out", "temporal", 3)
    assert verified(folder).passed
    layer = tiny("temporal").outputs[1].name
    changed_constant(1, layer, "/bias", flip_channel(0))(folder)
    mismatch = mismatch_of(folder)
    assert (mismatch.tensor, mismatch.rank) == (layer, 1)


def with_float_borders(graph: Graph) -> Graph:
    """The network with float32 inputs and outputs, behind QUANTIZE and DEQUANTIZE."""
    outside = [
        Value(f"float_{v.name}", v.shape, DType.FLOAT32) for v in (*graph.inputs, *graph.outputs)
    ]
    inputs, outputs = outside[: len(graph.inputs)], outside[len(graph.inputs) :]
    before = [
        Node("QUANTIZE", (outer,), (inner,))
        for outer, inner in zip(inputs, graph.inputs, strict=True)
    ]
    after = [
        Node("DEQUANTIZE", (inner,), (outer,))
        for inner, outer in zip(graph.outputs, outputs, strict=True)
    ]
    nodes = [*before, *graph.nodes, *after]
    return Graph("floats", tuple(inputs), tuple(outputs), nodes)


@pytest.mark.parametrize("name", ["temporal", "unet"])
def test_float_inputs_and_outputs(name: str):
    split = split_model(with_float_borders(tiny(name)), Wishes(3))
    assert compared(split, runs=3).passed
    assert {v.dtype for d in split.devices for v in d.graph.inputs} == {DType.FLOAT32}
    node = next(n for n in split.devices[1].graph.nodes if n.op == "QUANTIZE")
    (y,) = node.outputs
    assert y.quantization is not None
    y.quantization = replace(y.quantization, zero_points=(y.quantization.zero_point + 9,))
    mismatch = compared(split).mismatch
    assert mismatch is not None
    assert (mismatch.op, mismatch.rank) == ("QUANTIZE", 1)


def pile_up(folder: Path) -> None:
    """All tensors of rank 2 at offset 0, as metadata that TFLM would take on trust."""

    def piled(graph: Graph) -> None:
        buffers = [b for b in predict_arena(graph).plan.offsets if b.value is not None]
        graph.metadata[METADATA_NAME] = offline_metadata(
            ArenaPlan(dict.fromkeys(buffers, 0)), tensor_order(graph)
        )

    rewrite_node(folder, 2, piled)
    describe_again(folder, 2)


def test_offsets_that_overlap_are_found_before_anything_runs(folder: Path):
    pile_up(folder)
    verdict = verified(folder)
    assert verdict.cases == 0
    assert verdict.problems
    assert all(text.startswith("rank 2: arena: ") for text in verdict.problems)
    assert any("share bytes at step" in text for text in verdict.problems)


def test_offsets_that_overlap_are_found_by_an_inference(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """Even if nobody looked at the plan: a tensor is not where it was left."""
    pile_up(folder)
    monkeypatch.setattr("tflsplit.check.device_graphs.plan_violations", lambda *arguments: [])
    verdict = verified(folder)
    assert verdict.cases == 1
    assert not verdict.passed
    assert [text[:15] for text in verdict.problems] == ["rank 2: arena: "] * len(verdict.problems)
    assert "in the arena" in verdict.problems[0]


@pytest.mark.parametrize("part", ["head", "tail"])
def test_an_arena_that_tflm_allocates_otherwise_is_a_failure(
    folder: Path, part: str, monkeypatch: pytest.MonkeyPatch
):
    def short(graph: Graph, *arguments: Any, **options: Any) -> ArenaEstimate:
        estimate = predict_arena(graph, *arguments, **options)
        return replace(estimate, **{f"{part}_bytes": getattr(estimate, f"{part}_bytes") - 16})

    monkeypatch.setattr("tflsplit.verify.arenas.predict_arena", short)
    problems = verified(folder).problems
    assert [text[:7] for text in problems] == [f"rank {rank}:" for rank in range(len(problems))]
    assert all(f"the arena's {part} is predicted as" in text for text in problems)
    assert len(problems) == 4
