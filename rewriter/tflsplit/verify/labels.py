# SPDX-License-Identifier: Apache-2.0
"""Labels of a data set (docs/evaluate.md): from a file, from folders, from file names."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from tflsplit.bundle.strict_json import strict_loads
from tflsplit.errors import UserError
from tflsplit.runtime.engines import Array
from tflsplit.untrusted import MAX_TEXT_FILE_BYTES, read_file

_INDEX = re.compile(r"(\d+)(?!\d)")


class DataError(UserError):
    """A data set or its labels cannot be read, or do not belong together."""


def read_labels_file(path: Path, names: Sequence[str]) -> list[int]:
    """One class index for each sample.

    path: .csv (``name,class`` on each line, a header allowed), .txt (one class per line, in the
        order of the samples), .json (an object name -> class, or a list), .npy (integers).
    names: of the samples; a file that names them may hold more of them, in any order.
    Raises DataError that names the line or the sample.
    """
    try:
        if path.suffix.lower() == ".npy":
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            return integers(found, str(path), len(names))
        text = read_file(path, MAX_TEXT_FILE_BYTES, DataError).decode("utf-8-sig")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: {error}") from None
    if path.suffix.lower() == ".json":
        return _from_json(path, text, names)
    rows = [(at, row) for at, row in enumerate(csv.reader(text.splitlines()), 1) if row]
    if all(len(row) == 1 for _, row in rows):
        return _in_order(path, [_class(row[0], f"{path}:{at}") for at, row in rows], names)
    if rows and not _is_number(rows[0][1][1]):
        rows = rows[1:]  # a header
    for at, row in rows:
        if len(row) != 2:
            raise DataError(f"{path}:{at}: not 'name,class': {','.join(row)!r}")
    return _by_name(path, {row[0]: _class(row[1], f"{path}:{at}") for at, row in rows}, names)


def folder_labels(names: Sequence[str]) -> list[int] | None:
    """Labels from the samples' own paths; None if they tell none.

    Every sample in a subfolder: the subfolders are the classes, by the number that each is called,
    or in alphabetical order if one is called otherwise.  None in a subfolder: every file's name
    begins with the class index (``0281_tabby.jpg``).
    """
    tops = [PurePosixPath(name).parts[0] if "/" in name else "" for name in names]
    if all(tops):
        classes = sorted(set(tops))
        if all(_is_number(top) for top in classes):
            return [int(top) for top in tops]
        return [classes.index(top) for top in tops]
    found = [_INDEX.match(name) for name in names]
    if any(tops) or not all(found):
        return None
    return [int(match[1]) for match in found if match]


def integers(array: Array, source: str, count: int) -> list[int]:
    """A vector of ``count`` class indices; DataError if ``array`` is none."""
    if array.dtype.kind not in "iu" or array.shape != (count,):
        raise DataError(
            f"{source} holds {array.dtype}{list(array.shape)}; labels are integers [{count}]"
        )
    return [int(label) for label in array]


def _from_json(path: Path, text: str, names: Sequence[str]) -> list[int]:
    try:
        document = strict_loads(text)
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error})") from None
    if isinstance(document, dict):
        labels = {name: _class(label, f"{path}: {name}") for name, label in document.items()}
        return _by_name(path, labels, names)
    if isinstance(document, list):
        return _in_order(path, [_class(label, str(path)) for label in document], names)
    raise DataError(f"{path}: neither an object name -> class nor a list of classes")


def _in_order(path: Path, labels: list[int], names: Sequence[str]) -> list[int]:
    if len(labels) != len(names):
        raise DataError(f"{path} has {len(labels)} labels for {len(names)} samples")
    return labels


def _by_name(path: Path, labels: dict[str, int], names: Sequence[str]) -> list[int]:
    short = {PurePosixPath(name).name: label for name, label in labels.items()}
    found = []
    for name in names:
        label = labels.get(name, short.get(PurePosixPath(name).name))
        if label is None:
            raise DataError(f"{path} has no label for {name}")
        found.append(label)
    return found


def _is_number(text: str) -> bool:
    return text.strip().isdecimal()


def _class(label: object, where: str) -> int:
    if isinstance(label, int) and not isinstance(label, bool) and label >= 0:
        return label
    if isinstance(label, str) and _is_number(label):
        return int(label)
    raise DataError(f"{where}: {label!r} is no class index (0, 1, 2, …)")
