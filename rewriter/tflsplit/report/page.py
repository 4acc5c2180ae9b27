# SPDX-License-Identifier: Apache-2.0
"""One HTML page that needs nothing else: no network, no fonts, no library."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from tflsplit import __version__
from tflsplit.errors import EngineError, PlanError
from tflsplit.report import figures
from tflsplit.report.documents import embedded

if TYPE_CHECKING:
    from tflsplit.report.content import Content

_TEMPLATES = "templates"


def require_jinja() -> None:
    """EngineError, saying how to get it, without Jinja2; to be called before importing the rest."""
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise EngineError("a report needs Jinja2: pip install 'tflsplit[report]'") from None


def render(content: Content) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    from tflsplit.cluster.boards import board_names, board_title
    from tflsplit.cluster.words import cluster_words
    from tflsplit.report.choices import OBJECTIVE_WORDS
    from tflsplit.report.layers import WAYS
    from tflsplit.report.ram import MOST_TENANTS
    from tflsplit.sim.why import CAUSES

    board = content.devices[0].board
    environment = Environment(
        loader=PackageLoader("tflsplit.report", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        kib=figures.kib,
        millions=figures.millions,
        ms=figures.milliseconds,
        short=figures.short_name,
    )
    return environment.get_template("report.html.j2").render(
        c=content,
        doc=content.document,
        version=__version__,
        ways=WAYS,
        objective_words=OBJECTIVE_WORDS,
        causes=CAUSES,
        board_title=board_title(board) if board in board_names() else board,
        team=cluster_words(replace(content.cluster, teams=1)),
        most_tenants=MOST_TENANTS,
        percent=figures.percent,
        deviation=figures.deviation,
        plan=Markup(embedded(content.document)),
        simulated=Markup(_script_json(content.simulated)),
        charts=Markup(_script_json(content.charts)),
        style=Markup(_text("report.css")),
        script=Markup(_text("report.js")),
    )


def write_page(path: Path, page: str) -> None:
    """Write all of it or nothing; PlanError if that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
            Path(fresh).chmod(0o644)
            Path(fresh).replace(path)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PlanError(f"cannot write {path}: {error.strerror or error}") from None


def _script_json(document: object) -> str:
    """JSON inside a script element: no ``<``, so nothing can close it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _text(name: str) -> str:
    return (resources.files("tflsplit.report") / _TEMPLATES / name).read_text(encoding="utf-8")
