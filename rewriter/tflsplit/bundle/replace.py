# SPDX-License-Identifier: Apache-2.0
"""A folder gets new contents, all of them or none, whatever happens meanwhile.

::

    parent/out                          parent/out              the new files, and what was kept
    parent/.out.tflsplit-k3x9  ──swap──▶  parent/.out.tflsplit-k3x9  the old files: removed

The new folder is made beside the old one; what is kept of the old is linked into it, not moved, so
until the swap the old one is whole.  At every moment ``out`` is one or the other: for a
reader, after a kill, after a power cut (files and folders are flushed before the swap).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

from tflsplit.bundle.exchange import BETWEEN, exchange
from tflsplit.bundle.listing import REPOSITORY, shown
from tflsplit.errors import PlanError

try:
    import fcntl
except ImportError:  # not on Windows; then nothing is locked, and nothing cleaned up
    fcntl = None  # type: ignore[assignment]


def write_folder(folder: Path, content: Mapping[str, bytes], mine: Set[str]) -> None:
    """Put ``content`` into a folder in place of those of its files that ``mine`` names.

    content: path below the folder (with ``/``) -> bytes.
    mine: such paths; every other file, folder and link stays.
    Raises PlanError, and changes nothing, if it cannot be written, or if something that is not
    ``mine`` stands where ``content`` belongs.
    """
    target = folder.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(target.parent) as alone:
            if alone:
                clean_up(target)
            _write(target, content, mine)
    except OSError as error:
        raise PlanError(f"cannot write {folder}: {error.strerror or error}") from None


def refuse_target(folder: Path) -> None:
    """Raise PlanError if no output can be written there, before any work is done for it."""
    try:
        target, here = folder.resolve(), Path.cwd()
        if target == here or target in here.parents:
            raise PlanError(
                f"you are in {target}; go elsewhere, or name a folder of its own with -o"
            )
        if os.path.lexists(target) and not target.is_dir():
            raise PlanError(f"{folder} is a file; name a folder with -o")
        if os.path.lexists(target / REPOSITORY):
            raise PlanError(
                f"{folder} holds {REPOSITORY}; tflsplit does not write into the top of a "
                "repository: name a folder below it with -o"
            )
        place = next(parent for parent in target.parents if parent.exists())
        with _alone_in(place) as alone:
            if alone and place == target.parent:
                clean_up(target)
            Path(tempfile.mkdtemp(prefix=_prefix(target), dir=place)).rmdir()
    except OSError as error:
        raise PlanError(f"cannot write {folder}: {error.strerror or error}") from None


def clean_up(folder: Path) -> None:
    """Remove what a killed run left beside a folder.  Only while nobody else writes there.

    Where the swap takes three renames, a kill between them leaves the old folder under another
    name: it gets its own back.
    """
    left = re.compile(re.escape(_prefix(folder)) + f"[a-z0-9_]{{8}}({BETWEEN})?")
    for path in sorted(folder.parent.iterdir()):
        if not left.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        if path.name.endswith(BETWEEN) and not os.path.lexists(folder):
            path.rename(folder)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _prefix(folder: Path) -> str:
    return f".{folder.name}.tflsplit-"


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Wait until no other tflsplit writes there; False where that cannot be had."""
    if fcntl is None:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # some network file systems
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _write(folder: Path, content: Mapping[str, bytes], mine: Set[str]) -> None:
    is_there = folder.is_dir()
    kept = _kept(folder, mine) if is_there else []
    _refuse_collisions(folder, kept, content)
    fresh = Path(tempfile.mkdtemp(prefix=_prefix(folder), dir=folder.parent))
    try:
        fresh.chmod(folder.stat().st_mode & 0o7777 if is_there else 0o755)
        for name, file in content.items():
            _write_file(fresh / name, file)
        _link(folder, fresh, kept)
        # All files are written before the first is waited for: the disk then takes them together.
        for path in [*(fresh / name for name in content), *_folders(fresh)]:
            _flush(path)
        if is_there:
            exchange(folder, fresh)
            with contextlib.suppress(OSError):  # what came while this was written
                _link(fresh, folder, [n for n in _kept(fresh, mine) if n not in content])
        else:
            fresh.rename(folder)
        _flush(folder.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _write_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)


def _folders(folder: Path) -> Iterator[Path]:
    for place, _, _ in os.walk(folder):
        yield Path(place)


def _flush(path: Path) -> None:
    """A file's content, or a folder's list of names, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _kept(folder: Path, mine: Set[str]) -> list[str]:
    """Everything below the folder but ``mine``; of folders only those that hold nothing."""
    found: list[str] = []

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        at = Path(place).relative_to(folder)
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        names = [(at / name).as_posix() for name in [*files, *links]]
        found += [name for name in names if name not in mine]
        if not files and not folders and at != Path():
            found.append(at.as_posix() + "/")
    return found


def _refuse_collisions(folder: Path, kept: list[str], content: Mapping[str, bytes]) -> None:
    """What is not ours must stand neither where a file belongs nor where a folder does."""
    taken = set(content)
    above = {str(parent) for name in content for parent in Path(name).parents}
    found = [
        name
        for name in kept
        if name.rstrip("/") in taken
        or (name in above)
        or any(str(parent) in taken for parent in Path(name).parents)
    ]
    if found:
        raise PlanError(
            f"{folder}: tflsplit did not write {shown(sorted(found))}, and would have to replace "
            "it; move it away, or name another folder with -o"
        )


def _link(source: Path, target: Path, names: list[str]) -> None:
    for name in names:
        new = target / name
        if os.path.lexists(new):
            continue
        if name.endswith("/"):
            new.mkdir(parents=True, exist_ok=True)
            continue
        new.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / name, new, follow_symlinks=False)
        except OSError:  # a file system without hard links
            shutil.copy2(source / name, new, follow_symlinks=False)
    for above in {parent for name in names for parent in Path(name).parents} - {Path()}:
        with contextlib.suppress(OSError):
            shutil.copystat(source / above, target / above)
