# SPDX-License-Identifier: Apache-2.0
"""plan.json as ``compare`` takes it: from folders, files and reports; and into a report's page."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tflsplit.bundle.listing import PLAN
from tflsplit.bundle.plan_json import Json, parse
from tflsplit.bundle.plan_schema import check_document
from tflsplit.bundle.schema import Nullable, Number, Record
from tflsplit.bundle.strict_json import strict_loads
from tflsplit.errors import PlanError
from tflsplit.report.simulated import FIGURES
from tflsplit.untrusted import MAX_TEXT_FILE_BYTES, read_file

_EMBEDDED = '<script type="application/json" id="{}">(.*?)</script>'
EMBEDDED = re.compile(_EMBEDDED.format("plan"), re.DOTALL)
"""Where a report holds its plan.json (report.html.j2)."""
EMBEDDED_SIMULATED = re.compile(_EMBEDDED.format("simulated"), re.DOTALL)
"""Where it holds what was simulated (``report.simulated``)."""

SIMULATED = "simulated"
"""The key under which a document here has the latter, if it is known."""

_FIGURE = Number(0, 1e18)
_SIMULATED = Record(
    {
        **dict.fromkeys(FIGURES, _FIGURE),
        "seed": Nullable(Record({}, dict.fromkeys(FIGURES, _FIGURE))),
    }
)


def read_document(path: Path) -> Json:
    """The plan.json of an output folder, of a file, or inside a report.

    Of a report, with what was simulated for it under ``SIMULATED``.
    Raises PlanError if it cannot be read.
    """
    file = path / PLAN if path.is_dir() else path
    text = _text(file)
    if file.suffix.lower() in (".html", ".htm"):
        found = EMBEDDED.search(text)
        if found is None:
            raise PlanError(f"{file} is not a report that `tflsplit report` wrote")
        simulated = EMBEDDED_SIMULATED.search(text)
        document = parse(found[1], str(file))
        if simulated is not None:
            document[SIMULATED] = _simulated(simulated[1], file)
    else:
        document = parse(text, str(file))
    check_document(document, str(file), tables=False)
    return document


def _text(file: Path) -> str:
    try:
        return read_file(file, MAX_TEXT_FILE_BYTES).decode()
    except UnicodeDecodeError:
        reason = f"{file}: not text"
    except PlanError as error:
        reason = str(error)
    raise PlanError(f"{reason}; name what `rewrite` or `report` wrote")


def _simulated(text: str, file: Path) -> Json:
    try:
        found: Json = strict_loads(text)
        problems = list(_SIMULATED.problems(found, "what was simulated"))
    except ValueError as error:
        problems = [str(error)]
    if problems:
        raise PlanError(f"{file} is damaged: {problems[0]}; write it again with `report`")
    return found


def embedded(document: Json) -> str:
    """plan.json for a report's page: without the parts that only machines read.

    A ``<`` is written as ``\\u003c``, so that no name can close the element.
    """
    slim = {key: value for key, value in document.items() if key not in ("tensors", "files")}
    slim["devices"] = [
        {key: value for key, value in device.items() if key not in ("tensors", "steps")}
        for device in document["devices"]
    ]
    return json.dumps(slim, ensure_ascii=False).replace("<", "\\u003c")
