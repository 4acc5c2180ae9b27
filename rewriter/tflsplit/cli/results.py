# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs of an inference on the command line: what run, cluster and emulate share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflsplit.bundle.plan_json import Json
from tflsplit.cli.console import STDOUT, note, table
from tflsplit.cli.parsing import count
from tflsplit.errors import UserError, counted
from tflsplit.ir import Graph, Value
from tflsplit.runtime.engines import Array
from tflsplit.untrusted import MAX_TEXT_FILE_BYTES, read_file

Best = list[dict[str, Any]]
"""The largest elements of an output, best first."""


def add_result_options(command: argparse.ArgumentParser, input_required: bool = True) -> None:
    """``--input``, ``--output``, ``--top``, ``--labels``."""
    otherwise = "" if input_required else "; without it, a seeded smooth input"
    command.add_argument(
        "--input",
        type=Path,
        action="append",
        required=input_required,
        metavar="FILE",
        help=f".npy or an image; repeat it for a model with several inputs{otherwise}",
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="save the result as .npy")
    command.add_argument("--top", type=count, default=5, metavar="K", help="print the K best (5)")
    command.add_argument("--labels", type=Path, metavar="FILE", help="one class name per line")


def read_labels(path: Path | None) -> list[str]:
    """The lines of a file of class names; UserError if it cannot be read."""
    if path is None:
        return []
    try:
        return read_file(path, MAX_TEXT_FILE_BYTES, UserError).decode().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {error}") from None


def save_outputs(path: Path, results: Sequence[Array]) -> None:
    """One output as .npy under the given name, several as name.0.npy, name.1.npy, …"""
    for index, array in enumerate(results):
        target = path if len(results) == 1 else path.with_suffix(f".{index}{path.suffix}")
        try:
            with target.open("wb") as file:
                np.save(file, array)
        except OSError as error:
            raise UserError(f"{target}: {error.strerror}") from None


def best_classes(
    whole: Graph, results: Sequence[Array], count: int, labels: Sequence[str]
) -> list[Best]:
    """For each output that is a vector of scores, its largest elements; [] for others."""
    sizes = [array.size for array in results if _is_scores(array)]
    if labels and sizes and len(labels) not in sizes:
        note(f"--labels has {counted(len(labels), 'name')}, the model {sizes[0]} classes")
    return [
        _best(value, array, count, labels)
        for value, array in zip(whole.outputs, results, strict=True)
    ]


def _is_scores(array: Array) -> bool:
    return array.ndim > 0 and array.size == array.shape[-1]


def _best(value: Value, array: Array, count: int, labels: Sequence[str]) -> Best:
    if not _is_scores(array):
        return []
    scores = array.reshape(-1)
    order = np.argsort(-scores.astype(np.float64), kind="stable")[: max(0, count)]
    quantization = value.quantization
    result = []
    for index in map(int, order):
        stored = scores[index].item()
        real = stored
        if quantization and quantization.scales and array.dtype.kind != "f":
            real = (stored - quantization.zero_point) * quantization.scale
        label = labels[index] if index < len(labels) else ""
        result.append({"index": index, "label": label, "stored": stored, "score": real})
    return result


def outputs_document(
    plan: Json, results: Sequence[Array], best: Sequence[Best]
) -> list[dict[str, Any]]:
    """The outputs for ``--json``."""
    return [
        {
            "tensor": entry["tensor"],
            "shape": list(array.shape),
            "dtype": str(array.dtype),
            "top": top,
        }
        for entry, array, top in zip(plan["outputs"], results, best, strict=True)
    ]


def print_outputs(plan: Json, best: Sequence[Best]) -> None:
    """A table for each output that is a vector of scores, a line for any other."""
    for entry, top in zip(plan["outputs"], best, strict=True):
        if top:
            columns, rows = _score_cells(top)
            table(entry["tensor"], columns, rows)
        else:
            STDOUT.print(f"{entry['tensor']}: {entry['dtype']}{entry['shape']}")


def _score_cells(top: Best) -> tuple[list[str], list[list[str]]]:
    """Columns and rows; without labels there is no column for them."""
    rows = [[str(t["index"]), t["label"], str(t["stored"]), f"{t['score']:.4g}"] for t in top]
    columns = ["class", "<label", "stored", "score"]
    if not any(t["label"] for t in top):
        rows, columns = [[row[0], *row[2:]] for row in rows], [columns[0], *columns[2:]]
    return columns, rows
