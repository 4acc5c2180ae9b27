# SPDX-License-Identifier: Apache-2.0
"""Whole networks over the firmware's links: one process per device, faults on the wires."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.bundles import bundle_of, rewrite_node
from tests.core_build import build_core
from tests.splits import needs_tflm
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli import main
from tflsplit.emulate import FaultModel
from tflsplit.emulate.core_library import LIBRARY_VARIABLE, core_library
from tflsplit.emulate.session import core_only, wires_of
from tflsplit.emulate.trial import Trial, run_trial
from tflsplit.errors import ClusterError, LinkError
from tflsplit.firmware.wiring import wire_links
from tflsplit.host import FirmwareSetup
from tflsplit.ir import Graph
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.runtime.engines import TflmProgram
from tflsplit.verify import make_cases
from tflsplit.wire.frames import max_payload_bytes
from tflsplit.wire.topology import Topology

pytestmark = needs_tflm

NOISY = FaultModel(
    flips_per_byte=2e-4, drops_per_byte=1e-4, duplicates_per_byte=1e-4, stalls_per_byte=2e-5
)


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIBRARY_VARIABLE, str(build_core() / "libsplit_core.so"))


def trial_of(bundle: Bundle, faults: FaultModel | None, **options) -> Trial:
    cases = list(make_cases(fold_constants(bundle.model), 2, seed=1))
    with core_only(bundle, "tflm", faults, seed=3, **options) as session:
        return run_trial(
            bundle, session, cases, TflmProgram,
            connect_seconds=60, infer_seconds=60, counts_instructions=False,
        )  # fmt: skip


def check_wires(bundle: Bundle, trial: Trial) -> None:
    """Every wire carried at least the boxes whose only way it is, in whole frames."""
    sent = {entry["rank"]: entry["sent_bytes"] for entry in bundle.document["devices"]}
    mtu = FirmwareSetup("", 1).mtu_bytes
    for rank, payload in sent.items():
        out = [wire for wire in trial.wires if wire.a == rank and wire.b < len(sent)]
        if len(out) == 1 and len(sent) == 2:
            assert out[0].frames >= payload / max_payload_bytes(mtu)
            assert out[0].bytes > payload


@pytest.mark.parametrize(
    ("name", "split", "world_size", "topology"),
    [
        ("mobilenet", "auto", 1, Topology.RING),
        ("mobilenet", "auto", 2, Topology.RING),
        ("resnet", "in_channels", 3, Topology.STAR),
        ("mobilenet", "auto", 4, Topology.RING),
        ("ds_cnn", "channels", 4, Topology.LINE),
    ],
)
@pytest.mark.parametrize("faults", [None, NOISY], ids=["clean", "faults"])
def test_the_bits_of_the_unsplit_model(
    tmp_path: Path, name: str, split: str, world_size: int, topology: Topology, faults
):
    bundle = read_bundle(bundle_of(tmp_path / "plan", name, world_size, split))
    trial = trial_of(bundle, faults, topology=topology)  # bytes against plan.json: run_trial
    assert trial.same_bits
    assert len(trial.inferences) == 5
    check_wires(bundle, trial)
    injected = sum(a.events + b.events for a, b in trial.wire_faults.values())
    resent = sum(wire.resent for wire in trial.wires)
    if faults is None:
        assert (injected, sum(wire.damaged for wire in trial.wires)) == (0, 0)
    elif world_size > 1:
        assert injected > 0
        assert resent > 0


def test_a_wrong_weight_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = bundle_of(tmp_path / "plan", "autoencoder", 2)

    def change(graph: Graph) -> None:
        weights = next(v for v in graph.constants() if v.data is not None and v.data.ndim == 2)
        assert weights.data is not None
        weights.data = weights.data.copy()
        weights.data[0] += 60

    rewrite_node(folder, 1, change)
    assert main(["emulate", str(folder), "--core-only"]) == 1
    assert "output elements differ" in capsys.readouterr().out


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = bundle_of(tmp_path / "plan", "autoencoder", 2)
    output = tmp_path / "y.npy"
    arguments = ["--runs", "2", "--faults", "3e-4", "--seed", "4", "--output", str(output)]
    assert main(["emulate", str(folder), "--core-only", "--json", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["same_bits"] is True
    assert document["inferences"] == 2
    assert document["elements"] == 2 * np.load(output).size
    assert sum(wire["faults"] for wire in document["wires"]) > 0
    assert {(wire["a"], wire["b"]) for wire in document["wires"]} == {
        (0, 1), (1, 0), (0, 2), (2, 0)
    }  # fmt: skip
    assert main(["emulate", str(folder), "--core-only", "--topology", "line"]) == 0
    out = capsys.readouterr().out
    assert "the same bits: 2 devices and the unsplit model on tflm, 1 input," in out


def test_an_event_fails_an_inference_by_name_and_the_next_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = bundle_of(tmp_path / "plan", "autoencoder", 3)
    event = ["--runs", "150", "--event", "0.05 swap 1", "--event", "0.3 swap 1"]
    assert main(["emulate", str(folder), "--core-only", "--json", *event]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["same_bits"] is True
    failures = document["failures"]
    assert 1 <= len(failures) < 10
    assert document["inferences"] == 150 - len(failures)
    assert all("rank" in text for text in failures.values())


@pytest.mark.parametrize(
    "wrong", [["--runs", "-1"], ["--timeout", "0"], ["--faults", "2"], ["--event", "1 burn 0"]]
)
def test_wrong_numbers(tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]):
    folder = bundle_of(tmp_path / "plan", "autoencoder", 2)
    assert main(["emulate", str(folder), "--core-only", *wrong]) == 2
    assert capsys.readouterr().err.startswith("tflsplit: ")


def test_a_killed_process_is_named_with_everyones_last_words(tmp_path: Path):
    bundle = read_bundle(bundle_of(tmp_path / "plan", "autoencoder", 3))
    cases = make_cases(fold_constants(bundle.model), 0, seed=1)
    with core_only(bundle, "tflm") as session:
        session.cluster.console(1).wait_for("READY", 60)
        session.cluster.kill(1)
        with pytest.raises(LinkError, match=r"(?s)rank 1 does not answer.*\n  rank 1: READY"):
            run_trial(
                bundle, session, cases, TflmProgram,
                connect_seconds=5, infer_seconds=5, counts_instructions=False,
            )  # fmt: skip


@pytest.mark.parametrize("topology", [Topology.RING, Topology.LINE, Topology.STAR])
@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_wires_join_what_the_tables_expect(topology: Topology, world_size: int):
    setup = FirmwareSetup("", world_size, topology)
    ports = {
        (rank, link.port): link.table.peer_rank
        for rank, links in enumerate(wire_links(topology, world_size, 0))
        for link in links
    }
    wires = wires_of(setup)
    for wire in wires[:-1]:
        assert ports.pop((wire.a.rank, wire.a.link)) == wire.b.rank
        assert ports.pop((wire.b.rank, wire.b.link)) == wire.a.rank
    assert list(ports.values()) == [world_size]


def test_a_missing_compiler_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv(LIBRARY_VARIABLE)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="install g\\+\\+"):
        core_library()
