# SPDX-License-Identifier: Apache-2.0
"""What C++ code prints is caught."""

import os
import sys

import pytest

from tflsplit.interpreters.capture import captured_stderr


def test_messages_of_c_code_are_caught_and_the_terminal_comes_back(
    capfd: pytest.CaptureFixture[str],
):
    with captured_stderr() as messages:
        os.write(2, b"from C\n")
        assert messages() == "from C\n"
    print("after", file=sys.stderr)
    assert capfd.readouterr().err == "after\n"
