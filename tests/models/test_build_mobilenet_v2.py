# SPDX-License-Identifier: Apache-2.0
"""Keras' MobileNetV2 through TensorFlow's converter, in an interpreter that has TensorFlow."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from models import build_mobilenet_v2
from models.images import smooth_images
from tflsplit.ir import DType
from tflsplit.tflite import read_model

ROOT = Path(__file__).resolve().parents[2]


@cache
def tensorflow_python() -> Path | None:
    """An interpreter that has TensorFlow: ours, make's, or the one that the environment names."""
    named = os.environ.get("TFLSPLIT_TENSORFLOW_PYTHON")
    for path in [named, ROOT / ".venv-tensorflow" / "bin" / "python", sys.executable]:
        if path and Path(path).exists():
            program = "import importlib.util as u, sys; sys.exit(u.find_spec('tensorflow') is None)"
            if subprocess.run([path, "-c", program], check=False).returncode == 0:
                return Path(path)
    return None


def build(*options: str, keras_home: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in TensorFlow's interpreter; skips where there is none."""
    if (python := tensorflow_python()) is None:
        pytest.skip(
            "needs TensorFlow: `make .venv-tensorflow/.installed`, "
            "or TFLSPLIT_TENSORFLOW_PYTHON=/path/to/a/python/that/has/it"
        )
    return subprocess.run(
        [python, "-m", "models.build_mobilenet_v2", *options],
        cwd=ROOT,
        env={**os.environ, "KERAS_HOME": str(keras_home), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


SMALL = ("--alpha", "0.35", "--size", "96")


@pytest.mark.slow
def test_seeded_weights_give_a_living_int8_network_the_same_every_time(tmp_path: Path):
    paths = [tmp_path / "one.tflite", tmp_path / "two.tflite"]
    for path in paths:
        result = build(
            *SMALL, "--weights", "seeded", "--classes", "10", "-o", str(path), keras_home=tmp_path
        )
        assert result.returncode == 0, result.stderr
    assert paths[0].read_bytes() == paths[1].read_bytes()

    distinct, saturated = figures(result.stdout)
    assert distinct > 60
    assert saturated < 10

    graph = read_model(paths[0])
    ops = [node.op for node in graph.nodes]
    assert (ops.count("CONV_2D"), ops.count("DEPTHWISE_CONV_2D"), ops.count("ADD")) == (35, 17, 10)
    assert graph.inputs[0].shape == (1, 96, 96, 3)
    assert graph.outputs[0].shape == (1, 10)
    computed = [value for node in graph.nodes for value in node.outputs]
    assert {value.dtype for value in [*graph.inputs, *computed]} == {DType.INT8}
    assert outputs_differ(paths[0])


def figures(printed: str) -> tuple[int, float]:
    """The least distinct values and the highest share at the upper end that the command reports."""
    words = printed.splitlines()[-1].split()
    return int(words[words.index("more:") + 1]), float(words[words.index("most") + 1].rstrip("%"))


def outputs_differ(path: Path) -> bool:
    """Whether two images give different probabilities on TFLM."""
    runtime = pytest.importorskip("tflite_micro").runtime
    interpreter = runtime.Interpreter.from_file(str(path), arena_size=4_000_000)
    seen = []
    for image in smooth_images(2, (96, 96, 3), 99):
        interpreter.set_input(np.clip(np.rint(image * 127.5), -128, 127).astype(np.int8)[None], 0)
        interpreter.invoke()
        seen.append(interpreter.get_output(0).copy())
    return not np.array_equal(*seen)


@pytest.mark.slow
def test_imagenet_weights_are_used_when_they_can_be_had(tmp_path: Path):
    """Keras takes a download from its cache, so a file put there stands for the real weights."""
    cache_folder = tmp_path / "models"
    cache_folder.mkdir()
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96.h5"
    program = (
        "import h5py, keras, sys\n"
        "from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group\n"
        "net = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None)\n"
        "save_weights_to_hdf5_group(h5py.File(sys.argv[1], 'w'), net)\n"
    )
    path = tmp_path / "imagenet.tflite"
    if (python := tensorflow_python()) is not None:
        subprocess.run([python, "-c", program, str(cache_folder / name)], check=True)
    result = build(*SMALL, "-o", str(path), keras_home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "ImageNet weights" in result.stdout
    assert "notice" not in result.stderr
    assert path.exists()


def test_a_folder_without_images_is_a_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    target = tmp_path / "never.tflite"
    assert build_mobilenet_v2.main(["--images", str(tmp_path), "-o", str(target)]) == 2
    assert capsys.readouterr().err == f"error: no .jpg or .png image in {tmp_path}\n"
    assert not target.exists()


def test_without_tensorflow_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert build_mobilenet_v2.main([]) == 2
    assert "pip install '.[tensorflow]'" in capsys.readouterr().err
