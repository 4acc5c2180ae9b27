# SPDX-License-Identifier: Apache-2.0
"""The seeded networks: sound, the same on every build, run by TFLM, and alive in every layer."""

import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.__main__ import main
from models.images import smooth_images
from models.mobilenet_v2 import mobilenet_v2
from models.tiny import NETWORKS
from tflsplit.ir import DType, Graph, Quantization, Value, check_graph
from tflsplit.tflite import read_model, write_model

ROOT = Path(__file__).resolve().parents[2]
needs_tflm = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None,
    reason="needs TFLM: pip install '.[host]' (wheels for Linux on x86-64)",
)


def small_mobilenet() -> Graph:
    return mobilenet_v2(0.35, 96, 20)


BUILDERS: dict[str, Callable[[], Graph]] = {**NETWORKS, "mobilenet_v2_0.35_96": small_mobilenet}


@cache
def built(name: str) -> Graph:
    return BUILDERS[name]()


def activations(graph: Graph) -> list[Value]:
    return [value for node in graph.nodes for value in node.outputs]


def quantized(real: NDArray[np.float64], quantization: Quantization) -> NDArray[np.int8]:
    steps = np.rint(real / quantization.scale) + quantization.zero_point
    return np.asarray(np.clip(steps, -128, 127), np.int8)


@cache
def tflm_activations(name: str) -> list[NDArray[np.int8]]:
    """Every tensor of the network on TFLM, ``[images, ...]``, for images it was not made with."""
    from tflite_micro import runtime

    graph = built(name)
    # as an output, a tensor is kept and can be read
    model = write_model(replace(graph, outputs=tuple(activations(graph))))
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=8_000_000)
    seen: list[list[NDArray[np.int8]]] = [[] for _ in activations(graph)]
    for image in range(4):
        for index, value in enumerate(graph.inputs):
            assert value.quantization is not None
            real = smooth_images(1, value.shape[1:], 1000 + 10 * image + index)
            interpreter.set_input(quantized(real, value.quantization), index)
        interpreter.invoke()
        for index, kept in enumerate(seen):
            kept.append(interpreter.get_output(index).copy())
    return [np.concatenate(kept) for kept in seen]


@pytest.mark.parametrize("name", BUILDERS)
def test_sound_and_int8_throughout(name: str):
    graph = built(name)
    assert check_graph(graph) == []
    assert {value.dtype for value in [*graph.inputs, *activations(graph)]} == {DType.INT8}
    assert all(value.quantization and value.quantization.scale > 0 for value in activations(graph))


@pytest.mark.parametrize("name", BUILDERS)
def test_same_bytes_on_every_build(name: str):
    assert write_model(BUILDERS[name]()) == write_model(built(name))


def test_same_bytes_in_another_process_with_another_hash_seed():
    program = (
        "import sys, hashlib; sys.path[:0] = ['rewriter', '.']\n"
        "from models.tiny import NETWORKS; from tflsplit.tflite import write_model\n"
        "for network in NETWORKS.values():\n"
        "    print(hashlib.sha256(write_model(network())).hexdigest())\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "77", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    here = [hashlib.sha256(write_model(built(name))).hexdigest() for name in NETWORKS]
    assert printed == here


@pytest.mark.parametrize("name", BUILDERS)
def test_the_file_reads_back(name: str):
    model = write_model(built(name))
    again = read_model(model)
    assert [node.op for node in again.nodes] == [node.op for node in built(name).nodes]
    assert write_model(again) == model


@pytest.mark.parametrize("name", BUILDERS)
def test_convolutions_have_uneven_scales_per_channel(name: str):
    for node in built(name).nodes:
        if "CONV" in node.op:
            weights = next(
                value for value in node.operands if value.dtype is DType.INT8 and value.is_constant
            )
            assert weights.quantization is not None
            assert (
                len(set(weights.quantization.scales))
                > weights.shape[weights.quantization.axis] // 2
            )


@needs_tflm
@pytest.mark.parametrize("name", BUILDERS)
def test_every_layer_is_alive_on_tflm(name: str):
    """Many values in use, none of them nearly everywhere, few at the upper end of the range."""
    for value, stored in zip(activations(built(name)), tflm_activations(name), strict=True):
        values, counts = np.unique(stored, return_counts=True)
        if "softmax" in value.name:  # most of the probability belongs to few classes
            assert len(values) >= 4, value.name
            continue
        assert len(values) >= min(64, stored.size / 3), (value.name, len(values), stored.size)
        assert counts.max() < 0.7 * stored.size, (value.name, counts.max() / stored.size)
        assert stored.std() > 6, (value.name, stored.std())
        assert (stored == 127).mean() < 0.1, (value.name, (stored == 127).mean())


@needs_tflm
@pytest.mark.parametrize("name", BUILDERS)
def test_every_output_depends_on_the_image(name: str):
    graph = built(name)
    kept = dict(zip(activations(graph), tflm_activations(name), strict=True))
    for value in graph.outputs:
        assert len({image.tobytes() for image in kept[value]}) == 4, value.name


@needs_tflm
def test_relu6_clamps_something_but_not_much():
    clamped = [
        (stored == 127).mean()
        for node, stored in zip(
            built("mobilenet").nodes, tflm_activations("mobilenet"), strict=True
        )
        if node.attrs.get("fused_activation_function") == 3
    ]
    assert 0 < np.mean(clamped) < 0.05


def test_mobilenet_v2_has_the_papers_structure():
    graph = mobilenet_v2(images=1)
    ops = [node.op for node in graph.nodes]
    assert (ops.count("CONV_2D"), ops.count("DEPTHWISE_CONV_2D"), ops.count("ADD")) == (35, 17, 10)
    weights = sum(value.size for value in graph.constants() if value.dtype is DType.INT8)
    # 3.5 million parameters in the paper, of which 34,112 are batch normalization's and biases
    assert weights == 3_469_760
    assert graph.inputs[0].shape == (1, 224, 224, 3)
    assert graph.outputs[0].shape == (1, 1000)


def test_the_command_lists_and_builds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in NETWORKS)
    path = tmp_path / "sub" / "unet.tflite"
    assert main(["build", "unet", "-o", str(path)]) == 0
    assert path.read_bytes() == write_model(built("unet"))
    assert str(path.stat().st_size // 1000) in capsys.readouterr().out


def test_the_command_builds_mobilenet_v2_of_any_size(tmp_path: Path):
    path = tmp_path / "mobilenet.tflite"
    assert (
        main(
            [
                "build",
                "mobilenet_v2",
                "--alpha",
                "0.35",
                "--size",
                "96",
                "--classes",
                "20",
                "-o",
                str(path),
            ]
        )
        == 0
    )
    assert path.read_bytes() == write_model(built("mobilenet_v2_0.35_96"))


@pytest.mark.parametrize("wrong", [["--size", "16"], ["--size", "x"], ["--classes", "0"]])
def test_the_command_refuses_nonsense(wrong: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        main(["build", "mobilenet_v2", *wrong])
    assert stopped.value.code == 2
    assert wrong[0] in capsys.readouterr().err
