# SPDX-License-Identifier: Apache-2.0
"""PlatformIO without its registry, in folders of its own, for every firmware test."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tflsplit.emulate.rp2040 import find_emulator
from tflsplit.emulate.wheel_file import installed_wheel
from tflsplit.emulate.wheel_tree import wheel_tree
from tflsplit.errors import ClusterError

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / "tflm_app" / "tools" / "setup_offline.py"
ARM_PACKAGES = "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib"
TIMEOUT_SECONDS = 300


def interpreters() -> list[str]:
    """Pythons that may have PlatformIO: this one, and the one beside a `pio` on the PATH."""
    pio = shutil.which("pio")
    beside = [str(Path(pio).resolve().parent / "python")] if pio else []
    return [sys.executable, *beside]


def python_with_platformio() -> str:
    for python in interpreters():
        probe = [python, "-c", "import platformio, SCons"]
        if Path(python).exists() and subprocess.run(probe, capture_output=True).returncode == 0:
            return python
    pytest.skip("needs PlatformIO: python -m pip install '.[firmware]' (platformio and scons)")


def require(tool: str, packages: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}: apt-get install {packages}")


@dataclass
class PlatformIO:
    """PlatformIO on this project; what it installs and builds goes below ``folder``."""

    python: str
    folder: Path
    built: set[str] = field(default_factory=set)

    def run(self, *arguments: str, project: Path = ROOT, **environment: str):
        """Runs `pio ...`; the caller looks at the status."""
        with self.alone():
            return self._run(arguments, project, environment)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other test workers, which share the folder, out."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _run(self, arguments: Sequence[str], project: Path, environment: Mapping[str, str]):
        settings = {
            "PLATFORMIO_CORE_DIR": str(self.folder / "core"),
            "PLATFORMIO_WORKSPACE_DIR": str(self.folder / "workspace"),
            # The two self-tests of a board share the objects of their libraries.
            "PLATFORMIO_BUILD_CACHE_DIR": str(self.folder / "objects"),
            "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
            "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.run(
            [self.python, "-m", "platformio", *arguments],
            cwd=project,
            env={**os.environ, **settings, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )

    def build(self, *environments: str) -> list[Path]:
        """The programs of some environments, built at the first call; the tools must be there."""
        new = sorted(set(environments) - self.built)
        if new:
            options = [word for name in new for word in ("-e", name)]
            result = self.run("run", "-s", *options)
            assert result.returncode == 0, result.stdout + result.stderr
            self.built.update(new)
        return [self.program(name) for name in environments]

    def program(self, environment: str) -> Path:
        name = "program" if environment.endswith("_host") else "firmware.elf"
        return self.folder / "workspace" / "build" / environment / name


@pytest.fixture(scope="session")
def platformio(tmp_path_factory: pytest.TempPathFactory) -> PlatformIO:
    python = python_with_platformio()
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "platformio"
    folder.mkdir(exist_ok=True)
    project = PlatformIO(python, folder)
    command = [python, str(SETUP), "--core-dir", str(folder / "core")]
    with project.alone():
        subprocess.run(command, check=True, capture_output=True)
    return project


@pytest.fixture(scope="session")
def host_compiler() -> None:
    require("g++", "g++")


@pytest.fixture(scope="session")
def arm_compiler() -> None:
    require("arm-none-eabi-g++", ARM_PACKAGES)


@pytest.fixture(scope="session")
def qemu() -> None:
    require("qemu-system-arm", "qemu-system-arm")


@pytest.fixture(scope="session")
def rp2040js() -> None:
    require("node", "nodejs npm")
    try:
        find_emulator()
    except ClusterError as error:
        pytest.skip(f"needs rp2040js: make build/rp2040js/.installed ({error})")


@pytest.fixture(scope="session")
def tflm_tree() -> Path:
    """A local tree of TFLM's sources; skips without one."""
    text = os.environ.get("TFLSPLIT_TFLM_DIR", "")
    if not text:
        pytest.skip(
            "needs TFLM's sources: set TFLSPLIT_TFLM_DIR to a tree made by its create_tflm_tree.py"
        )
    return Path(text)


@pytest.fixture(scope="session")
def host_tflm() -> Path:
    """TFLM for this computer: that tree, or one that stands for the wheel; skips without either."""
    text = os.environ.get("TFLSPLIT_TFLM_DIR", "")
    if text:
        return Path(text)
    try:
        return wheel_tree(*installed_wheel()).folder
    except ClusterError as error:
        pytest.skip(f"needs TFLM's wheel, or its sources in TFLSPLIT_TFLM_DIR: {error}")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all tests of firmware: they share one PlatformIO project and its builds."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("firmware"))
