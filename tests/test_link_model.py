# SPDX-License-Identifier: Apache-2.0
"""The link's states in the model checker spin (tests/model/link.pml): every order of events.

Nothing arrives twice, out of order or not at all; nobody waits for ever; no run goes on for ever
without an end: after losses, and after resets of either side, all frames arrive.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spin import NEEDS_SPIN, first_error

MODEL = Path(__file__).with_name("model") / "link.pml"
pytestmark = NEEDS_SPIN


@pytest.mark.parametrize("kind", ["SAFETY", "NP"])
@pytest.mark.parametrize(("losses", "resets", "frames"), [(2, 0, 3), (1, 1, 2)])
def test_all_runs_end_well(tmp_path: Path, losses: int, resets: int, frames: int, kind: str):
    bounds = {"losses": losses, "resets": resets, "frames": frames}
    assert first_error(tmp_path, MODEL.read_text(), kind, **bounds) == ""


ERRORS = {
    "a POLL's answer tells of no loss": (
        "has_arrived(marked); find_lost()", "skip", (1, 0, 2), "NP", "non-progress cycle",
    ),
    "another boot's session is taken for the old one": (
        "peer_boot != ack ||", "", (0, 1, 3), "NP", "non-progress cycle",
    ),
    "a WELCOME of before the reset counts": (
        "ack == resets &&", "", (0, 1, 2), "SAFETY", "assertion violated",
    ),
    "the boot in a WELCOME is forgotten": (
        "is_open = true; peer_boot = bits", "is_open = true", (0, 1, 2), "NP", "non-progress cycle",
    ),
    "what was kept is taken twice": (
        "bits = kept[expected]", "bits = kept[expected] - 1", (1, 0, 2), "SAFETY",
        "assertion violated",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_the_model_shows_errors(tmp_path: Path, name: str):
    old, new, numbers, kind, wanted = ERRORS[name]
    model, bounds = (
        MODEL.read_text(),
        dict(zip(("losses", "resets", "frames"), numbers, strict=True)),
    )
    assert model.count(old) == 1
    assert first_error(tmp_path, model.replace(old, new), kind, **bounds).startswith(wanted)
