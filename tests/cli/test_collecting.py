# SPDX-License-Identifier: Apache-2.0
"""The collector does not look at what imports have made, and is left as it was."""

from __future__ import annotations

import subprocess
import sys

import pytest

_TWICE = """
import gc
from tflsplit.cli import main
gc.{state}()
frozen = []
for _ in range(2):
    assert main(["--completion", "bash"]) == 0
    frozen.append(gc.get_freeze_count())
print(gc.isenabled(), frozen[0] > 1000, frozen[1] <= frozen[0])
"""


@pytest.mark.parametrize(("state", "is_on"), [("enable", True), ("disable", False)])
def test_the_collector_is_as_it_was_and_modules_are_frozen_once(state: str, is_on: bool):
    script = _TWICE.format(state=state)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == f"{is_on} True True"
