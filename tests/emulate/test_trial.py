# SPDX-License-Identifier: Apache-2.0
"""Inferences on an emulated cluster to which something happens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.bundles import bundle_of
from tests.splits import needs_tflm
from tflsplit.bundle import read_bundle
from tflsplit.emulate.interventions import Event
from tflsplit.emulate.session import Session
from tflsplit.emulate.trial import run_trial
from tflsplit.errors import LinkError
from tflsplit.runtime.engines import engine
from tflsplit.verify import make_cases


@needs_tflm
def test_what_a_dead_device_leaves_unanswered_is_given_up(tmp_path: Path):
    bundle = read_bundle(bundle_of(tmp_path / "plan", "ds_cnn", 1))
    asked: list[int] = []

    def infer_each(inputs: Iterable[object], *_: object) -> Iterator[LinkError]:
        for number, _inputs in enumerate(inputs):
            asked.append(number)
            yield LinkError("rank 1 is silent")

    coordinator = SimpleNamespace(
        connect=lambda _: None, links=lambda _: [], infer_each=infer_each, infos=[]
    )
    wires = SimpleNamespace(console=lambda _: SimpleNamespace(lines=["alive"]))
    session = cast(Session, SimpleNamespace(coordinator=coordinator, cluster=wires))
    past = cast(Event, SimpleNamespace(seconds=-1.0, check=lambda _: None, happen=lambda _: None))
    with pytest.raises(LinkError, match=r"silent\n0 of 9 inputs were answered; the others were"):
        run_trial(
            bundle,
            session,
            islice(make_cases(bundle.model, 9, 1), 9),
            engine("tflm")[1],
            connect_seconds=1,
            infer_seconds=1,
            counts_instructions=False,
            events=[past],
        )
    assert asked == [0, 1]
