# SPDX-License-Identifier: Apache-2.0
"""PlatformIO script of a device's environment: its generated sources, and TFLM from a local tree.

``nodes.ini`` sets

* ``custom_node_folder``: the folder with the device's generated sources,
* ``custom_tflm_dir``: a TFLM tree made by its ``create_tflm_tree.py``; without it, the environment
  variable ``TFLSPLIT_TFLM_DIR`` for boards whose ``lib_deps`` name no TFLM.

A generic firmware (``tflm_app/src/generic.cc``) has no folder: ``custom_generic_board`` names its
board's kind.

The tree is compiled once for each board and set of flags, into ``.pio/tflm``; every device of a
cluster links that library.  A program of this computer takes TFLM from its wheel where no sources
are named and tflsplit is installed for PlatformIO's Python.

At a checkout's root section ``[tflsplit]`` says whose environments these are (``folder``), and what
else may be meant (``candidates``, tflsplit.firmware.choice): then nothing is built or flashed.
"""

import os
import sys
from pathlib import Path

from SCons.Script import COMMAND_LINE_TARGETS

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


def say_whose_it_is() -> None:
    """Which output folder this is, at a checkout's root; ends the build if that is not clear."""
    config = env.GetProjectConfig()
    lines = str(config.get("tflsplit", "candidates", "")).splitlines()
    candidates = [line.strip() for line in lines if line.strip()]
    if len(candidates) > 1:
        chosen = candidates[-1]
        fail(
            f"which one? {', '.join(candidates[:-1])} and {chosen} both have firmware.\n"
            f"  here:   tflsplit firmware {chosen}, which chooses, then pio run again\n"
            f"  there:  pio run -d {chosen} -e {name}"
        )
    if candidates:
        print(f"{name}: the firmware of {candidates[0]}", flush=True)


def refuse_upload() -> None:
    """Nothing is flashed onto a board that is emulated."""
    if "upload" not in COMMAND_LINE_TARGETS or env.subst("$PIOPLATFORM") not in ("host", "mps2"):
        return
    where = env.GetProjectConfig().get("tflsplit", "folder", ".")
    native = " --native" if env.subst("$PIOPLATFORM") == "host" else ""
    fail(
        "there is no board to flash: this firmware is for "
        f"{'this computer' if native else 'an emulated board'}.\n"
        f"  tflsplit emulate {where}{native}   runs it on all devices, wired to each other"
    )


def wheel_tree() -> str:
    """The folder that stands for TFLM's wheel; "" where this Python has not both of them."""
    try:
        from tflsplit.emulate.wheel_file import installed_wheel
        from tflsplit.emulate.wheel_tree import wheel_tree as tree_of
        from tflsplit.errors import UserError
    except ImportError:
        return ""
    try:
        return str(tree_of(*installed_wheel()).folder)
    except UserError as error:
        sys.stderr.write(f"{name}: TFLM's wheel cannot be used: {error}\n")
        return ""


odd = sorted(set("$%;#,*?[]\"'`") & set(env["PROJECT_DIR"]))  # as tflsplit.firmware.escape
if odd:
    fail(f"{env['PROJECT_DIR']} would be misread because of {' '.join(odd)}: rename the folder")


def add_node(folder: Path) -> None:
    """The generated sources of one device, and the user's program where there is one."""
    if not (folder / "device.cc").is_file():
        fail(f"{folder} holds no generated firmware; run `tflsplit rewrite` or `tflsplit firmware`")
    env.Append(ASPPFLAGS=[f"-Wa,-I,{folder.parent}"])  # model.S includes node<rank>/model.tflite
    env.BuildSources("$BUILD_DIR/node", str(folder))
    application = folder.parent.parent / "app"
    if (folder / "application.h").is_file() and application.is_dir():
        # The user's own program, on the gateway (docs/firmware.md, "Input from the application").
        env.Append(CPPPATH=[str(folder)])
        env.BuildSources("$BUILD_DIR/app", str(application))


# What main.cc includes, PlatformIO finds; sources from elsewhere have to be told.
libraries = project_path("tflm_app/lib")
env.Append(CPPPATH=[str(path) for path in sorted(libraries.glob("*/include"))])
generic_board = env.GetProjectOption("custom_generic_board", "")
if generic_board:
    env.Append(CPPDEFINES=[("TFLSPLIT_BOARD", env.StringifyMacro(generic_board))])
else:
    say_whose_it_is()
    refuse_upload()
    add_node(project_path(env.GetProjectOption("custom_node_folder")))

from_registry = any(
    "tensorflow" in dependency.lower() for dependency in env.GetProjectOption("lib_deps", [])
)
given = env.GetProjectOption("custom_tflm_dir", "")
if not given and not from_registry:
    given = os.environ.get("TFLSPLIT_TFLM_DIR", "")
    if not given and env.subst("$PIOPLATFORM") == "host":
        given = wheel_tree()
    if not given:
        fail(tflm_library.MISSING)
if given:
    try:
        tflm_library.add_to(env, project_path(given))
    except tflm_library.TreeError as error:
        fail(str(error))
