# SPDX-License-Identifier: Apache-2.0
"""platformio.ini, its boards and the local platforms, as PlatformIO itself reads them."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tflsplit.emulate.machines import EMULATED_BOARDS, MACHINES

ROOT = Path(__file__).resolve().parents[2]
BOARDS = sorted((ROOT / "tflm_app" / "platforms").glob("*/boards/*.json"))
OURS = {"mps2", "stm32f405", "rp2040"}  # beside which PlatformIO installs those of its registry
LOCAL = [path for path in BOARDS if path.parents[1].name in OURS]
QEMU = {"mps2_an386", "mps2_an500", "mps2_an505", "mps3_an547", "stm32f405"}
QEMU |= {"mps2_an500_64k", "mps2_an500_128k", "mps2_an500_banks"}
EMULATED = {*QEMU, "rp2040"}
REGISTRY = {
    "teensy41": ("teensy", "teensy41"),
    "teensy41_spi": ("teensy", "teensy41"),
    "nucleo_h743zi": ("ststm32", "nucleo_h743zi"),
    "pico": ("raspberrypi", "pico"),
    "pico_spi": ("raspberrypi", "pico"),
    "esp32s3": ("espressif32", "esp32-s3-devkitc-1"),
    "nano33ble": ("nordicnrf52", "nano33ble"),
}
NODES_INI = """\
[platformio]
extra_configs = build/tiny/nodes.ini
"""
TINY_INI = """\
[env:node0]
extends = board:mps2_an500
build_flags = ${board:mps2_an500.build_flags} -Ibuild/tiny/node0

[env:node1]
extends = board:teensy41
"""


def config(platformio: Any, project: Path = ROOT) -> dict[str, dict[str, Any]]:
    result = platformio.run("project", "config", "--json-output", project=project)
    assert result.returncode == 0, result.stdout + result.stderr
    return {section: dict(options) for section, options in json.loads(result.stdout)}


@pytest.mark.parametrize("selftest", ["uart_ring", "all_gather"])
def test_every_board_has_both_self_tests(platformio: Any, selftest: str):
    sections = config(platformio)
    for board in EMULATED:
        env = sections[f"env:{selftest}_{board}"]
        assert sections[f"board:{board}"]["board"] == board
        assert env["extends"] == [f"board:{board}", selftest]
    for board, (platform, name) in REGISTRY.items():
        section = sections[f"board:{board}"]
        assert section["platform"].split("@")[0] == platform
        assert section["board"] == name
        assert f"env:{selftest}_{board}" in sections
    assert f"env:{selftest}_host" in sections


def test_a_rewrite_adds_its_nodes(platformio: Any, tmp_path: Path):
    shutil.copy(ROOT / "platformio.ini", tmp_path)
    (tmp_path / "build" / "tiny").mkdir(parents=True)
    (tmp_path / "build" / "nodes.ini").write_text(NODES_INI)
    (tmp_path / "build" / "tiny" / "nodes.ini").write_text(TINY_INI)
    sections = config(platformio, tmp_path)
    assert sections["env:node0"]["extends"] == ["board:mps2_an500"]
    assert "-Ibuild/tiny/node0" in str(sections["env:node0"]["build_flags"])
    assert sections["env:node1"]["extends"] == ["board:teensy41"]
    assert "env:uart_ring_host" in sections


def test_the_emulator_knows_every_local_board():
    manifests = {path.stem: json.loads(path.read_text()) for path in LOCAL}
    assert set(manifests) == EMULATED
    assert set(EMULATED_BOARDS) == EMULATED
    assert {name: manifests[name]["build"]["qemu_machine"] for name in QEMU} == {
        name: machine.name for name, machine in MACHINES.items()
    }


def test_local_boards_build_against_their_own_memory_map():
    for path in LOCAL:
        manifest = json.loads(path.read_text())
        script = (path.parents[1] / "ldscripts" / manifest["build"]["ldscript"]).read_text()
        regions = {
            name: int(size) << {"K": 10, "M": 20}[unit]
            for name, size, unit in re.findall(r"(\w+)\s+\(\w+\)\s+:.*LENGTH = (\d+)([KM])", script)
        }
        assert manifest["upload"]["maximum_size"] == regions["FLASH"]
        assert manifest["upload"]["maximum_ram_size"] == regions["RAM"]


def test_a_missing_toolchain_is_named(platformio: Any, tmp_path: Path):
    result = platformio.run("run", "-e", "uart_ring_mps2_an500", PATH=str(tmp_path))
    assert result.returncode != 0
    message = result.stdout + result.stderr
    assert "arm-none-eabi-gcc is not on the PATH" in message
    assert "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi" in message


def test_setting_up_without_platformio_says_what_to_install(tmp_path: Path):
    script = ROOT / "tflm_app" / "tools" / "setup_offline.py"
    result = subprocess.run(
        [sys.executable, "-I", "-S", script, "--core-dir", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert re.search(r"has no platformio. Install it there: .* -m pip install", result.stderr)
    assert not list(tmp_path.iterdir())


def test_setting_up_twice_changes_nothing(platformio: Any, tmp_path: Path):
    script = ROOT / "tflm_app" / "tools" / "setup_offline.py"
    contents = []
    for _ in range(2):
        command = [platformio.python, script, "--core-dir", tmp_path]
        subprocess.run(command, check=True, capture_output=True)
        contents.append({p: p.read_text() for p in tmp_path.rglob("*") if p.is_file()})
    assert contents[0] == contents[1]
    assert {path.name for path in contents[0]} == {".piopm", "package.json", "scons.py"}
