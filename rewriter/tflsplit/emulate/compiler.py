# SPDX-License-Identifier: Apache-2.0
"""The C++ compiler of this computer, and builds that are made once for the same inputs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tflsplit.emulate.builders import run_builder
from tflsplit.errors import ClusterError


def cxx() -> list[str]:
    """The words that call it: ``CXX`` of the environment, g++ or clang++; else ClusterError."""
    given = shlex.split(os.environ.get("CXX", ""))
    found = given or [path for path in map(shutil.which, ("g++", "clang++")) if path][:1]
    if not found or shutil.which(found[0]) is None:
        what = f"CXX names {found[0]}, which is not there" if found else "no C++ compiler"
        raise ClusterError(f"{what}: install g++ (Debian, Ubuntu: apt install g++)")
    return found


def compile_cxx(
    arguments: Sequence[str | Path],
    what: str,
    source: str | None = None,
    folder: Path | None = None,
) -> None:
    """Call the compiler; ClusterError with its first complaints if it fails.

    source: what it reads where ``arguments`` say ``-``.
    folder: where it runs.
    """
    _call([*cxx(), *map(str, arguments)], what, source, folder)


def archive(library: Path, objects: Sequence[Path]) -> None:
    """Make a static library of object files; ClusterError if that fails."""
    _call([os.environ.get("AR", "ar"), "rcs", str(library), *map(str, objects)], library.name)


def _call(
    command: list[str], what: str, source: str | None = None, folder: Path | None = None
) -> None:
    try:
        done = run_builder(command, text=source, folder=folder)
    except OSError as error:
        raise ClusterError(f"{command[0]} cannot be started: {error.strerror}") from None
    if done.returncode:
        raise ClusterError(f"{command[0]} cannot build {what}: {done.stderr[:2000]}")


def compile_all(jobs: Iterable[tuple[Sequence[str | Path], str]]) -> None:
    """``compile_cxx`` of each pair, on all cores."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        try:
            list(pool.map(lambda job: compile_cxx(*job), jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # those that have begun take seconds
            raise


@cache
def compiler_version(command: tuple[str, ...]) -> str:
    """What the compiler says of itself."""
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    return done.stdout


def digest_of(parts: Iterable[str], files: Iterable[Path]) -> str:
    """Changes with any of the texts, the files' names or contents, and the compiler."""
    digest = hashlib.sha256(compiler_version(tuple(cxx())).encode())
    for part in parts:
        digest.update(f"{len(part)} {part}\n".encode())
    for file in files:
        contents = file.read_bytes()
        digest.update(f"{file} {len(contents)}\n".encode() + contents)
    return digest.hexdigest()[:16]


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """``folder``, made if it is not there, for one program at a time.

    Raises ClusterError if nothing can be written to it; of every OSError within, too.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise ClusterError(
            f"cannot write {error.filename or folder}: {error.strerror or error}"
        ) from None


def built_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """``folder``, filled by ``build`` unless it is there already.

    Several programs may come here at once.  ``build`` gets a folder beside it, which takes its
    place when all is done.
    """
    if folder.is_dir():
        return folder
    with writing(folder.parent):
        if not folder.is_dir():
            fresh = folder.with_suffix(".part")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            build(fresh)
            fresh.rename(folder)
    return folder
