# SPDX-License-Identifier: Apache-2.0
"""``tflsplit deploy model.tflite``: find boards, plan for them, deploy, compare."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from tflsplit.api.planned import planned_for
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.folder import refuse_folder
from tflsplit.cli.console import note, progress
from tflsplit.deploy.explore import explore, release
from tflsplit.deploy.words import topology_words
from tflsplit.errors import EngineError, counted
from tflsplit.host import Coordinator, read_firmware_setup
from tflsplit.host.coordinator import CONNECT_SECONDS
from tflsplit.host.ports import Stream
from tflsplit.host.starting import connect_soon
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import engine
from tflsplit.split.devices import tensor_labels
from tflsplit.verify import make_cases
from tflsplit.verify.inputs import EDGES


@dataclass(frozen=True)
class Compared:
    """What the boards gave beside what the unsplit model gives; engine "": nothing to compare with.

    differing: elements, over all inputs.
    """

    engine: str
    inputs: int
    elements: int
    differing: int
    seconds: float


def rewrite_for(arguments: argparse.Namespace, streams: Sequence[Stream]) -> Bundle:
    """Find the boards, plan the model for them, write the folder; what was written."""
    folder = arguments.output or Path("build") / arguments.what.stem
    refuse_folder(folder, arguments.force)
    with progress("looking for boards") as stage:
        surveyor, wiring = explore(streams)
        release(surveyor, wiring)
        objective = arguments.objective or "latency"
        planned_for(arguments.what, wiring, objective, stage).split.save(folder, arguments.force)
    bundle = read_bundle(folder)
    note(f"wrote {folder}, for {counted(len(bundle.devices), 'board')} of {topology_words(wiring)}")
    return bundle


def compare(
    bundle: Bundle,
    teams: Sequence[Sequence[Stream]],
    runs: int,
    connect_seconds: float = CONNECT_SECONDS,
) -> Compared:
    """Inferences on the boards of each team, beside the unsplit model on this computer's engine.

    teams: for each the ports of its gateways, in the order of their ranks.
    connect_seconds: longest time for a team's boards to be there.
    Raises LinkError if the boards fail.
    """
    whole = prepare(bundle.model)
    labels = tensor_labels(whole)
    try:
        name, make = engine(None)
        oracle = make(bundle.model)
    except EngineError as error:
        note(f"nothing to compare with: {error}")
        return Compared("", 0, 0, 0, 0.0)
    elements = differing = 0
    slowest = 0.0
    setup = read_firmware_setup(bundle.folder, bundle.document)
    hosts = [
        Coordinator(dict(zip(setup.gateways, ports, strict=True)), bundle, setup) for ports in teams
    ]
    for host in hosts:
        connect_soon(host, connect_seconds)
    for case in islice(make_cases(whole, runs, seed=0), len(EDGES), None):
        expected = oracle.run([case.inputs[labels[value]] for value in whole.inputs])
        for host in hosts:
            found = host.infer(case.inputs)
            for one, other in zip(expected, found.outputs, strict=True):
                differing += int(np.sum(one != other))
                elements += one.size
            slowest = max(slowest, found.seconds)
    return Compared(name, runs, elements, differing, slowest)
