# SPDX-License-Identifier: Apache-2.0
"""Builds TFLM from a local tree, and tflsplit's own libraries, once for several environments.

SCons keeps the state of a build in each environment's own folder, and its cache tells files by
their path, so neither can share 150 object files between eight devices.  This does: ``libtflm.a``
and ``libsplit.a`` lie in ``.pio/tflm/<board>-<key>``, and are built again when a source, the
compiler or a flag changes.  Our own sources are told by what they say, not by where they lie: every
output folder has a copy of them, and projects that share a workspace share the library.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MISSING = (
    "this board needs the sources of TensorFlow Lite for Microcontrollers. Make a tree of them:\n"
    "  git clone https://github.com/tensorflow/tflite-micro\n"
    "  cd tflite-micro && python3 tensorflow/lite/micro/tools/project_generation/"
    "create_tflm_tree.py ../tflm_tree\n"
    '(with --makefile_options="OPTIMIZED_KERNEL_DIR=cmsis_nn TARGET=cortex_m_generic '
    'TARGET_ARCH=cortex-m7+fp" for CMSIS-NN),\n'
    "then set TFLSPLIT_TFLM_DIR, or custom_tflm_dir in platformio.ini, to that folder."
)
DEFINES = ["TF_LITE_STATIC_MEMORY", "NDEBUG", "TF_LITE_STRIP_ERROR_STRINGS"]
# Other targets' files, tests, and kernels for number formats that no int8 network uses.
LEFT_OUT = (
    "/cortex_m_generic/", "test_helper", "mock_micro", "fake_micro", "_test.cc", "/signal/",
    "/debug_log.cc", "/micro_time.cc", "/python/", "/examples/", "/benchmarks/", "_f16.c", "_f32.c",
)  # fmt: skip
INCLUDES = (
    ".", "third_party/flatbuffers/include", "third_party/gemmlowp", "third_party/ruy",
    "third_party/kissfft",
)  # fmt: skip
SHARED = ("split_core", "split_device", "split_deploy", "split_kernels", "split_tflm")
"""Libraries of ``tflm_app/lib`` that are the same on every device of a board."""
PORTS_OWN = ("-DSPLIT_PORT_", "-Wl,--defsym=SPLIT_PORT_", "-DTFLSPLIT_")
"""Flags that no shared library reads."""
CMSIS_NN = "third_party/cmsis_nn"
CMSIS_NN_INCLUDES = (CMSIS_NN, f"{CMSIS_NN}/Include", "third_party/cmsis/CMSIS/Core/Include")


WHEEL_TREE = "tflm_wheel.json"
"""File of a tree that stands for TFLM's wheel (rewriter/tflsplit/emulate/wheel_tree.py)."""


class TreeError(Exception):
    """The folder is no TFLM tree, or does not fit the board."""


def check_tree(tree: Path) -> None:
    """Raises TreeError if ``tree`` is not what create_tflm_tree.py makes."""
    for needed in ("tensorflow/lite/micro/micro_interpreter.cc", "third_party/flatbuffers/include"):
        if not (tree / needed).exists():
            raise TreeError(
                f"{tree} has no {needed}: it is no tree made by TFLM's create_tflm_tree.py"
            )


def has_cmsis_nn(tree: Path) -> bool:
    """Whether the tree was made with OPTIMIZED_KERNEL_DIR=cmsis_nn."""
    return (tree / CMSIS_NN / "Include" / "arm_nnfunctions.h").is_file()


def sources(tree: Path) -> list[Path]:
    """The files to compile, sorted."""
    folders = [tree / "tensorflow"] + ([tree / CMSIS_NN] if has_cmsis_nn(tree) else [])
    found = [path for folder in folders for path in folder.rglob("*.c*")]
    return sorted(
        path
        for path in found
        if path.suffix in (".c", ".cc", ".cpp")
        and not any(part in path.as_posix() for part in LEFT_OUT)
    )


