# SPDX-License-Identifier: Apache-2.0
"""What every test shares: hypothesis profiles and the places of models."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# "ci" (the default) repeats the same examples, so that a red run is red again; look for new ones
# with HYPOTHESIS_PROFILE=explore.
settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """The folder of real models from public repositories; skips where it is absent."""
    folder = Path(os.environ.get("TFLSPLIT_MODELS", ROOT.parent / "shared" / "models"))
    if not folder.is_dir():
        pytest.skip(
            "needs the folder of public .tflite models: point TFLSPLIT_MODELS at it "
            "(CONTRIBUTING.md says which files and where they come from)"
        )
    return folder
