# SPDX-License-Identifier: Apache-2.0
"""Labels of a data set, in every form, and what is wrong with others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tflsplit.verify.labels import DataError, folder_labels, read_labels_file

NAMES = ("b.png", "a.png", "sub/c.png")


def labels_in(tmp_path: Path, name: str, text: str) -> list[int]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_labels_file(tmp_path / name, NAMES)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("y.csv", "a.png,1\nb.png,0\nsub/c.png,2\n"),
        ("y.csv", "\ufefffile,class\nsub/c.png,2\n\na.png,1\nb.png, 0\nother.png,7\n"),
        ("y.csv", "a.png,1\nb.png,0\nc.png,2\n"),
        ("y.txt", "0\n1\n2\n"),
        ("y.json", json.dumps({"a.png": 1, "b.png": "0", "c.png": 2})),
        ("y.json", "[0, 1, 2]"),
    ],
)
def test_forms(tmp_path: Path, name: str, text: str):
    assert labels_in(tmp_path, name, text) == [0, 1, 2]


def test_npy(tmp_path: Path):
    np.save(tmp_path / "y.npy", np.array([0, 1, 2], np.uint8))
    assert read_labels_file(tmp_path / "y.npy", NAMES) == [0, 1, 2]
    np.save(tmp_path / "y.npy", np.array([0, 1], np.uint8))
    with pytest.raises(DataError, match=r"uint8\[2\]; labels are integers \[3\]"):
        read_labels_file(tmp_path / "y.npy", NAMES)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("y.csv", "a.png,1\nb.png,0\n", "no label for sub/c.png"),
        ("y.csv", "a.png,1\nb.png,cat\nc.png,2\n", r"y.csv:2: 'cat' is no class index"),
        ("y.csv", "a.png,1\nb.png,-1\nc.png,2\n", r"y.csv:2: '-1' is no class index"),
        ("y.csv", "a.png,1\nb.png\nc.png,2\n", "y.csv:2: not 'name,class'"),
        ("y.txt", "0\n1\n", "2 labels for 3 samples"),
        ("y.json", "{", "not JSON"),
        ("y.json", "3", "neither an object"),
        ("y.json", "[0, 1, true]", "True is no class index"),
        ("y.npy", "no array", "y.npy"),
    ],
)
def test_errors(tmp_path: Path, name: str, text: str, message: str):
    with pytest.raises(DataError, match=message):
        labels_in(tmp_path, name, text)


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match="no such file"):
        read_labels_file(tmp_path / "none.csv", NAMES)


def test_labels_from_paths():
    assert folder_labels(["0000_tench.jpg", "0281_tabby.jpg"]) == [0, 281]
    assert folder_labels(["7/x.jpg", "11/x.jpg", "11/y.jpg"]) == [7, 11, 11]
    assert folder_labels(["dog/x.jpg", "cat/x.jpg", "dog/y.jpg"]) == [1, 0, 1]
    assert folder_labels(["tabby.jpg", "0281_tabby.jpg"]) is None
    assert folder_labels(["cat/1.jpg", "2.jpg"]) is None
