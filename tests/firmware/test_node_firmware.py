# SPDX-License-Identifier: Apache-2.0
"""Generated environments under PlatformIO; with TFLM, built and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bundles import banked_bundle, bundle_of
from tests.firmware.conftest import ROOT
from tests.support import run_tflm
from tflsplit.bundle import read_bundle
from tflsplit.cluster.banks import Bank
from tflsplit.emulate import Cluster, Device, line
from tflsplit.errors import LinkError
from tflsplit.firmware import BOARDS, FirmwareOptions, write_firmware
from tflsplit.firmware.arenas import WHEEL_TREE
from tflsplit.host import read_firmware_setup
from tflsplit.host.coordinator import Coordinator
from tflsplit.host.ports import SocketStream
from tflsplit.memory import predict_arena
from tflsplit.memory.arena import KERNEL_FLAVOURS
from tflsplit.memory.demand import Kernels

BUILD_SECONDS = 1800  # TFLM's 150 files, once
# A forced way, so that SEND, RECV and compute operators of our own are in the graphs.
NETWORK: dict[str, Any] = {"name": "mobilenet", "split": "channels"}


def test_platformio_takes_the_environments_of_every_board(platformio: Any, tmp_path: Path):
    folder = bundle_of(tmp_path / "out", world_size=2)
    for board in BOARDS.values():
        options = FirmwareOptions(boards=(board.name,), tflm_dir=None, baud=1_000_000)
        write_firmware(folder, options)
        run = platformio.run("project", "config", "--json-output", "-d", str(folder))
        assert run.returncode == 0, run.stdout + run.stderr
        sections = {name: dict(entries) for name, entries in json.loads(run.stdout)}
        for rank in range(2):
            node = sections[f"env:node{rank}"]
            assert node["extends"] == [f"board:{board.section}"]
            assert node["custom_node_folder"] == f"./firmware/node{rank}"
            needs_registry = any("TensorFLow" in name for name in node.get("lib_deps", []))
            assert needs_registry == board.is_of_registry
            ports = [name for name in node.get("lib_deps", []) if "split_port" in name]
            assert ports or not board.is_of_registry


@pytest.mark.parametrize(
    ("tree", "message"),
    [("", "create_tflm_tree.py"), ("/nowhere", "is no tree made by TFLM's create_tflm_tree.py")],
)
def test_without_tflms_sources_the_build_says_how_to_get_them(
    platformio: Any, tmp_path: Path, arm_compiler: None, tree: str, message: str
):
    folder = bundle_of(tmp_path / "out", world_size=1)
    write_firmware(folder, FirmwareOptions(boards=("mps2_an500",), tflm_dir=None))
    # PlatformIO empties a workspace's builds when the configuration is another one.
    run = platformio.run(
        *("run", "-d", str(folder), "-e", "node0"),
        TFLSPLIT_TFLM_DIR=tree,
        PLATFORMIO_WORKSPACE_DIR=str(tmp_path / "workspace"),
    )
    assert run.returncode != 0
    assert message in run.stdout + run.stderr


# ---- With TFLM: its sources, or its wheel for this computer ----


@dataclass(frozen=True)
class Built:
    folder: Path
    board: str
    programs: list[Path]


def build(platformio: Any, tmp_path: Path, tree: Path, board: str, world_size: int) -> Built:
    """The devices' programs; TFLM itself is built once and kept in the project's .pio."""
    folder = bundle_of(tmp_path / "out", world_size=world_size, **NETWORK)
    options = FirmwareOptions(boards=(board,), tflm_dir=tree, arena_margin_bytes=0)
    return build_folder(platformio, tmp_path, folder, options, world_size)


def build_folder(
    platformio: Any, tmp_path: Path, folder: Path, options: FirmwareOptions, world_size: int
) -> Built:
    write_firmware(folder, options)
    board, tree = options.boards[0], options.tflm_dir
    names = [f"node{rank}" for rank in range(world_size)]
    command = [platformio.python, "-m", "platformio", "run", "-s", "-d", str(folder)]
    command += [word for name in names for word in ("-e", name)]
    settings = {
        "PLATFORMIO_CORE_DIR": str(platformio.folder / "core"),
        "PLATFORMIO_BUILD_DIR": str(tmp_path / "build"),
        "PLATFORMIO_WORKSPACE_DIR": str(ROOT / ".pio"),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "TFLSPLIT_TFLM_DIR": str(tree),
    }
    run = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True,
        timeout=BUILD_SECONDS, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
    program = "program" if board == "host" else "firmware.elf"
    return Built(folder, board, [tmp_path / "build" / name / program for name in names])


def run_and_compare(built: Built, runs: int = 3) -> Any:
    """Random inferences; the unsplit model's bits each time.  Returns what the devices say."""
    bundle = read_bundle(built.folder)
    devices = [Device(program, built.board) for program in built.programs]
    draw = np.random.default_rng(11)
    with Cluster(devices, line(len(devices), gateway=0)) as cluster:
        stream = SocketStream(cluster.host_sockets[0])
        setup = read_firmware_setup(built.folder, bundle.document)
        with Coordinator(stream, bundle, setup) as coordinator:
            infos = coordinator.connect(60)
            for _ in range(runs):
                inputs = [
                    draw.integers(-128, 128, v.shape).astype(np.int8) for v in bundle.model.inputs
                ]
                names = [entry["tensor"] for entry in bundle.document["inputs"]]
                got = coordinator.infer(dict(zip(names, inputs, strict=True)), 120).outputs
                for wanted, array in zip(run_tflm(bundle.model, inputs), got, strict=True):
                    np.testing.assert_array_equal(array, wanted)
    return infos


