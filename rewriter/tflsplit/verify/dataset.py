# SPDX-License-Identifier: Apache-2.0
"""A labelled data set for one model: images or arrays (docs/evaluate.md)."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tflsplit.errors import UserError
from tflsplit.ir import DType, Graph, Value
from tflsplit.runtime.engines import Array
from tflsplit.runtime.load import fitted, fitted_pixels, load_image
from tflsplit.verify.labels import DataError, folder_labels, integers, read_labels_file

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True)
class Dataset:
    """Samples by index; small enough to be sent to another process.

    names: of the samples: paths below the folder, or their place in the array.
    source: the folder of images, or the file whose array ``array`` is.
    labels: a class index for each sample; None: the set is not labelled.
    masks: instead of labels, for each sample an array like the model's output, 0 or not.
    """

    source: Path
    names: tuple[str, ...]
    array: Array | None = None
    labels: tuple[int, ...] | None = None
    masks: Array | None = None

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int | None) -> Dataset:
        """The first ``count`` samples."""
        if count is None or count >= len(self):
            return self
        return replace(
            self,
            names=self.names[:count],
            array=None if self.array is None else self.array[:count],
            labels=None if self.labels is None else self.labels[:count],
            masks=None if self.masks is None else self.masks[:count],
        )

    def sample(self, value: Value, index: int) -> Array:
        """A sample as the model input ``value`` stores it; UserError if it does not fit."""
        if self.array is None:
            return load_image(value, self.source / self.names[index])
        array = self.array[index]
        where = f"{self.source}, sample {index}"
        if array.ndim == 1 and array.size == value.size:
            array = array.reshape(value.shape)
        same = array.shape in (value.shape, value.shape[1:])
        if same and array.dtype == np.uint8 and value.dtype is not DType.UINT8:
            return fitted_pixels(value, array)
        return fitted(value, array, where)


def open_dataset(data: str, labels: str | None, model: Graph, offset: int = 0) -> Dataset:
    """The data set that the command line names.

    data: a folder of images, ``x.npy``, ``x.npz`` or ``x.npz:ARRAY``; the first dimension counts
        the samples.
    labels: a file (``read_labels_file``), ``y.npz:ARRAY``, or None: from the folder, the file
        names or the .npz itself.
    offset: added to every class index (1 for a model whose class 0 is the background).
    Raises DataError if something is missing or does not fit together.
    """
    if len(model.inputs) != 1:
        raise DataError(f"evaluate takes models with one input, this one has {len(model.inputs)}")
    path, _ = _split(data)
    dataset = _folder(path) if path.is_dir() else _arrays(data, labels is None)
    if not len(dataset):
        raise DataError(f"{path} holds no samples")
    if labels is not None:
        dataset = _with_labels(dataset, labels)
    if dataset.labels is not None:
        dataset = replace(dataset, labels=tuple(label + offset for label in dataset.labels))
    _check(dataset, model)
    return dataset


def _folder(folder: Path) -> Dataset:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES and p.is_file())
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    if not names:
        raise DataError(f"{folder} holds no images ({' '.join(IMAGES)})")
    labels = folder_labels(names)
    return Dataset(folder, names, labels=None if labels is None else tuple(labels))


def _arrays(data: str, with_labels: bool) -> Dataset:
    path, name = _split(data)
    arrays = _read(path)
    key = _largest(arrays, path) if name is None else name
    array = _named(arrays, key, path)
    if array.ndim < 2:
        raise DataError(f"{data} has shape {list(array.shape)}: the first dimension counts samples")
    dataset = Dataset(path, tuple(map(str, range(len(array)))), array)
    if not with_labels:
        return dataset
    found = [other for other in arrays if other != key and _is_labels(arrays[other], array)]
    if len(found) > 1:
        raise DataError(f"{path}: labels may be {', '.join(found)}: name one, --labels {path}:NAME")
    return _labelled(dataset, arrays[found[0]], str(path)) if found else dataset


def _with_labels(dataset: Dataset, labels: str) -> Dataset:
    path, name = _split(labels)
    if path.suffix.lower() == ".npz":
        arrays = _read(path)
        array = next(iter(arrays.values())) if len(arrays) == 1 else _named(arrays, name, path)
        return _labelled(dataset, array, labels)
    return replace(dataset, labels=tuple(read_labels_file(path, dataset.names)))


def _labelled(dataset: Dataset, array: Array, source: str) -> Dataset:
    if array.ndim > 1 and len(array) == len(dataset):
        return replace(dataset, masks=array)
    return replace(dataset, labels=tuple(integers(array, source, len(dataset))))


def _is_labels(array: Array, samples: Array) -> bool:
    return array.dtype.kind in "iub" and array.ndim >= 1 and len(array) == len(samples)


def _read(path: Path) -> dict[str, Array]:
    """The arrays of a .npz by name, or that of a .npy under ""."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"": loaded}
        with loaded:
            return dict(loaded)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{path}: no such file or folder") from None
        raise DataError(f"{path} is no folder, .npy or .npz of plain numbers ({error})") from None


def _split(name: str) -> tuple[Path, str | None]:
    """``x.npz:y`` as file and array; a path that exists is taken as it is."""
    stem, colon, array = name.rpartition(":")
    if Path(name).exists() or not colon or not stem.lower().endswith(".npz"):
        return Path(name), None
    return Path(stem), array


def _largest(arrays: dict[str, Array], path: Path) -> str:
    numbers = [key for key, array in arrays.items() if array.dtype.kind in "iuf"]
    if not numbers:
        raise DataError(f"{path} holds no array of numbers")
    return max(numbers, key=lambda key: arrays[key].size)


def _named(arrays: dict[str, Array], name: str | None, path: Path) -> Array:
    if name is None or name not in arrays:
        wanted = "name an array" if name is None else f"no array {name!r}"
        raise DataError(f"{path}: {wanted}; it holds {', '.join(arrays)}")
    return arrays[name]


def _check(dataset: Dataset, model: Graph) -> None:
    """Labels and masks fit the output, and the first sample fits the input."""
    if not model.outputs:
        raise DataError("the model has no output")
    output = model.outputs[0]
    if dataset.masks is not None and dataset.masks[0].size != output.size:
        raise DataError(
            f"the labels have shape {list(dataset.masks.shape)}, the output {list(output.shape)}"
        )
    if dataset.labels is not None:
        _check_classes(dataset.names, dataset.labels, output)
    try:
        dataset.sample(model.inputs[0], 0)
    except DataError:
        raise
    except UserError as error:
        raise DataError(str(error)) from None


def _check_classes(names: Sequence[str], labels: Sequence[int], output: Value) -> None:
    if output.size != output.shape[-1]:
        raise DataError(f"the output {output.name!r} {list(output.shape)} is no vector of scores")
    for name, label in zip(names, labels, strict=True):
        if not 0 <= label < output.size:
            raise DataError(f"{name}: class {label} is none of the output's {output.size}")
