# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder tflsplit wrote: ``files`` of its plan.json (docs/plan_json.md).

Only these are ever replaced, and of these only what is still as it was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tflsplit.bundle.strict_json import strict_loads
from tflsplit.bundle.text import FORMAT, Json, dump
from tflsplit.errors import PlanError, UserError
from tflsplit.untrusted import MAX_GRAPH_FILE_BYTES, MAX_TEXT_FILE_BYTES, read_file

PLAN = "plan.json"
FILES = "files"
REPOSITORY = ".git"
_SHOWN = 5
_FIRMWARE = ("config.h", "device.cc", "model.S", "model.tflite")


@dataclass(frozen=True)
class Listing:
    """What tflsplit wrote into a folder.

    files: path below the folder -> SHA-256 in hex digits; "" where it is not known.
    changed: those that are there, but not as they were written.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


def listed(document: Json, content: Mapping[str, bytes]) -> Json:
    """The document with ``files``: what is in ``content``, and itself.

    A plan.json cannot hold a digest of all its own bytes: it is of the document without ``files``.
    """
    files = {name: _digest(file) for name, file in content.items()}
    files[PLAN] = _own_digest(document)
    return {**document, FILES: dict(sorted(files.items()))}


def read_listing(folder: Path) -> Listing | None:
    """What plan.json says, held against the files; None if the folder is no output of tflsplit."""
    document = _document(folder)
    if document is None:
        return None
    files = document.get(FILES)
    if isinstance(files, dict):
        files = {name: str(digest) for name, digest in files.items() if _is_below(name)}
    else:
        files = _names_of_version_0_1(document)
    changed = [name for name in files if _is_changed(folder, name, files, document)]
    return Listing(files, tuple(changed))


def refuse_changed(folder: Path, names: Iterable[str], force: bool) -> None:
    """Raise PlanError that names files which were changed since they were written."""
    if found := [] if force else sorted(names):
        raise PlanError(
            f"{folder}: {shown(found)} changed since tflsplit wrote it; move it away, name another "
            "folder with -o, or replace it with --force"
        )


def shown(names: list[str]) -> str:
    """Some names, for a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _document(folder: Path) -> Json | None:
    try:
        document = strict_loads(read_file(folder / PLAN, MAX_TEXT_FILE_BYTES))
    except (UserError, ValueError):
        return None
    is_plan = isinstance(document, dict) and document.get("format") == FORMAT
    return document if is_plan else None


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _is_changed(folder: Path, name: str, files: Mapping[str, str], document: Json) -> bool:
    path = folder / name
    if name == PLAN:
        return files[name] != _own_digest(document)
    if path.is_symlink():
        return True
    if not path.exists():
        return False
    try:
        return files[name] != _digest(read_file(path, MAX_GRAPH_FILE_BYTES))
    except UserError:
        return True


def _own_digest(document: Json) -> str:
    return _digest(dump({key: item for key, item in document.items() if key != FILES}).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _names_of_version_0_1(document: Json) -> dict[str, str]:
    """The files of an output whose plan.json does not list them."""
    devices = document.get("devices")
    ranks = range(min(64, len(devices) if isinstance(devices, list) else 0))
    names = [PLAN, "model.tflite", "firmware.json", "nodes.ini"]
    names += [f"node{rank}.tflite" for rank in ranks]
    names += [f"firmware/node{rank}/{name}" for rank in ranks for name in _FIRMWARE]
    return dict.fromkeys(names, "")
