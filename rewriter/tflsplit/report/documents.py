# SPDX-License-Identifier: Apache-2.0
"""plan.json as ``compare`` takes it: from folders, files and reports; and into a report's page."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tflsplit.bundle.folder import PLAN
from tflsplit.bundle.plan_json import Json, parse
from tflsplit.errors import PlanError

_EMBEDDED = '<script type="application/json" id="{}">(.*?)</script>'
EMBEDDED = re.compile(_EMBEDDED.format("plan"), re.DOTALL)
"""Where a report holds its plan.json (report.html.j2)."""
EMBEDDED_SIMULATED = re.compile(_EMBEDDED.format("simulated"), re.DOTALL)
"""Where it holds what was simulated (``report.simulated``)."""

SIMULATED = "simulated"
"""The key under which a document here has the latter, if it is known."""


def read_document(path: Path) -> Json:
    """The plan.json of an output folder, of a file, or inside a report.

    Of a report, with what was simulated for it under ``SIMULATED``.
    Raises PlanError if it cannot be read.
    """
    file = path / PLAN if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise PlanError(f"{file}: {reason}; name what `rewrite` or `report` wrote") from None
    if file.suffix.lower() in (".html", ".htm"):
        found = EMBEDDED.search(text)
        if found is None:
            raise PlanError(f"{file} is not a report that `tflsplit report` wrote")
        simulated = EMBEDDED_SIMULATED.search(text)
        document = parse(found[1], str(file))
        if simulated is not None:
            document[SIMULATED] = json.loads(simulated[1])
    else:
        document = parse(text, str(file))
    _check(document, file)
    return document


def _check(document: Json, file: Path) -> None:
    devices = document.get("devices")
    good = isinstance(devices, list) and devices and all(isinstance(d, dict) for d in devices)
    if not good or not isinstance(document.get("layers"), list):
        raise PlanError(f"{file} is damaged: it lists no devices or layers; write it again")


def embedded(document: Json) -> str:
    """plan.json for a report's page: without the parts that only machines read.

    A ``<`` is written as ``\\u003c``, so that no name can close the element.
    """
    slim = {key: value for key, value in document.items() if key != "tensors"}
    slim["devices"] = [
        {key: value for key, value in device.items() if key not in ("tensors", "steps")}
        for device in document["devices"]
    ]
    return json.dumps(slim, ensure_ascii=False).replace("<", "\\u003c")
