# SPDX-License-Identifier: Apache-2.0
"""Inferences on several clusters at a time; devices in threads of the test act the programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, cast

import pytest

from tests.bundles import bundle_of
from tests.soft_cluster import SoftCluster
from tests.splits import needs_tflm
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.emulate.cluster import Cluster
from tflsplit.emulate.faults import FaultCounts
from tflsplit.emulate.session import Session, wires_of
from tflsplit.emulate.team_trial import run_teams
from tflsplit.emulate.trial import Trial, run_trial
from tflsplit.errors import LinkError
from tflsplit.host import Coordinator, Inference
from tflsplit.passes.prepare import prepare
from tflsplit.runtime.engines import Array, engine
from tflsplit.verify import Case, make_cases

pytestmark = needs_tflm


class Programs:
    """What a trial asks of the emulated programs: one wire of each cluster was harmed once."""

    def __init__(self, soft: SoftCluster) -> None:
        self._wire = wires_of(soft.setup)[0]

    def fault_counts(self) -> dict[Any, tuple[FaultCounts, FaultCounts]]:
        return {self._wire: (FaultCounts(flips=1), FaultCounts())}

    def console(self, rank: int) -> Any:
        return type("Console", (), {"lines": [f"the last of {rank}"]})


class Lost(Coordinator):
    """Its devices are there, and every inference fails."""

    def infer(self, inputs: Mapping[str, Array], timeout_seconds: float = 60) -> Inference:
        raise LinkError("rank 1 does not answer")


@contextmanager
def sessions(bundle: Bundle, *kinds: Callable[..., Coordinator]) -> Iterator[list[Session]]:
    with ExitStack() as stack:
        made = []
        for kind in kinds:
            soft = stack.enter_context(SoftCluster(bundle))
            host = stack.enter_context(kind(soft.host, bundle, soft.setup))
            made.append(Session(cast("Cluster", Programs(soft)), host, ()))
        yield made


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder: Path = tmp_path_factory.mktemp("plans") / "plan"
    return read_bundle(bundle_of(folder, "autoencoder", 2))


def trial_of(run: Callable[..., Trial], bundle: Bundle, on: Any, count: int = 6) -> Trial:
    cases: list[Case] = list(islice(make_cases(prepare(bundle.model), count, 1), count))
    limits = {"connect_seconds": 20.0, "infer_seconds": 20.0, "counts_instructions": False}
    return run(bundle, on, cases, engine(None)[1], **limits)


def test_every_input_has_the_same_bits_and_wires_carry_as_much_as_of_one(bundle: Bundle):
    with sessions(bundle, Coordinator, Coordinator) as both:
        trial = trial_of(run_teams, bundle, both)
        one = trial_of(run_trial, bundle, both[0])
    assert trial.same_bits
    assert sum(map(len, trial.of_teams)) == len(trial.inferences) == 6
    assert trial.seconds is not None
    assert [(wire.a, wire.b) for wire in trial.wires] == [(wire.a, wire.b) for wire in one.wires]
    between = [wire for wire in zip(trial.wires, one.wires, strict=True) if wire[0].b < 2]
    assert all(several.bytes == pytest.approx(alone.bytes, rel=0.2) for several, alone in between)
    ((there, _),) = trial.wire_faults.values()
    assert there.flips == 2, "of both teams"


def test_another_team_does_what_one_fails_at(bundle: Bundle):
    with sessions(bundle, Lost, Coordinator) as both:
        trial = trial_of(run_teams, bundle, both)
    assert trial.same_bits
    assert [len(done) for done in trial.of_teams] == [0, 6]
    assert trial.taken_over == [(0, "rank 1 does not answer")]
    with (
        sessions(bundle, Lost, Lost) as both,
        pytest.raises(LinkError, match=r"(?s)no team is left.*rank 1 does not answer.*last of 1"),
    ):
        trial_of(run_teams, bundle, both)
