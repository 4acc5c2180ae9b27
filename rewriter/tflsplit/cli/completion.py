# SPDX-License-Identifier: Apache-2.0
"""``tflsplit --completion SHELL``: a script that teaches a shell our commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from tflsplit.errors import EngineError

SHELLS = ("bash", "zsh", "fish", "tcsh")


def completion(
    top: argparse.ArgumentParser, commands: Iterable[argparse.ArgumentParser], shell: str
) -> str:
    """The script; EngineError, saying how to get it, without shtab."""
    try:
        import shtab
    except ImportError:
        raise EngineError(
            "shell completion needs shtab: pip install 'tflsplit[completion]'"
        ) from None
    for command in commands:
        for action in command._actions:
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(top, shell))
