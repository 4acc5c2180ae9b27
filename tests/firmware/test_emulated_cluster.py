# SPDX-License-Identifier: Apache-2.0
"""The whole firmware, TFLM inside, as a cluster on this computer: the unsplit model's bits.

Emulated boards need TFLM's sources (TFLSPLIT_TFLM_DIR), whose library is built once, below
.pio/tflm; programs of this computer take the wheel where there are none.
"""

from __future__ import annotations

import json
import os
import threading
from itertools import islice
from pathlib import Path

import pytest

from tests.bundles import bundle_of
from tests.splits import needs_tflm
from tflsplit.bundle import Bundle, read_bundle
from tflsplit.cli import main
from tflsplit.emulate import FaultModel
from tflsplit.emulate.firmware_build import build_firmware, take_firmware
from tflsplit.emulate.session import Session, whole_firmware
from tflsplit.emulate.trial import Trial, run_trial
from tflsplit.errors import ClusterError, LinkError, PlanError
from tflsplit.firmware import FirmwareOptions, board_named, firmware_files
from tflsplit.firmware.arenas import abi_of, kernels_of
from tflsplit.memory import predict_arena
from tflsplit.memory.abi import CORTEX_M, Abi
from tflsplit.memory.demand import Kernels
from tflsplit.passes.fold_constants import fold_constants
from tflsplit.plan.wishes import Wishes
from tflsplit.rewriting.rewrite import rewrite
from tflsplit.runtime.engines import TflmProgram
from tflsplit.verify import Case, make_cases
from tflsplit.verify.inputs import EDGES

pytestmark = needs_tflm

