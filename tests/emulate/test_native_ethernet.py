# SPDX-License-Identifier: Apache-2.0
"""The whole firmware on an Ethernet segment, as programs of this computer."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.native import needs_cxx, needs_wheel_reader
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli import main
from tflsplit.cluster import default_cluster, message_frames
from tflsplit.emulate import FaultModel
from tflsplit.emulate.firmware_build import BuiltFirmware
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import whole_firmware
from tflsplit.emulate.trial import Trial, run_trial
from tflsplit.firmware import options_of_cluster
from tflsplit.ops.own.custom_options import SendOptions
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.runtime.engines import TflmProgram
from tflsplit.sim import simulate
from tflsplit.verify import make_cases
from tflsplit.verify.inputs import EDGES
from tflsplit.wire.custom_ops import SEND

pytestmark = [needs_wheel_reader, needs_cxx]

CLUSTER = replace(default_cluster(4, "ethernet"), input_rank=1, output_rank=1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    # Channels are gathered by all.
    return read_bundle(
        bundle_of(tmp_path_factory.mktemp("plan") / "of4", "mobilenet", 4, "channels")
    )


@pytest.fixture(scope="module")
def built(bundle: Bundle) -> BuiltFirmware:
    return build_native(bundle, replace(options_of_cluster(CLUSTER, ("host",)), tflm_dir=None))


def run(
    bundle: Bundle, built: BuiltFirmware, faults: FaultModel | None = None
) -> tuple[Trial, list[int], list[int], list[int]]:
    """What came of two inputs; Ethernet frames sent, of them to a group, and lost, by rank."""
    cases = islice(make_cases(fold_constants(bundle.model), 2, 5), len(EDGES), None)
    with whole_firmware(
        bundle, built.setup, built.devices, faults, seed=4, count_instructions=False
    ) as session:
        trial = run_trial(
            bundle, session, cases, TflmProgram,
            connect_seconds=60, infer_seconds=120, counts_instructions=False,
        )  # fmt: skip
        segment = session.cluster.segment
        assert segment is not None
        return trial, segment.frames, segment.groups, segment.lost


def test_the_same_bits_frames_as_simulated_and_fewer_on_ethernet(bundle, built):
    trial, sent, groups, lost = run(bundle, built)
    assert trial.same_bits
    assert sum(lost) == 0
    simulated = simulate(bundle.devices, CLUSTER)
    between = [wire for wire in trial.wires if 4 not in (wire.a, wire.b)]
    assert len(between) == 12
    for wire in between:
        # Beside data and grants: two messages of control, and their answers, pass the gateway.
        assert wire.frames >= simulated.wires[wire.a, wire.b].frames
        assert wire.resent == 0
    # Each of these would have been three; where a receiver grants late there are fewer.
    assert frames_for_all_others(bundle) > 0
    assert 0 < sum(groups) < sum(sent)


def frames_for_all_others(bundle: Bundle) -> int:
    """In one inference, frames of messages that all other devices get."""
    nodes = (node for device in bundle.devices for node in device.graph.nodes)
    sends = [SendOptions.of(node) for node in nodes if node.op == SEND]
    alike = [one for one in sends if len(set(one.boxes)) == 1 and len(one.to) == 3]
    return sum(message_frames(one.boxes[0].size, CLUSTER.mtu_bytes)[0] for one in alike)


def test_frames_that_are_lost_cost_no_bit(bundle, built):
    trial, _, _, lost = run(bundle, built, FaultModel(flips_per_byte=2e-4))
    assert trial.same_bits
    assert sum(lost) > 10
    assert sum(wire.resent for wire in trial.wires) > 0


def test_the_links_alone_have_no_ethernet(tmp_path: Path, capsys):
    (tmp_path / "cluster.toml").write_text(
        '[link]\nkind = "ethernet"\n[[device]]\nboard = "mps2_an500"\ncount = 2\n'
    )
    model = bundle_of(tmp_path / "plan", "autoencoder", 2) / "model.tflite"
    words = [str(model), "--cluster", str(tmp_path / "cluster.toml"), "-o", str(tmp_path / "out")]
    assert main(["rewrite", *words, "-q"]) == 0
    assert main(["emulate", str(tmp_path / "out"), "--core-only"]) == 2
    assert "the links alone have no Ethernet" in capsys.readouterr().err
