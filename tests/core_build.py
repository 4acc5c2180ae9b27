# SPDX-License-Identifier: Apache-2.0
"""Builds split_core for the host once, for all tests that need it."""

from pathlib import Path

from tests.native_build import build


def build_core() -> Path:
    """Folder with `split_core_tests` (sanitized) and `libsplit_core.so`, built from tests/core."""
    return build("core")
