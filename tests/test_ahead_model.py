# SPDX-License-Identifier: Apache-2.0
"""Two inferences under way, in the model checker spin (tests/model/ahead.pml).

Every inference computes with its own picture, nobody waits for ever, and the host comes to its end:
also where an inference fails on a device, and where a host is started anew while its forerunner's
input lies in the devices or is on its way.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spin import NEEDS_SPIN, first_error

MODEL = Path(__file__).with_name("model") / "ahead.pml"
pytestmark = NEEDS_SPIN


@pytest.mark.parametrize(
    ("faults", "restarts", "pictures", "kind"),
    [(0, 0, 3, "SAFETY"), (1, 0, 2, "SAFETY"), (0, 1, 2, "SAFETY"), (0, 1, 2, "NP")],
)
def test_all_runs_end_well(tmp_path: Path, faults: int, restarts: int, pictures: int, kind: str):
    bounds = {"faults": faults, "restarts": restarts, "pictures": pictures}
    assert first_error(tmp_path, MODEL.read_text(), kind, **bounds) == ""


ERRORS = {
    "INFO tells the last inference that was begun": (
        "to_host[me]!INFO, heeded", "to_host[me]!INFO, epoch", (0, 1, 2), "assertion violated",
    ),
    "the next input is taken for this one's": (
        "mail == NONE); mail = picture", "mail == NONE); input = picture", (0, 0, 2),
        "assertion violated",
    ),
    "the memory is not free again": (
        "mail = NONE; asked_next = false; \\\n  epoch", "asked_next = false; \\\n  epoch",
        (0, 0, 3), "assertion violated",
    ),
    "a START that comes before its forerunner has begun is ignored": (
        "          BEGIN(queued);", "", (0, 0, 3), "assertion violated",
    ),
    "nobody waits for a picture": (
        ":: begun && e == epoch -> assert(", ":: begun && e + 1 == epoch -> assert(", (0, 0, 2),
        "invalid end state",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_the_model_shows_errors(tmp_path: Path, name: str):
    old, new, numbers, wanted = ERRORS[name]
    model = MODEL.read_text()
    assert model.count(old) == 1
    bounds = dict(zip(("faults", "restarts", "pictures"), numbers, strict=True))
    assert first_error(tmp_path, model.replace(old, new), "SAFETY", **bounds).startswith(wanted)
