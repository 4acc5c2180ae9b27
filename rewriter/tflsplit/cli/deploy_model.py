# SPDX-License-Identifier: Apache-2.0
"""``tflsplit deploy model.tflite``: find boards, plan for them, deploy, compare."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from tflsplit.api.found import cluster_of_found, ranks_of_found
from tflsplit.api.project import Project
from tflsplit.api.rewriting import divided
from tflsplit.api.split_model import SplitModel
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.bundle.folder import refuse_folder
from tflsplit.cli.console import note, progress
from tflsplit.cluster import Cluster
from tflsplit.cluster.rewired import rewired
from tflsplit.deploy.explore import explore, release
from tflsplit.deploy.wiring import Wiring
from tflsplit.deploy.words import topology_words
from tflsplit.errors import EngineError, counted
from tflsplit.host import Coordinator, read_firmware_setup
from tflsplit.host.coordinator import CONNECT_SECONDS
from tflsplit.host.ports import Stream
from tflsplit.passes.prepare import prepare
from tflsplit.rewriting.chooser import Chooser
from tflsplit.runtime.engines import engine
from tflsplit.split.devices import tensor_labels
from tflsplit.verify import make_cases
from tflsplit.verify.inputs import EDGES
from tflsplit.wire.handshake import PeerError
from tflsplit.wire.topology import Topology

_AGAIN_SECONDS = 0.3


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
        cluster = cluster_of_found(wiring)
        chooser, split = _split(arguments, cluster, wiring, stage)
        if chooser.left_out and cluster.topology is Topology.RING:
            # A ring of fewer would want other cables; a line of fewer is in it.
            line = rewired(cluster, topology=Topology.LINE)
            chooser, split = _split(arguments, line, wiring, stage)
        split.save(folder, arguments.force)
    bundle = read_bundle(folder)
    note(f"wrote {folder}, for {counted(len(bundle.devices), 'board')} of {topology_words(wiring)}")
    return bundle


def _split(
    arguments: argparse.Namespace, cluster: Cluster, wiring: Wiring, stage: Callable[[str], None]
) -> tuple[Chooser, SplitModel]:
    chooser = Chooser(cluster, arguments.objective or "latency")
    kinds = [wiring.boards[board].kind for board in ranks_of_found(wiring)]
    return chooser, divided(arguments.what, chooser, Project(kinds, wanted=True), stage)


def _connect(cluster: Coordinator) -> None:
    """As soon as the boards run: they have just left another network, and allocate tensors."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            cluster.connect()
            return
        except PeerError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_AGAIN_SECONDS)


def compare(bundle: Bundle, teams: Sequence[Sequence[Stream]], runs: int) -> Compared:
    """Inferences on the boards of each team, beside the unsplit model on this computer's engine.

    teams: for each the ports of its gateways, in the order of their ranks.
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
        _connect(host)
    for case in islice(make_cases(whole, runs, seed=0), len(EDGES), None):
        expected = oracle.run([case.inputs[labels[value]] for value in whole.inputs])
        for host in hosts:
            found = host.infer(case.inputs)
            for one, other in zip(expected, found.outputs, strict=True):
                differing += int(np.sum(one != other))
                elements += one.size
            slowest = max(slowest, found.seconds)
    return Compared(name, runs, elements, differing, slowest)
