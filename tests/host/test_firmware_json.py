# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import bundle_of
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.errors import PlanError
from tflsplit.firmware import FirmwareOptions, firmware_files
from tflsplit.host import FirmwareSetup, read_firmware_setup
from tflsplit.wire.topology import Topology


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read_bundle(bundle_of(tmp_path / "plan", "autoencoder", 3))


def written(bundle: Bundle, **changes: Any) -> Path:
    options = FirmwareOptions(("mps2_an500",), Topology.LINE, gateway=1, mtu_bytes=256)
    files = firmware_files(bundle.document, bundle.devices, options)
    document = json.loads(files["firmware.json"]) | changes
    (bundle.folder / "firmware.json").write_text(json.dumps(document))
    return bundle.folder


def test_what_the_generator_writes_is_understood(bundle: Bundle):
    setup = read_firmware_setup(written(bundle), bundle.document)
    assert (setup.topology, setup.gateway, setup.mtu_bytes) == (Topology.LINE, 1, 256)
    assert setup.host_rank == setup.world_size == 3
    assert [device["board"] for device in setup.devices] == ["mps2_an500"] * 3
    assert setup.timing.peer_timeout_us > 1_000_000
    assert setup.multicast_hold_us > 0


def test_direct_input_and_what_was_written_before_there_was_any(bundle: Bundle):
    setup = read_firmware_setup(written(bundle, direct=True), bundle.document)
    assert setup.gateways == (0, 1, 2)
    folder = written(bundle, version=1)
    document = json.loads((folder / "firmware.json").read_text())
    del document["direct"]
    (folder / "firmware.json").write_text(json.dumps(document))
    assert read_firmware_setup(folder, bundle.document).gateways == (1,)


def test_without_one_there_are_defaults(bundle: Bundle):
    (bundle.folder / "firmware.json").unlink(missing_ok=True)
    setup = read_firmware_setup(bundle.folder, bundle.document)
    assert setup == FirmwareSetup(bundle.document["fingerprint"], 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 4}, "version: 4 is not a whole number from 1 to 3"),
        ({"direct": 1}, "direct: 1 is neither true nor false"),
        ({"fingerprint": "00" * 16}, "was made for another plan"),
        ({"world_size": 4}, "was made for another plan"),
        ({"topology": "torus"}, "torus"),
        ({"timing": {}}, "timing.hello_interval_us is missing"),
        ({"devices": None}, "devices: None is not a list"),
        ({"devices": [{"board": "host"}]}, "its gateway or its devices"),
        ({"gateway": 3}, "its gateway or its devices"),
        ({"world_size": 10**10}, "world_size: 10000000000 is not a whole number from 1 to 64"),
        ({"timeout_ms": "1"}, "timeout_ms: '1' is not"),
    ],
)
def test_a_wrong_one_is_refused(bundle: Bundle, changes: dict[str, Any], message: str):
    folder = written(bundle, **changes)
    with pytest.raises(PlanError, match=message) as raised:
        read_firmware_setup(folder, bundle.document)
    assert "firmware.json" in str(raised.value)
    assert "generate the firmware again" in str(raised.value)


def test_no_json_is_refused(bundle: Bundle):
    (bundle.folder / "firmware.json").write_text("{")
    with pytest.raises(PlanError, match="damaged"):
        read_firmware_setup(bundle.folder, bundle.document)