def add_to(env, tree: Path) -> None:
    """Lets the program of a SCons environment use the tree: includes, defines and libraries."""
    wheel = read_wheel_tree(env, tree)
    if wheel:
        includes, defines = wheel["includes"], ["NDEBUG"]
    else:
        check_tree(tree)
        includes = [str(tree / path) for path in INCLUDES]
        defines = [*DEFINES, "SPLIT_TFLM_PLATFORM"]
    if has_cmsis_nn(tree):
        includes += [str(tree / path) for path in CMSIS_NN_INCLUDES]
        defines += ["CMSIS_NN"]
    # As system headers: their warnings are not ours.
    env.Append(CPPDEFINES=defines, CCFLAGS=[f"-isystem{path}" for path in includes])
    wanted = {
        "tree": str(tree.resolve()),
        "flags": _shared(shlex.split(" ".join(env.GetProjectOption("build_flags", [])))),
        "board": env.get("BOARD") or env.subst("$PIOPLATFORM"),
    }
    key = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:12]
    folder = Path(env.subst("$PROJECT_WORKSPACE_DIR")) / "tflm" / f"{wanted['board']}-{key}"

    ours = Path(env["PROJECT_DIR"]) / "tflm_app" / "lib"
    split = Library(
        "split",
        [ours / name for name in (*SHARED, "split_port")],
        own_sources(ours),
        sorted(ours.glob("*/include")),
        copied=True,
    )
    if wheel:
        tflm = [env.File(path) for path in wheel["libraries"]]
    else:
        tflm = [_command(env, Library("tflm", [tree], sources(tree), []), folder)]
    # The linker resolves from left to right: ours calls TFLM.
    env.Append(LIBS=[_command(env, split, folder), *tflm])
    _ignore_in_finder(env)


def read_wheel_tree(env, tree: Path) -> dict[str, list[str]]:
    """What to use instead of a tree of sources; empty if ``tree`` is one."""
    if not (tree / WHEEL_TREE).is_file():
        return {}
    if env.subst("$PIOPLATFORM") != "host":
        raise TreeError(f"{tree} is TFLM for this computer; a board needs its sources.\n{MISSING}")
    return json.loads((tree / WHEEL_TREE).read_text())


@dataclass(frozen=True)
class Library:
    """A static library: ``roots`` are the folders whose change calls for another build.

    copied: whether they are one of many equal copies.
    """

    name: str
    roots: list[Path]
    files: list[Path]
    includes: list[Path]
    copied: bool = False


def own_sources(libraries: Path) -> list[Path]:
    """The sources of the shared libraries of this project."""
    return sorted(path for name in SHARED for path in (libraries / name / "src").glob("*.cc"))


def _command(env, library: Library, folder: Path):
    def build(target, source, env):
        return build_library(env, library, folder / library.name)

    path = folder / library.name / f"lib{library.name}.a"
    action = env.VerboseAction(build, f"Library {library.name} for $PIOENV")
    target = env.Command(str(path), [], action)
    env.Precious(target)  # it may be good already, for another environment
    env.NoClean(target)
    env.AlwaysBuild(target)
    return target


def _ignore_in_finder(env) -> None:
    """Keeps PlatformIO's library finder from building the shared libraries for each device."""
    config, section = env.GetProjectConfig(), f"env:{env['PIOENV']}"
    ignored = config.get(section, "lib_ignore", [])
    config.set(section, "lib_ignore", [*ignored, *SHARED])


def _flags(env, variable: str) -> list[str]:
    """Compiler flags as they are when everything is configured; warnings are not ours to fix."""
    words = shlex.split(env.subst(variable))
    return _shared(
        [word for word in words if not word.startswith("-W") and word not in ("-g", "-g3")]
    )


def _shared(words: list[str]) -> list[str]:
    """Without what is for a board's port alone: rates and sizes of one device's links."""
    return [word for word in words if not word.startswith(PORTS_OWN)]


