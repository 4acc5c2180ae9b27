# SPDX-License-Identifier: Apache-2.0
"""Data sets from folders of images and from arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.splits import tiny
from tflsplit.ir import Graph
from tflsplit.verify.dataset import open_dataset
from tflsplit.verify.labels import DataError

MODEL = "ds_cnn"  # int8[1,49,10,1] -> int8[1,12]
X = np.random.default_rng(3).integers(-128, 128, (4, 49, 10, 1)).astype(np.int8)
Y = np.array([3, 0, 11, 5], np.int32)


@pytest.fixture
def model() -> Graph:
    return tiny(MODEL)


def npz(tmp_path: Path, **arrays: object) -> str:
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    return str(tmp_path / "x.npz")


def test_npz_finds_samples_and_labels(tmp_path: Path, model: Graph):
    """Whatever they are called, and whatever else is there."""
    data = npz(tmp_path, a=Y, b=X, names=np.array(["p", "q", "r", "s"]), classes=np.array(["k"]))
    dataset = open_dataset(data, None, model)
    assert dataset.labels == (3, 0, 11, 5)
    assert dataset.names == ("0", "1", "2", "3")
    np.testing.assert_array_equal(dataset.sample(model.inputs[0], 2), X[2:3])


def test_named_arrays(tmp_path: Path, model: Graph):
    data = npz(tmp_path, x=X, y=Y, larger=np.zeros((4, 50, 50)), z=Y[::-1])
    dataset = open_dataset(f"{data}:x", f"{data}:z", model)
    assert dataset.labels == (5, 11, 0, 3)
    assert dataset.array is not None
    assert dataset.array.shape == X.shape


def test_flat_samples_and_pixels(tmp_path: Path, model: Graph):
    flat = open_dataset(npz(tmp_path, x=X.reshape(4, -1)), None, model)
    np.testing.assert_array_equal(flat.sample(model.inputs[0], 1), X[1:2])
    pixels = (X.astype(np.int16) + 128).astype(np.uint8)
    images = open_dataset(npz(tmp_path, x=pixels), None, model)
    np.testing.assert_array_equal(images.sample(model.inputs[0], 1), X[1:2])


def test_npy_with_labels(tmp_path: Path, model: Graph):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    dataset = open_dataset(str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), model)
    assert dataset.labels == (3, 0, 11, 5)
    assert open_dataset(str(tmp_path / "x.npy"), None, model).labels is None


def test_images(tmp_path: Path):
    image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install '.[host]'")
    model = tiny("mobilenet")
    for name, grey in [("0003_b.png", 10), ("0001_a.jpg", 200), ("notes.txt", None)]:
        if grey is None:
            (tmp_path / name).write_text("no image")
        else:
            image.new("RGB", (32, 32), (grey, grey, grey)).save(tmp_path / name)
    dataset = open_dataset(str(tmp_path), None, model, offset=1)
    assert dataset.names == ("0001_a.jpg", "0003_b.png")
    assert dataset.labels == (2, 4)
    assert set(dataset.sample(model.inputs[0], 1).ravel()) == {10 - 128}


def test_first(tmp_path: Path, model: Graph):
    dataset = open_dataset(npz(tmp_path, x=X, y=Y), None, model)
    assert len(dataset.first(None)) == len(dataset.first(9)) == 4
    two = dataset.first(2)
    assert (len(two), two.labels) == (2, (3, 0))
    assert two.array is not None
    assert len(two.array) == 2


def test_masks(tmp_path: Path):
    """Labels with more than one dimension are compared element by element."""
    model = tiny("autoencoder")  # int8[1,160] -> int8[1,160]
    x = np.zeros((2, 160), np.int8)
    dataset = open_dataset(
        npz(tmp_path, x=x, y=np.ones((2, 160), bool)), f"{tmp_path}/x.npz:y", model
    )
    assert dataset.labels is None
    assert dataset.masks is not None
    with pytest.raises(DataError, match=r"labels have shape \[2, 80\], the output \[1, 160\]"):
        open_dataset(npz(tmp_path, x=x, y=np.ones((2, 80), bool)), None, model)


@pytest.mark.parametrize(
    ("arrays", "data", "labels", "message"),
    [
        ({"x": X, "y": Y, "z": Y}, "", None, "labels may be y, z: name one, --labels .*NAME"),
        ({"x": X}, ":q", None, "no array 'q'; it holds x"),
        ({"x": X, "y": Y}, "", "", "name an array; it holds x, y"),
        ({"x": X[:0]}, "", None, "holds no samples"),
        ({"x": X[:, :40]}, "", None, r"sample 0 has shape \[40, 10, 1\]"),
        ({"x": Y}, "", None, "the first dimension counts samples"),
        ({"x": X, "y": Y + 1}, "", None, "class 12 is none of the output's 12"),
        ({"x": X, "y": Y[:3]}, "", ":y", r"int32\[3\]; labels are integers \[4\]"),
        ({"x": np.array(["a"])}, "", None, "no array of numbers"),
    ],
)
def test_errors(
    tmp_path: Path, model: Graph, arrays: dict[str, object], data: str, labels: str | None,
    message: str,
):  # fmt: skip
    path = npz(tmp_path, **arrays)
    with pytest.raises(DataError, match=message):
        open_dataset(path + data, None if labels is None else path + labels, model)


def test_other_errors(tmp_path: Path, model: Graph):
    with pytest.raises(DataError, match="no such file or folder"):
        open_dataset(str(tmp_path / "none"), None, model)
    (tmp_path / "bad.npz").write_bytes(b"PK\3\4 not a zip")
    with pytest.raises(DataError, match="no folder"):
        open_dataset(str(tmp_path / "bad.npz"), None, model)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        open_dataset(str(tmp_path / "empty"), None, model)
    with pytest.raises(DataError, match="one input, this one has 2"):
        open_dataset(npz(tmp_path, x=X), None, tiny("temporal"))
    grid = tiny("unet")
    data = npz(tmp_path, x=np.zeros((4, *grid.inputs[0].shape[1:]), np.int8), y=Y)
    with pytest.raises(DataError, match="no vector of scores"):
        open_dataset(data, None, grid)
