# SPDX-License-Identifier: Apache-2.0
"""A cluster of firmware of one plan is found by a survey, and computes on when it is over."""

from __future__ import annotations

import contextlib
from itertools import islice
from pathlib import Path

import numpy as np

from tests.bundles import bundle_of
from tests.emulate.generic_host import ADOPT, IDENTIFY, IDENTITY, REFUSED, RUN, RUNNING, ask
from tests.native import needs_cxx, needs_wheel_reader
from tflsplit.bundle import read_bundle
from tflsplit.emulate.native_build import build_native
from tflsplit.emulate.session import whole_firmware
from tflsplit.errors import LinkError
from tflsplit.firmware import FirmwareOptions
from tflsplit.passes.prepare import prepare
from tflsplit.verify import make_cases
from tflsplit.verify.inputs import EDGES

pytestmark = [needs_wheel_reader, needs_cxx]


def test_a_cluster_is_surveyed_and_computes_on(tmp_path: Path):
    bundle = read_bundle(bundle_of(tmp_path / "plan", "mobilenet", 3))
    built = build_native(bundle, FirmwareOptions(tflm_dir=None))
    (case,) = islice(make_cases(prepare(bundle.model), 1, 5), len(EDGES), None)
    with whole_firmware(bundle, built.setup, built.devices, count_instructions=False) as session:
        host = session.coordinator
        host.connect(60)
        first = host.infer(case.inputs, 60).outputs
        end = session.cluster.host_sockets[0]
        for rank, way in enumerate(([], [1], [1, 1])):
            kind, body = ask(end, IDENTIFY, way)
            assert kind == IDENTITY
            assert body[16:20] == b"host"
            assert body[36:39] == bytes([0 if way else 255, 2, 2])  # arrived, ports, fixed
            assert body[74:90].hex() == bundle.document["fingerprint"]
            assert bytes([*body[90:92], body[54], body[57]]) == bytes([rank, 3, 1, 0])
        assert ask(end, IDENTIFY, [0])[1][90] == 2  # the other way round
        assert ask(end, ADOPT, [], bytes(43)) == (REFUSED, bytes([5, 0, 0, 0, 0, 0, 0, 0]))
        for way in ([1, 1], [1], []):
            assert ask(end, RUN, way, b"\xff") == (RUNNING, b"")
        end.settimeout(None)
        with contextlib.suppress(LinkError):  # the devices were away
            host.infer(case.inputs, 60)
        again = host.infer(case.inputs, 60).outputs
        assert all(map(np.array_equal, first, again))
