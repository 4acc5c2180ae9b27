# SPDX-License-Identifier: Apache-2.0
"""Makes docs/deploy_session.svg, for the README: boards are found, and deployed to.

    python -m docs.make_session

from the repository's root, in the environment of ``make test``. Eight boards are programs of this
computer (``tflsplit emulate --native --blank 8``); everything else is what the commands print on a
terminal of 104 columns. Times and ports are this run's.
"""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from models.mobilenet_v2 import mobilenet_v2
from tflsplit.tflite import write_model

PICTURE = Path(__file__).with_name("deploy_session.svg")
COLUMNS = 104
BOARDS = 8
MODEL = "mobilenet_v2_0.35_96.tflite"
PORT = "socket://localhost:5000"
TFLSPLIT = [sys.executable, "-m", "tflsplit"]


def run(words: Sequence[str], folder: Path) -> str:
    """What a command prints on a terminal: its notes, then the rest.

    Raises SystemExit if it fails.
    """
    near, far = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with tempfile.TemporaryFile() as notes:
        process = subprocess.Popen(
            [*TFLSPLIT, *words], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=far,
            stderr=notes,
        )  # fmt: skip
        os.close(far)
        said = b""
        while True:
            try:
                piece = os.read(near, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            said += piece
        os.close(near)
        notes.seek(0)
        told = notes.read()
    if process.wait():
        raise SystemExit(f"tflsplit {' '.join(words)} failed: {told.decode()}")
    return (told + said).decode().replace("\r\n", "\n")


def session(folder: Path) -> str:
    """All of it, with the commands that were typed, as a terminal gets it."""
    (folder / MODEL).write_bytes(write_model(mobilenet_v2(0.35, 96)))
    number = PORT.rpartition(":")[2]
    words = ["emulate", "--native", "--blank", str(BOARDS), "--listen", number]
    boards = subprocess.Popen(
        [*TFLSPLIT, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert boards.stdin is not None
    assert boards.stdout is not None
    try:
        if PORT not in boards.stdout.readline():
            raise SystemExit("the boards do not begin")
        shown = ""
        deploy = ["deploy", MODEL, "--objective", "ram", "--port", PORT]
        for typed in (["discover", "--port", PORT], deploy):
            shown += f"\x1b[1m$ tflsplit {' '.join(typed)}\x1b[0m\n{run(typed, folder)}\n"
        return shown
    finally:
        boards.send_signal(signal.SIGINT)
        boards.wait()


def picture(shown: str) -> str:
    """An SVG that asks nobody for a font."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown.rstrip("\n")))
    drawn = console.export_svg(title="tflsplit", theme=SVG_EXPORT_THEME, unique_id="session")
    return re.sub(r"@font-face \{.*?\}\n", "", drawn, flags=re.DOTALL)


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory(prefix="tflsplit-session-") as folder:
        text = picture(session(Path(folder)))
    PICTURE.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
