# SPDX-License-Identifier: Apache-2.0
"""The model in flash: smaller, the same network, the same arena, the same bits."""

import numpy as np
import pytest

from tests.bundles import bundle_of
from tests.splits import tiny
from tests.support import run_tflm
from tflsplit.bundle import read_bundle
from tflsplit.bundle.folder import METADATA, marked
from tflsplit.firmware.model import NAME_CHARACTERS, flash_model, stripped
from tflsplit.ir import Graph
from tflsplit.memory import predict_arena
from tflsplit.memory.offline import METADATA_NAME
from tflsplit.tflite import read_model, write_model
from tflsplit.wire import custom_ops as wire


def structure(graph: Graph) -> list[object]:
    """All that a kernel may read, with tensors by number."""
    number = {id(value): index for index, value in enumerate(graph.values())}
    rows: list[object] = [
        (
            node.op,
            node.version,
            [None if v is None else number[id(v)] for v in node.inputs],
            [number[id(v)] for v in node.outputs],
            {key: item for key, item in node.attrs.items() if key != "tensor"},
        )
        for node in graph.nodes
    ]
    rows += [
        (v.shape, v.dtype, None if v.data is None else v.data.tobytes()) for v in graph.values()
    ]
    return rows


@pytest.mark.parametrize("stock", [False, True])
def test_only_what_people_read_is_left_out(tmp_path, stock):
    bundle = read_bundle(bundle_of(tmp_path / "out", world_size=4, stock=stock))
    for device in bundle.devices:
        named = marked(device.graph, device.rank, 4, "0" * 32)
        small = read_model(flash_model(named))
        assert structure(small) == structure(device.graph)
        assert all(value.name == "" for value in small.values() if not value.is_constant)
        assert small.metadata[METADATA] == named.metadata[METADATA]
        assert len(flash_model(named)) < len(write_model(named))


@pytest.mark.parametrize("kernels", ["reference", "cmsis_nn"])
def test_the_arena_stays(tmp_path, kernels):
    bundle = read_bundle(bundle_of(tmp_path / "out", world_size=3))
    for device in bundle.devices:
        small = read_model(flash_model(device.graph))
        before, after = (predict_arena(g, "cortex_m", kernels) for g in (device.graph, small))
        assert (after.head_bytes, after.tail_bytes) == (before.head_bytes, before.tail_bytes)
        assert after.required_bytes <= before.required_bytes


@pytest.mark.parametrize("name", ["mobilenet"])
def test_tflm_computes_the_same_bits(name):
    graph = tiny(name)
    small = stripped(graph)
    draw = np.random.default_rng(3)
    for _ in range(3):
        inputs = [draw.integers(-128, 128, value.shape).astype(np.int8) for value in graph.inputs]
        for wanted, got in zip(run_tflm(graph, inputs), run_tflm(small, inputs), strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_scales_stay_where_a_stock_kernel_reads_them(tmp_path):
    bundle = read_bundle(bundle_of(tmp_path / "out", world_size=4))
    dropped = 0
    for device in bundle.devices:
        small = stripped(device.graph)
        for old, new in zip(device.graph.nodes, small.nodes, strict=True):
            for a, b in zip(old.operands, new.operands, strict=True):
                if not wire.is_ours(old) or not a.is_constant:
                    assert b.quantization == a.quantization
                else:
                    dropped += a.quantization is not None and b.quantization is None
    assert dropped > 0


def test_names_in_options_are_cut_and_offsets_kept(tmp_path):
    bundle = read_bundle(bundle_of(tmp_path / "out", world_size=2))
    graph = bundle.devices[0].graph
    graph.metadata[METADATA_NAME] = b"12345678"
    small = stripped(graph)
    assert small.metadata[METADATA_NAME] == b"12345678"
    names = [str(n.attrs["tensor"]) for n in small.nodes if n.op in (wire.SEND, wire.RECV)]
    assert names
    assert all(len(name) <= NAME_CHARACTERS for name in names)