NOISY = FaultModel(flips_per_byte=1e-4, drops_per_byte=5e-5, duplicates_per_byte=5e-5)
BOARD = "mps2_an500"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pio(platformio, monkeypatch: pytest.MonkeyPatch) -> None:
    """PlatformIO without its registry, where the tool looks for it."""
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(platformio.folder / "core"))
    beside = Path(platformio.python).parent
    monkeypatch.setenv("PATH", f"{beside}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def tools(pio: None, tflm_tree: Path) -> Path:
    """PlatformIO and TFLM's tree."""
    return tflm_tree


def cases_of(bundle: Bundle, count: int) -> list[Case]:
    return list(islice(make_cases(fold_constants(bundle.model), count, 0), len(EDGES), None))


def trial_of(bundle: Bundle, session: Session, count: int, counted: bool) -> Trial:
    trial = run_trial(
        bundle, session, cases_of(bundle, count), TflmProgram,
        connect_seconds=120, infer_seconds=900, counts_instructions=counted,
    )  # fmt: skip
    assert trial.same_bits, trial.differing
    assert len(trial.inferences) == count
    return trial


def check_arenas(bundle: Bundle, trial: Trial, abi: Abi, kernels: Kernels) -> None:
    """TFLM uses what was predicted, to the byte, and the firmware has room for it."""
    for device, figures in zip(bundle.devices, trial.devices, strict=True):
        estimate = predict_arena(device.graph, abi, kernels)
        if estimate.exact:
            assert figures.arena_used_bytes == estimate.total_bytes
        assert 0 < figures.arena_used_bytes <= figures.arena_bytes


def emulated(bundle: Bundle, count: int = 2, faults: FaultModel | None = None) -> Trial:
    options = FirmwareOptions(boards=(BOARD,))
    built = build_firmware(bundle, options)
    with whole_firmware(bundle, built.setup, built.devices, faults) as session:
        trial = trial_of(bundle, session, count, counted=True)
    (kernels,) = kernels_of(board_named(BOARD), options)
    check_arenas(bundle, trial, CORTEX_M, kernels)
    assert all(device.board == BOARD for device in trial.devices)
    assert all((device.compute_instructions or 0) > 1000 for device in trial.devices)
    return trial


@pytest.mark.slow
@pytest.mark.parametrize("faults", [None, NOISY], ids=["clean", "faults"])
def test_tiny_network_on_four_boards(tools, arm_compiler, qemu, tmp_path: Path, faults):
    bundle = read_bundle(bundle_of(tmp_path / "plan", "mobilenet", 4))
    trial = emulated(bundle, 2, faults)
    if faults is not None:
        assert sum(a.events + b.events for a, b in trial.wire_faults.values()) > 0
        assert sum(wire.resent for wire in trial.wires) > 0


@pytest.mark.slow
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_tiny_network_as_programs_of_this_computer(
    pio, host_tflm: Path, host_compiler, tmp_path: Path, world_size: int
):
    """By PlatformIO; tests/emulate/test_native.py does without."""
    bundle = read_bundle(bundle_of(tmp_path / "plan", "resnet", world_size))
    options = FirmwareOptions(boards=("host",), tflm_dir=host_tflm, arena_margin_bytes=0)
    built = build_firmware(bundle, options)
    with whole_firmware(
        bundle, built.setup, built.devices, NOISY, count_instructions=False
    ) as session:
        trial = trial_of(bundle, session, 4, counted=False)
    host = board_named("host")
    if kernels_of(host, options) == ("reference",):
        check_arenas(bundle, trial, abi_of(host, options), "reference")
    # CMSIS-NN without DSP instructions: no size is predicted, but there is room.
    assert all(figures.arena_used_bytes <= figures.arena_bytes for figures in trial.devices)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "world_size"),
    [
        ("mlperf_resnet8", 2),
        ("mlperf_resnet8", 4),
        ("mlperf_kws_dscnn", 2),
        ("mlperf_kws_dscnn", 4),
        ("mlperf_vww_mbv1", 2),
        ("mlperf_vww_mbv1", 4),
        ("mobilenet_v2_0.35_160_cfu", 4),
    ],
)
def test_real_models_on_emulated_boards(
    tools, arm_compiler, qemu, shared_models: Path, tmp_path: Path, model: str, world_size: int
):
    folder = tmp_path / "plan"
    rewrite(shared_models / f"{model}.tflite", folder, Wishes(world_size))
    emulated(read_bundle(folder), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "boards"),
    [
        ("emulated", ("mps2_an386", "mps2_an500", "mps2_an505", "mps3_an547")),
        ("chips", ("stm32f405", "rp2040", "stm32f405", "mps3_an547")),
    ],
)
def test_rings_of_several_kinds_of_processor(
    tools, arm_compiler, qemu, rp2040js, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    file: str, boards: tuple[str, ...],
):  # fmt: skip
    """Kernels of different schedules, registers of different makers, and the same bits."""
    folder = bundle_of(tmp_path / "plan", "mobilenet", 4)
    cluster = str(ROOT / "examples" / f"{file}.toml")
    command = ["emulate", str(folder), "--cluster", cluster, "--runs", "2", "--json"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["same_bits"]
    assert told["elements"] > 0
    assert tuple(device["board"] for device in told["devices"]) == boards


@pytest.mark.slow
def test_a_board_that_is_reset_is_named_and_the_next_inference_is_right(
    tools, arm_compiler, qemu, tmp_path: Path
):
    bundle = read_bundle(bundle_of(tmp_path / "plan", "mobilenet", 3))
    built = build_firmware(bundle, FirmwareOptions(boards=(BOARD,)))
    with whole_firmware(bundle, built.setup, built.devices) as session:
        trial_of(bundle, session, 1, counted=True)
        host = session.coordinator
        (case,) = cases_of(bundle, 1)
        reset = threading.Timer(0.3, session.cluster.reset, [1])
        reset.start()
        errors = []
        for _ in range(20):  # until the button is pressed during one of them
            try:
                host.infer(case.inputs, 300)
            except LinkError as error:
                errors.append(str(error))
                break
        reset.join()
        assert [text for text in errors if "rank 1" in text] == errors != []
        trial_of(bundle, session, 2, counted=True)
        assert host.infos[1].inferences < host.infos[0].inferences


def test_firmware_of_another_plan_is_refused(tmp_path: Path):
    one = read_bundle(bundle_of(tmp_path / "one", "autoencoder", 2))
    with pytest.raises(ClusterError, match=r"there is no firmware\.json in it"):
        take_firmware(one, tmp_path / "empty")
    other = read_bundle(bundle_of(tmp_path / "other", "mobilenet", 2))
    options = FirmwareOptions(boards=(BOARD,))
    built = tmp_path / "built"
    built.mkdir()
    files = firmware_files(other.document, other.devices, options)
    (built / "firmware.json").write_bytes(files["firmware.json"])
    with pytest.raises(PlanError, match="was made for another plan"):
        take_firmware(one, built)
    with pytest.raises(ClusterError, match=r"node0\.elf is missing: leave --firmware out"):
        take_firmware(other, built)


def test_without_tflm_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TFLSPLIT_TFLM_DIR", raising=False)
    bundle = read_bundle(bundle_of(tmp_path / "plan", "autoencoder", 2))
    with pytest.raises(ClusterError, match=r"TFLSPLIT_TFLM_DIR .* --native runs the firmware"):
        build_firmware(bundle, FirmwareOptions(boards=(BOARD,)))
