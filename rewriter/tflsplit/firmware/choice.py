# SPDX-License-Identifier: Apache-2.0
"""Whose ``node0``, ``node1``, … ``pio run`` builds at a checkout's root: one output folder's.

``build/nodes.ini`` there says which::

    [platformio]
    extra_configs = build/eight/nodes.ini
    [tflsplit]
    folder = build/eight
    candidates = build/eight
    named = yes

All output folders have environments of the same names, so what was written last is not enough to
know which is meant: with more than one candidate the build refuses (tools/node_firmware.py).
"""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tflsplit.errors import ClusterError
from tflsplit.firmware.escape import ini_path
from tflsplit.firmware.project_files import CONFIG, NODES

SCRIPT = "tflm_app/tools/node_firmware.py"
_CHOICE = Path("build") / NODES
_SECTION = "tflsplit"


class Wanted(Enum):
    """How much a command says about which folder a checkout's root is to build."""

    CHOSEN = "chosen"
    """`tflsplit firmware DIR`: this one."""
    NAMED = "named"
    """A rewrite that names boards or wires: this one, beside others that did so."""
    WRITTEN = "written"
    """A rewrite that says nothing of hardware: this one, beside others, if none says more."""


@dataclass(frozen=True)
class Choice:
    """What a checkout's root builds.

    root: of the checkout; folder: the output folder whose environments it has now.
    candidates: all that may be meant, relative to ``root``; more than one: the build refuses.
    """

    root: Path
    folder: Path
    candidates: tuple[str, ...]
    named: bool

    @property
    def is_clear(self) -> bool:
        """Whether there is one candidate."""
        return len(self.candidates) == 1

    def builds(self, folder: Path) -> bool:
        """Whether ``pio run -e node0`` at the root builds this folder's."""
        return self.is_clear and self.folder == folder.resolve()


def project_root(near: Path | None = None) -> Path | None:
    """The folder of a checkout (platformio.ini, tflm_app): around ``near``, or this package's."""
    checkout = Path(__file__).resolve().parents[3]
    around = [] if near is None else [near.resolve(), *near.resolve().parents]
    for folder in (*around, checkout):
        if (folder / CONFIG).is_file() and (folder / SCRIPT).is_file():
            return folder
    return None


def choose_nodes(folder: Path, wanted: Wanted = Wanted.CHOSEN) -> Choice | None:
    """Let a checkout's root build an output folder, if it lies inside; what it builds then.

    None if the folder lies in no checkout, or under a name that PlatformIO cannot read there.
    Raises ClusterError if the folder has no nodes.ini.
    """
    target = folder.resolve()
    if not (target / NODES).is_file():
        raise ClusterError(f"{folder} has no {NODES}; run `tflsplit firmware {folder}`")
    root = project_root(target.parent)
    if root is None or not target.is_relative_to(root):
        return None
    try:
        name = ini_path(target.relative_to(root))
    except ClusterError:
        return None
    earlier = _read(root)
    named = wanted is not Wanted.WRITTEN
    others: tuple[str, ...] = ()
    if earlier is not None and wanted is not Wanted.CHOSEN:
        others = tuple(other for other in earlier.candidates if other != name)
        if others and earlier.named and not named:
            return earlier
        others = others if earlier.named == named else ()
        named = named or (earlier.named and name in earlier.candidates)
    choice = Choice(root, target, (*others, name), named)
    _write(choice, name)
    return choice


def _read(root: Path) -> Choice | None:
    """What was chosen before, without what is gone since; None if nothing is left of it."""
    parser = configparser.RawConfigParser()
    try:
        parser.read(root / _CHOICE, encoding="utf-8")
        section = dict(parser[_SECTION])
    except (configparser.Error, KeyError, OSError, UnicodeDecodeError):
        return None
    names = section.get("candidates", "").split("\n")
    there = tuple(name for name in names if name and (root / name / NODES).is_file())
    if not there:
        return None
    folder = root / section.get("folder", there[-1])
    return Choice(root, folder.resolve(), there, section.get("named") == "yes")


def _write(choice: Choice, name: str) -> None:
    place = choice.root / _CHOICE
    place.parent.mkdir(exist_ok=True)
    lines = [
        "; Written by tflsplit: whose node0, node1, ... `pio run` builds in this folder.",
        "[platformio]",
        f"extra_configs = {name}/{NODES}",
        f"[{_SECTION}]",
        f"folder = {name}",
        "candidates =",
        *(f"  {candidate}" for candidate in choice.candidates),
        f"named = {'yes' if choice.named else 'no'}",
    ]
    fresh = place.with_suffix(f".{os.getpid()}")
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fresh.replace(place)
