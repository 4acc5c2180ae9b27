# SPDX-License-Identifier: Apache-2.0
"""Inputs from files: what is taken, how it is converted, and what is refused."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.splits import tiny
from tests.support import tensor
from tflsplit.errors import EngineError, UserError
from tflsplit.ir import DType, Graph
from tflsplit.runtime.load import load_inputs

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


def taking(dtype: DType = DType.INT8, shape: tuple[int, ...] = (1, 4, 6, 3)) -> Graph:
    x = tensor("x", shape, dtype, None if dtype is DType.FLOAT32 else 0.5, 3)
    return Graph("g", (x,), (x,), [])


def saved(folder: Path, array: Any, name: str = "x.npy") -> Path:
    np.save(folder / name, array, allow_pickle=True)
    return folder / name


def loaded(graph: Graph, *paths: Path) -> Array:
    return load_inputs(graph, paths)["x"]


def test_stored_values_are_taken_as_they_are(tmp_path: Path):
    array = np.arange(72, dtype=np.int8).reshape(1, 4, 6, 3)
    np.testing.assert_array_equal(loaded(taking(), saved(tmp_path, array)), array)


def test_a_missing_batch_dimension_is_added(tmp_path: Path):
    array = np.arange(72, dtype=np.int8).reshape(4, 6, 3)
    np.testing.assert_array_equal(loaded(taking(), saved(tmp_path, array)), array[np.newaxis])


def test_real_numbers_are_quantized_and_clamped(tmp_path: Path):
    """scale 0.5, zero point 3."""
    graph = taking(shape=(1, 5))
    array = np.array([[0.0, 1.0, -0.5, 1e6, -1e6]], np.float32)
    assert loaded(graph, saved(tmp_path, array)).tolist() == [[3, 5, 2, 127, -128]]
    assert loaded(graph, saved(tmp_path, array)).dtype == np.int8


def test_float64_for_a_float_input(tmp_path: Path):
    result = loaded(taking(DType.FLOAT32, (1, 2)), saved(tmp_path, np.array([[0.25, 2]])))
    assert result.dtype == np.float32
    assert result.tolist() == [[0.25, 2.0]]


def test_several_inputs_go_by_position(tmp_path: Path):
    first = np.zeros((1, 8), np.int8)
    second = np.ones((1, 64, 1, 4), np.int8)
    found = load_inputs(
        tiny("temporal"), [saved(tmp_path, first, "a.npy"), saved(tmp_path, second, "b.npy")]
    )
    assert {name: array.shape for name, array in found.items()} == {
        "input_0": (1, 8),
        "input_1": (1, 64, 1, 4),
    }


def test_too_few_files(tmp_path: Path):
    with pytest.raises(UserError) as caught:
        load_inputs(tiny("temporal"), [saved(tmp_path, np.zeros(1))])
    text = str(caught.value)
    assert "the model has 2 inputs" in text
    assert "input_0 int8[1, 8], input_1 int8[1, 64, 1, 4]" in text


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((1, 4, 6, 2), np.int8), r"has shape \[1, 4, 6, 2\]; 'x' wants \[1, 4, 6, 3\]"),
        (np.zeros((1, 4, 6, 3), np.int32), "holds int32; 'x' wants int8"),
        (np.zeros((1, 4, 6, 3), np.uint8), "holds uint8; 'x' wants int8"),
        (np.array([{}]), "is not a .npy file of plain numbers"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, array: Any, says: str):
    with pytest.raises(UserError, match=says):
        loaded(taking(), saved(tmp_path, array))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"not an array at all"])
def test_damaged_npy(tmp_path: Path, content: bytes):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is not a .npy file of plain numbers"):
        loaded(taking(), path)


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(UserError, match=r"nowhere\.npy: no such file"):
        loaded(taking(), tmp_path / "nowhere.npy")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """4 rows, 6 columns: red rises downwards, green to the right."""
    images = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install '.[host]'")
    rows, columns = np.meshgrid(np.arange(4) * 60, np.arange(6) * 50, indexing="ij")
    pixels = np.stack([rows, columns, np.full((4, 6), 7)], axis=-1).astype(np.uint8)
    images.fromarray(pixels).save(tmp_path / "x.png")
    return tmp_path / "x.png"


def test_an_image_for_every_type_of_input(picture: Path):
    stored = loaded(taking(DType.UINT8), picture)
    assert stored.dtype == np.uint8
    assert stored[0, 3, 5].tolist() == [180, 250, 7]
    np.testing.assert_array_equal(loaded(taking(DType.INT8), picture), stored.astype(int) - 128)
    np.testing.assert_array_equal(
        loaded(taking(DType.FLOAT32), picture), (stored / 255).astype(np.float32)
    )


def test_an_image_is_scaled_to_rows_and_columns_of_the_model(picture: Path):
    assert loaded(taking(shape=(1, 2, 3, 3)), picture).shape == (1, 2, 3, 3)
    assert loaded(taking(shape=(1, 8, 5, 1)), picture).shape == (1, 8, 5, 1)


def test_an_image_for_what_is_none(picture: Path):
    with pytest.raises(UserError, match=r"'x' \[1, 5\] is no image: give a \.npy file"):
        loaded(taking(shape=(1, 5)), picture)
    with pytest.raises(UserError, match="'x' is INT16: give a"):
        loaded(taking(DType.INT16), picture)


def test_what_is_no_image(tmp_path: Path):
    pytest.importorskip("PIL.Image", reason="needs Pillow: pip install '.[host]'")
    path = tmp_path / "x.png"
    path.write_bytes(b"hello")
    with pytest.raises(UserError, match=r"is neither .npy nor an image"):
        loaded(taking(), path)


def test_images_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    path = tmp_path / "x.png"
    path.write_bytes(b"hello")
    with pytest.raises(EngineError, match=r"images need Pillow: pip install 'tflsplit\[host\]'"):
        loaded(taking(), path)


def test_a_header_that_promises_a_terabyte_costs_nothing(tmp_path: Path):
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|i1", "fortran_order": False, "shape": (1 << 40,)}
        )
    with pytest.raises(UserError, match=r"x\.npy is not a \.npy file of plain numbers"):
        loaded(taking(), path)


def test_what_was_loaded_does_not_hang_on_its_file(tmp_path: Path):
    array = np.arange(72, dtype=np.int8).reshape(1, 4, 6, 3)
    path = saved(tmp_path, array)
    result = loaded(taking(), path)
    path.write_bytes(bytes(path.stat().st_size))
    np.testing.assert_array_equal(result, array)


def test_an_image_that_promises_gigabytes_is_refused(tmp_path: Path):
    pytest.importorskip("PIL", reason="needs Pillow: pip install '.[host]'")
    size = (60_000).to_bytes(4, "big")
    header = b"IHDR" + size + size + bytes([8, 2, 0, 0, 0])
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    with pytest.raises(UserError, match=r"x\.png is neither \.npy nor an image"):
        loaded(taking(), path)


def noted(graph: Graph, path: Path) -> list[str]:
    said: list[str] = []
    load_inputs(graph, [path], said.append)
    return said


def test_what_is_not_finite_is_refused(tmp_path: Path):
    array = np.zeros((1, 5), np.float32)
    array[0, 2:4] = np.nan, -np.inf
    with pytest.raises(UserError, match=r"2 of 5 values are NaN or infinite, .* \[0, 2\]"):
        loaded(taking(shape=(1, 5)), saved(tmp_path, array))


def test_clipping_is_said(tmp_path: Path):
    """scale 0.5, zero point 3: from -65.5 to 62."""
    graph, array = taking(shape=(1, 5)), np.array([[0, 62, -65.5, 62.5, 1e6]], np.float32)
    (said,) = noted(graph, saved(tmp_path, array))
    assert "2 of 5 values lie outside -65.5 to 62" in said
    assert noted(graph, saved(tmp_path, array[:, :3].repeat(2, 1)[:, :5])) == []


def test_scaling_is_said(picture: Path):
    assert noted(taking(), picture) == []
    (said,) = noted(taking(shape=(1, 8, 12, 1)), picture)
    assert said.endswith("scaled from 6x4 to 12x8; converted from RGB to grey")
    (said,) = noted(taking(shape=(1, 8, 8, 3)), picture)
    assert "which changes its proportions" in said