def say(text: str) -> None:
    """A line of progress; a reader that has gone away must not end a build of minutes."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _compilers(env, includes: list[Path]) -> dict[str, list[str]]:
    """Command prefix for each suffix."""
    common = _flags(env, "$CCFLAGS $CPPFLAGS $_CPPDEFFLAGS")
    common += ["-w", "-ffunction-sections", "-fdata-sections", *(f"-I{path}" for path in includes)]
    if "-mcpu=cortex-m55" in common:
        # gcc 12 makes conditional conversions, `vcvt` and `ne`, which its assembler reads as VCVTN.
        common.append("-fno-if-conversion2")
    plain = [word for word in common if not word.startswith("-std=")]
    cxx = [env.subst("$CXX"), "-std=gnu++17", *_no_standard(_flags(env, "$CXXFLAGS")), *plain]
    c = [env.subst("$CC"), "-std=gnu11", *_no_standard(_flags(env, "$CFLAGS")), *plain]
    quiet = ["-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"]
    return {".cc": cxx + quiet, ".cpp": cxx + quiet, ".c": c}


def _no_standard(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("-std=")]


def _stamp(env, library: Library) -> str:
    """Changes when the library has to be built again."""
    version = subprocess.run(
        [env.subst("$CXX"), "--version"], capture_output=True, text=True, env=env["ENV"]
    ).stdout
    compilers = _compilers(env, [] if library.copied else library.includes)
    digest = hashlib.sha256(json.dumps([compilers, version]).encode())
    for root in library.roots:
        for folder, _, files in sorted(os.walk(root)):
            for name in sorted(files):
                path = Path(folder, name)
                if library.copied:
                    digest.update(f"{path.relative_to(root.parent)}\n".encode())
                    digest.update(hashlib.sha256(path.read_bytes()).digest())
                    continue
                status = path.stat()
                digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def build_library(env, library: Library, folder: Path) -> int:
    """Builds the library in ``folder`` unless it is there and good; returns an exit status.

    Several environments may come here at once: the first builds, the others wait.
    """
    folder.mkdir(parents=True, exist_ok=True)
    compilers = _compilers(env, library.includes)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = _stamp(env, library)
        stamp_file, archive = folder / "stamp", folder / f"lib{library.name}.a"
        if archive.is_file() and stamp_file.is_file() and stamp_file.read_text() == stamp:
            return 0
        stamp_file.unlink(missing_ok=True)
        objects_folder = folder / f"objects-{stamp[:12]}"
        for old in folder.glob("objects-*"):
            if old != objects_folder:
                shutil.rmtree(old)
        objects = _compile(env, compilers, library, objects_folder)
        if objects is None:
            return 1
        archive.unlink(missing_ok=True)
        listing = folder / "objects.txt"  # more names than some command lines take
        listing.write_text("\n".join(f'"{path}"' for path in objects))
        command = [env.subst("$AR"), "rcs", str(archive), f"@{listing}"]
        if subprocess.run(command, env=env["ENV"]).returncode != 0:
            return 1
        stamp_file.write_text(stamp)
    return 0


def _compile(env, compilers, library: Library, folder: Path) -> list[Path] | None:
    """Compiles all sources that an interrupted build has not; the objects, or None if one fails."""
    files = library.files
    # env's number of jobs is 1 unless asked for; this takes minutes and is worth all cores.
    jobs = os.cpu_count() or 1
    say(f"Compiling {len(files)} files of library {library.name}, once for this board")
    folder.mkdir(parents=True, exist_ok=True)

    def compile_one(pair: tuple[int, Path]) -> Path | None:
        number, path = pair
        target = folder / f"{number:03}_{path.stem}.o"
        if target.is_file():
            return target
        part = target.with_suffix(".part")
        command = [*compilers[path.suffix], "-c", str(path), "-o", str(part)]
        run = subprocess.run(command, capture_output=True, text=True, env=env["ENV"])
        if run.returncode != 0:
            sys.stderr.write(f"{shlex.join(command)}\n{run.stderr}")
            return None
        part.replace(target)
        if number % 25 == 0:
            say(f"  {number} of {len(files)}")
        return target

    with ThreadPoolExecutor(jobs) as pool:
        objects = list(pool.map(compile_one, enumerate(files)))
    return None if None in objects else objects
