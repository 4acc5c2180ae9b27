# SPDX-License-Identifier: Apache-2.0
"""``tflsplit evaluate DIR --data images/``."""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tflsplit.bundle import read_bundle
from tflsplit.cli.console import STDERR, STDOUT, Commands, print_json, progress, table
from tflsplit.errors import UserError, counted
from tflsplit.runtime.engines import engine
from tflsplit.verify.dataset import open_dataset
from tflsplit.verify.evaluate import Accuracy, Evaluation, evaluate


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    """The command's options."""
    command = commands.add_parser(
        "evaluate",
        help="a labelled data set through the split and the unsplit model",
        description="Run a data set through the devices and the unsplit model on the same kernels; "
        "print the accuracy of both, and whether every output was equal. Exit code 1 if one "
        "differs. docs/evaluate.md describes the forms of data and labels.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="what `rewrite` wrote")
    command.add_argument(
        "--data", required=True, metavar="DATA", help="folder of images, x.npy, x.npz or x.npz:x"
    )
    command.add_argument(
        "--labels",
        metavar="FILE",
        help=".csv, .txt, .json, .npy or y.npz:y (from the .npz, the subfolders or the file names)",
    )
    command.add_argument(
        "--label-offset",
        type=int,
        default=0,
        metavar="K",
        help="added to every label: 1 if the model's class 0 is 'background' (0)",
    )
    command.add_argument("--limit", type=int, metavar="K", help="only the first K samples")
    command.add_argument("--jobs", type=int, metavar="J", help="processes (one per core)")
    command.add_argument(
        "--desktop",
        action="store_true",
        help="also the unsplit model on LiteRT's default kernels, as most figures are measured",
    )
    command.add_argument("--engine", choices=["tflm", "litert"], help="kernels to run on (tflm)")
    return command


def main(arguments: argparse.Namespace) -> int:
    """Run the command."""
    for name in ("limit", "jobs"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be 1 or more")
    engine_name, _ = engine(arguments.engine)
    with progress("reading"):
        bundle = read_bundle(arguments.folder)
        dataset = open_dataset(
            arguments.data, arguments.labels, bundle.model, arguments.label_offset
        ).first(arguments.limit)
    with Progress(
        TextColumn("evaluating"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=STDERR,
        transient=True,
        disable=not STDERR.is_terminal,
    ) as bar:
        task = bar.add_task("", total=len(dataset))
        jobs = arguments.jobs or _cores()
        found = evaluate(
            bundle,
            dataset,
            engine_name,
            jobs,
            arguments.desktop,
            lambda done: bar.update(task, completed=done),
        )
    if arguments.json:
        print_json(_document(found, bundle.document["fingerprint"]))
    else:
        _print(found, bundle.document["world_size"])
    return 0 if found.passed else 1


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _document(found: Evaluation, fingerprint: str) -> dict[str, Any]:
    return {"passed": found.passed, "fingerprint": fingerprint, **dataclasses.asdict(found)}


def _print(found: Evaluation, world_size: int) -> None:
    names = [name for name in ("top1", "top5", "iou") if getattr(found.unsplit, name) is not None]
    if names:
        heads = {"top1": "top-1", "top5": "top-5", "iou": "IoU"}
        rows = [
            ["unsplit", *_figures(found.unsplit, names)],
            [f"split over {world_size}", *_figures(found.split, names)],
        ]
        if found.desktop is not None:
            rows.append(["unsplit, LiteRT's default", *_figures(found.desktop, names)])
        title = f"{counted(found.samples, 'sample')} on {found.engine}"
        table(title, ["<", *(heads[name] for name in names)], rows)
    else:
        STDOUT.print("no labels: only equality was looked at (--labels)")
    if found.passed:
        STDOUT.print(f"every output of {counted(found.samples, 'sample')} was equal, bit for bit")
        return
    differing = found.samples - found.equal
    STDOUT.print(f"FAILED: {differing} of {found.samples} samples differ")
    STDOUT.print(str(found.difference))


def _figures(accuracy: Accuracy, names: list[str]) -> list[str]:
    return [f"{getattr(accuracy, name):.3f}" for name in names]
