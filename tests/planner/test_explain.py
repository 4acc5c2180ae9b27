# SPDX-License-Identifier: Apache-2.0
"""What `tflsplit plan` says of the options that were not taken."""

from __future__ import annotations

import pytest

from tflsplit.planner.explain import longer


@pytest.mark.parametrize(
    ("other_us", "fastest_us", "text"),
    [
        (1.004, 1.0, "about as long"),
        (1.24, 1.0, "1.24 times as long"),
        (9.61, 1.0, "9.6 times as long"),
        (1635.8, 1.0, "over 100 times as long"),
        (5.0, 0.0, "longer"),
        (0.0, 0.0, "about as long"),
    ],
)
def test_how_long_another_option_takes(other_us: float, fastest_us: float, text: str):
    assert longer(other_us, fastest_us) == text
