# SPDX-License-Identifier: Apache-2.0
"""Inferences on an emulated cluster, each compared with the unsplit model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tflsplit.bundle import Bundle
from tflsplit.emulate import rp2040
from tflsplit.emulate.cluster import Cluster
from tflsplit.emulate.faults import FaultCounts
from tflsplit.emulate.interventions import Event
from tflsplit.emulate.session import Session
from tflsplit.emulate.wiring import HOST, Wire
from tflsplit.errors import LinkError
from tflsplit.host import Inference
from tflsplit.host.figures import (
    DeviceFigures,
    WireFigures,
    check_traffic,
    device_figures,
    remarks,
    wire_figures,
)
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import Array, Engine
from tflsplit.split.devices import tensor_labels
from tflsplit.verify import Case
from tflsplit.wire.control import Info

_HOPELESS = 2
"""So many cases that fail in a row, with no event to come, show that the cluster stays as it is."""


@dataclass
class Trial:
    """What came of it.

    differing: for each case, how many output elements differ from the unsplit model's.
    wire_faults: injected so far, by wire: from a to b and from b to a.
    failures: of the cases that something which happened to the cluster has ended: what the host
        said.
    of_teams: with several teams, what each of them inferred; devices and wires are means over all.
    seconds: with several teams or inferences in flight, how long all of it took.
    taken_over: (team, why): what that team failed at, another one did.
    remarks: what somebody should know of devices that went on all the same (of the first team's).
    """

    inferences: list[Inference] = field(default_factory=list)
    differing: dict[str, int] = field(default_factory=dict)
    elements: int = 0
    devices: list[DeviceFigures] = field(default_factory=list)
    wires: list[WireFigures] = field(default_factory=list)
    wire_faults: dict[Wire, tuple[FaultCounts, FaultCounts]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    of_teams: list[list[Inference]] = field(default_factory=list)
    seconds: float | None = None
    taken_over: list[tuple[int, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def take(self, case: Case, inference: Inference, expected: Sequence[Array]) -> None:
        """An inference, and what the unsplit model says."""
        pairs = list(zip(expected, inference.outputs, strict=True))
        self.differing[case.name] = sum(int(np.sum(a != b)) for a, b in pairs)
        self.elements += sum(a.size for a, _ in pairs)
        self.inferences.append(inference)

    @property
    def same_bits(self) -> bool:
        """Whether every output was the unsplit model's."""
        return not any(self.differing.values())


def run_trial(
    bundle: Bundle,
    session: Session,
    cases: Iterable[Case],
    make: Engine,
    *,
    connect_seconds: float,
    infer_seconds: float,
    counts_instructions: bool,
    stage: Callable[[str], None] = lambda _: None,
    events: Sequence[Event] = (),
    in_flight: int = 1,
) -> Trial:
    """Run every case on the cluster and on the unsplit model.

    make: the engine of the unsplit model.
    events: happen at their times after the first inference has begun; a case that fails then is
        kept in ``failures``, and the next one follows; two in a row behind the last event end it.
    in_flight: as of ``Coordinator.infer_each``.
    Raises LinkError with the last words of the devices if the cluster fails, PlanError if it moved
    other bytes than plan.json says.
    """
    trial = Trial()
    expected = expectation(bundle, make)
    cluster = session.coordinator
    try:
        stage("starting the devices")
        cluster.connect(connect_seconds)
        before = cluster.links(connect_seconds)
        start_timers(events, session)
        cases = list(cases)
        inputs = _told(cases, stage)
        begun = time.monotonic()
        done: list[tuple[Case, Inference]] = []
        outcomes = cluster.infer_each(inputs, infer_seconds, in_flight)
        last_event, in_a_row = begun + max([0.0, *(event.seconds for event in events)]), 0
        for case, outcome in zip(cases, outcomes, strict=False):
            if isinstance(outcome, Inference):
                done.append((case, outcome))
                in_a_row = 0
            elif events:
                trial.failures[case.name] = str(outcome)
                in_a_row += time.monotonic() > last_event
                if in_a_row >= _HOPELESS:
                    raise _given_up(outcome, len(done), len(cases))
            else:
                raise outcome
        if in_flight > 1:
            trial.seconds = time.monotonic() - begun
        for case, inference in done:
            trial.take(case, inference, expected(case))
            check_traffic(bundle.document, inference.reports)
        after = cluster.links(connect_seconds)
    except LinkError as error:
        raise LinkError(f"{error}{last_words(session.cluster, len(bundle.devices))}") from None
    trial.devices = figures_of(cluster.infos, trial.inferences, counts_instructions)
    trial.wires = wire_figures(before, after, len(trial.inferences))
    trial.wire_faults = session.cluster.fault_counts()
    trial.remarks = remarks(cluster.infos, trial.wires)
    return trial


def _given_up(error: LinkError, answered: int, cases: int) -> LinkError:
    return LinkError(
        f"{error}\n{answered} of {cases} inputs were answered; the others were given up, since "
        "nothing more was to happen to the devices"
    )


def _told(cases: Iterable[Case], stage: Callable[[str], None]) -> Iterator[Mapping[str, Array]]:
    for case in cases:
        stage(f"input: {case.name}")
        yield case.inputs


def expectation(bundle: Bundle, make: Engine) -> Callable[[Case], Sequence[Array]]:
    """What the unsplit model says to a case."""
    whole, oracle = prepare(bundle.model), make(bundle.model)
    labels = tensor_labels(whole)
    return lambda case: oracle.run([case.inputs[labels[value]] for value in whole.inputs])


def start_timers(events: Sequence[Event], session: Session) -> None:
    """Let things happen to a cluster, each at its time from now.

    Raises ClusterError, and nothing happens, if one of them is about cables that are not there.
    """
    for event in events:
        event.check(session.cluster)
    for event in events:
        timer = threading.Timer(event.seconds, event.happen, [session.cluster])
        timer.daemon = True
        timer.start()


def figures_of(
    infos: Sequence[Info], inferences: Sequence[Inference], counts_instructions: bool
) -> list[DeviceFigures]:
    """By rank; instructions where the device's clock counts them."""
    devices = device_figures(infos, inferences, counts_instructions)
    return [_uncounted(d) if d.board == rp2040.BOARD else d for d in devices]


def _uncounted(device: DeviceFigures) -> DeviceFigures:
    """A clock that does not count instructions."""
    return replace(device, instructions=None, wait_instructions=None)


def last_words(cluster: Cluster, world_size: int) -> str:
    """The last line of every device's console, for an error message."""
    lines = [(rank, cluster.console(rank).lines) for rank in range(world_size)]
    return "".join(f"\n  rank {rank}: {said[-1] if said else '(silent)'}" for rank, said in lines)


def injected(trial: Trial, wire: WireFigures, world_size: int) -> int | None:
    """Faults that were injected in one direction of a wire; None if it has no fault model."""
    ends = tuple(-1 if rank == world_size else rank for rank in (wire.a, wire.b))
    for key, (forward, backward) in trial.wire_faults.items():
        if (key.a.rank, key.b.rank) == ends:
            return forward.events
        if (key.b.rank, key.a.rank) == ends:
            return backward.events
    assert HOST.rank == -1
    return None
