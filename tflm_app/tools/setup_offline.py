# SPDX-License-Identifier: Apache-2.0
"""Lets PlatformIO build without reaching its registry.

PlatformIO runs SCons from a package of its own, ``platformio/tool-scons``, which it downloads on
the first build.  Where that registry can be reached, nothing of this is needed.  Elsewhere this
script lays the package out around the SCons that pip installs:

    python -m pip install "platformio>=6.2,<6.3" scons
    python tflm_app/tools/setup_offline.py

Run it with the interpreter that runs PlatformIO, since PlatformIO starts the package with that
one.  It writes only below PlatformIO's core folder as the project has it (in a checkout
``.pio/core``; elsewhere the user's), or below ``--core-dir``.  The host and mps2
platforms then build, run and test; boards of the registry still need the registry.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LAUNCHER = """\
# Laid out by tflm_app/tools/setup_offline.py; runs the SCons that pip installed.
import SCons.Script

if __name__ == "__main__":
    SCons.Script.main()
"""


class SetupError(Exception):
    """Something is missing; the message says what and how to get it."""


def wanted_scons_version() -> str:
    """Returns a version that satisfies PlatformIO's own requirement for tool-scons.

    Raises:
        SetupError: PlatformIO or SCons is not installed for this interpreter.
    """
    for module, name in [("platformio", '"platformio>=6.2,<6.3"'), ("SCons", "scons")]:
        if importlib.util.find_spec(module) is None:
            raise SetupError(
                f"{sys.executable} has no {module}. Install it there: "
                f"{sys.executable} -m pip install {name}"
            )
    dependencies = importlib.import_module("platformio.dependencies")
    requirement: str = dependencies.get_core_dependencies()["tool-scons"]
    match = re.search(r"(\d+\.\d+\.\d+)", requirement)
    if match is None:
        raise SetupError(f"PlatformIO asks for tool-scons {requirement!r}, which is not understood")
    return match.group(1)


def lay_out_scons(core_dir: Path) -> Path:
    """Writes the package into ``core_dir`` and returns its folder; safe to repeat."""
    version = wanted_scons_version()
    folder = core_dir / "packages" / "tool-scons"
    folder.mkdir(parents=True, exist_ok=True)
    # PlatformIO takes a package for installed only if this names the owner that it asks for.
    spec = {"owner": "platformio", "id": None, "name": "tool-scons"}
    installed = {
        "type": "tool",
        "name": "tool-scons",
        "version": version,
        "spec": {**spec, "requirements": None, "uri": None},
    }
    manifest = {
        "name": "tool-scons",
        "version": version,
        "description": "SCons of the Python environment",
        "license": "MIT",
        "system": "*",
    }
    (folder / ".piopm").write_text(json.dumps(installed))
    (folder / "package.json").write_text(json.dumps(manifest))
    (folder / "scons.py").write_text(LAUNCHER)
    return folder


def core_dir_of_project() -> Path:
    """Where PlatformIO keeps its packages for this project: of its environment, or its file."""
    os.chdir(PROJECT)
    config = importlib.import_module("platformio.project.config")
    return Path(config.ProjectConfig.get_instance().get("platformio", "core_dir")).resolve()


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core-dir", type=Path)
    arguments = parser.parse_args()
    try:
        wanted_scons_version()
        folder = lay_out_scons(arguments.core_dir or core_dir_of_project())
    except SetupError as error:
        print(f"setup_offline: {error}", file=sys.stderr)
        return 2
    print(f"tool-scons is laid out in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