@pytest.mark.parametrize("world_size", [1, 2])
def test_host_devices_give_the_unsplit_models_bits(
    platformio: Any, tmp_path: Path, host_tflm: Path, host_compiler: None, world_size: int
):
    if (host_tflm / "third_party" / "cmsis_nn").exists():
        pytest.skip("needs a tree with reference kernels: this computer has no CMSIS-NN")
    run_and_compare(build(platformio, tmp_path, host_tflm, "host", world_size))


def test_a_board_is_not_built_with_this_computers_tflm(
    platformio: Any, tmp_path: Path, host_tflm: Path, arm_compiler: None
):
    if not (host_tflm / WHEEL_TREE).is_file():
        pytest.skip("needs TFLSPLIT_TFLM_DIR unset: it names sources, which any board takes")
    with pytest.raises(
        AssertionError, match="is TFLM for this computer; a board needs its sources"
    ):
        build(platformio, tmp_path, host_tflm, "mps2_an500", 1)


@pytest.fixture(scope="module", params=[1, 2])
def emulated(
    request: pytest.FixtureRequest,
    platformio: Any,
    tmp_path_factory: pytest.TempPathFactory,
    tflm_tree: Path,
    arm_compiler: None,
) -> Built:
    """One or two emulated Cortex-M7."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("needs QEMU: apt-get install qemu-system-arm")
    return build(
        platformio, tmp_path_factory.mktemp("emulated"), tflm_tree, "mps2_an500", request.param
    )


def test_emulated_devices_give_the_bits_in_the_predicted_arena(emulated: Built, tflm_tree: Path):
    infos = run_and_compare(emulated)
    kernels: Kernels = (
        "cmsis_nn" if (tflm_tree / "third_party" / "cmsis_nn").exists() else "reference"
    )
    for device, info in zip(read_bundle(emulated.folder).devices, infos, strict=True):
        estimate = predict_arena(device.graph, "cortex_m", kernels)
        assert estimate.exact
        assert info.arena_used_bytes == estimate.total_bytes
        assert info.arena_bytes == estimate.required_bytes, "no margin, and it was enough"


@pytest.mark.slow
def test_an_arena_in_two_memories_of_an_emulated_board(
    platformio: Any, tmp_path: Path, tflm_tree: Path, arm_compiler: None
):
    """At addresses a gigabyte apart."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("needs QEMU: apt-get install qemu-system-arm")
    bundle = banked_bundle(tmp_path, "mobilenet", 2, (1 << 16,))
    options = FirmwareOptions(
        boards=("mps2_an500_banks",),
        tflm_dir=tflm_tree,
        arena_margin_bytes=0,
        banks=((Bank("psram", 1 << 16),),) * 2,
    )
    infos = run_and_compare(build_folder(platformio, tmp_path, bundle.folder, options, 2))
    for device, info in zip(bundle.devices, infos, strict=True):
        estimates = [predict_arena(device.graph, kernels=kernels) for kernels in KERNEL_FLAVOURS]
        assert all(estimate.banks_bytes[0] > 0 for estimate in estimates)
        assert info.arena_bytes in [estimate.main_bytes for estimate in estimates]
        assert 0 <= info.arena_bytes - info.arena_used_bytes < 16


def test_a_reset_during_an_inference_is_named_and_the_next_one_is_right(emulated: Built):
    bundle = read_bundle(emulated.folder)
    names = [entry["tensor"] for entry in bundle.document["inputs"]]
    inputs = [np.full(v.shape, 3, np.int8) for v in bundle.model.inputs]
    with Cluster(
        [Device(program, emulated.board) for program in emulated.programs],
        line(len(emulated.programs), gateway=0),
    ) as cluster:
        setup = read_firmware_setup(emulated.folder, bundle.document)
        stream = SocketStream(cluster.host_sockets[0])
        with Coordinator(stream, bundle, setup) as coordinator:
            coordinator.connect(60)
            given = dict(zip(names, inputs, strict=True))
            (wanted,) = run_tflm(bundle.model, inputs)
            np.testing.assert_array_equal(coordinator.infer(given, 120).outputs[0], wanted)
            for rank in range(len(emulated.programs)):
                cluster.reset(rank)  # whatever it is doing: the host may not have noticed yet
                try:  # it may be back before the inference begins
                    np.testing.assert_array_equal(coordinator.infer(given, 120).outputs[0], wanted)
                except LinkError as error:
                    if f"rank {rank} was reset" not in str(error):
                        raise
                np.testing.assert_array_equal(coordinator.infer(given, 120).outputs[0], wanted)


def test_firmware_with_another_plans_model_says_so_and_runs_nothing(
    emulated: Built, tmp_path: Path
):
    bundle = read_bundle(emulated.folder)
    image = emulated.programs[0].read_bytes()
    model = (emulated.folder / "firmware" / "node0" / "model.tflite").read_bytes()
    digits = bundle.document["fingerprint"].encode()
    place = image.index(model) + model.index(digits)
    patched = tmp_path / "patched.elf"
    patched.write_bytes(image[:place] + b"f" * len(digits) + image[place + len(digits) :])
    devices = [Device(program, emulated.board) for program in (patched, *emulated.programs[1:])]
    with Cluster(devices, line(len(devices), gateway=0)) as cluster:
        setup = read_firmware_setup(emulated.folder, bundle.document)
        stream = SocketStream(cluster.host_sockets[0])
        with (
            Coordinator(stream, bundle, setup) as coordinator,
            pytest.raises(
                LinkError, match=r"rank 0.*the model in flash is of another plan or rank"
            ),
        ):
            coordinator.connect(30)
