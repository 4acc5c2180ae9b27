# SPDX-License-Identifier: Apache-2.0
"""PlatformIO script of a device's environment: its generated sources, and TFLM from a local tree.

``nodes.ini`` sets

* ``custom_node_folder``: the folder with the device's generated sources,
* ``custom_tflm_dir``: a TFLM tree made by its ``create_tflm_tree.py``; without it, the environment
  variable ``TFLSPLIT_TFLM_DIR`` for boards whose ``lib_deps`` name no TFLM.

The tree is compiled once for each board and set of flags, into ``.pio/tflm``; every device of a
cluster links that library.
"""

import os
import sys
from pathlib import Path

Import("env")  # noqa: F821  (SCons' way)
env = globals()["env"]

sys.path.insert(0, str(Path(env["PROJECT_DIR"]) / "tflm_app" / "tools"))
import tflm_library  # noqa: E402

name = env["PIOENV"]


def fail(text: str) -> None:
    """Ends the build with one line."""
    sys.stderr.write(f"{name}: {text}\n")
    env.Exit(1)


def project_path(text: str) -> Path:
    """A path of an option: relative ones are relative to the project."""
    return Path(env["PROJECT_DIR"]) / Path(text).expanduser()


folder = project_path(env.GetProjectOption("custom_node_folder"))
if not (folder / "device.cc").is_file():
    fail(f"{folder} holds no generated firmware; run `tflsplit rewrite` or `tflsplit firmware`")
env.Append(ASPPFLAGS=[f"-Wa,-I,{folder.parent}"])  # model.S includes node<rank>/model.tflite
# What main.cc includes, PlatformIO finds; sources from elsewhere have to be told.
libraries = project_path("tflm_app/lib")
env.Append(CPPPATH=[str(path) for path in sorted(libraries.glob("*/include"))])
env.BuildSources("$BUILD_DIR/node", str(folder))

from_registry = any(
    "tensorflow" in dependency.lower() for dependency in env.GetProjectOption("lib_deps", [])
)
given = env.GetProjectOption("custom_tflm_dir", "")
if not given and not from_registry:
    given = os.environ.get("TFLSPLIT_TFLM_DIR", "")
    if not given:
        fail(tflm_library.MISSING)
if given:
    try:
        tflm_library.add_to(env, project_path(given))
    except tflm_library.TreeError as error:
        fail(str(error))
