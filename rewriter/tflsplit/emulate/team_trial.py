# SPDX-License-Identifier: Apache-2.0
"""Inferences on several emulated clusters at a time, each compared with the unsplit model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tflsplit.bundle import Bundle
from tflsplit.emulate.faults import FaultCounts
from tflsplit.emulate.interventions import Event
from tflsplit.emulate.session import Session
from tflsplit.emulate.trial import Trial, expectation, figures_of, last_words, start_timers
from tflsplit.emulate.wiring import Wire
from tflsplit.errors import LinkError
from tflsplit.host.figures import Links, check_traffic, remarks
from tflsplit.host.teams import Teams, wires_of_teams
from tflsplit.runtime.engines import Engine
from tflsplit.verify import Case


def run_teams(
    bundle: Bundle,
    sessions: Sequence[Session],
    cases: Iterable[Case],
    make: Engine,
    *,
    connect_seconds: float,
    infer_seconds: float,
    counts_instructions: bool,
    stage: Callable[[str], None] = lambda _: None,
    events: Sequence[Event] = (),
) -> Trial:
    """Run every case on whichever team is free, then on the unsplit model.

    Arguments and errors as those of ``run_trial``; events happen to the first team, and what it
    fails at another team does, as ``Trial.taken_over`` says.
    """
    cases, hosts = list(cases), [session.coordinator for session in sessions]
    expected, trial = expectation(bundle, make), Trial()
    before: list[Links] = []
    try:
        stage(f"starting the devices of {len(hosts)} teams")
        for host in hosts:
            host.connect(connect_seconds)
            before.append(host.links(connect_seconds))
        start_timers(events, sessions[0])
        run = Teams(hosts).infer_all([case.inputs for case in cases], infer_seconds, stage)
    except LinkError as error:
        words = (last_words(session.cluster, len(bundle.devices)) for session in sessions)
        raise LinkError(f"{error}{''.join(words)}") from None
    stage("comparing with the unsplit model")
    for number, inference in enumerate(run.inferences):
        trial.take(cases[number], inference, expected(cases[number]))
        check_traffic(bundle.document, inference.reports)
    trial.taken_over = [(team, str(error)) for team, error in run.failures]
    trial.of_teams = [run.of_team(team) for team in range(len(hosts))]
    trial.seconds = run.seconds
    trial.devices = figures_of(hosts[0].infos, trial.inferences, counts_instructions)
    trial.wires = wires_of_teams(hosts, before, run, connect_seconds)
    trial.wire_faults = _faults(sessions)
    trial.remarks = remarks(hosts[0].infos, trial.wires)
    return trial


def _faults(sessions: Sequence[Session]) -> dict[Wire, tuple[FaultCounts, FaultCounts]]:
    """Of all teams together."""
    found: dict[Wire, tuple[FaultCounts, FaultCounts]] = {}
    for session in sessions:
        for wire, (there, back) in session.cluster.fault_counts().items():
            old = found.get(wire, (FaultCounts(), FaultCounts()))
            found[wire] = _counts(old[0], there), _counts(old[1], back)
    return found


def _counts(one: FaultCounts, other: FaultCounts) -> FaultCounts:
    return FaultCounts(**{name: count + getattr(other, name) for name, count in vars(one).items()})
