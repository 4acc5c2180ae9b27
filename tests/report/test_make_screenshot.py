# SPDX-License-Identifier: Apache-2.0
"""The script behind the README's picture, and the picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from docs.make_screenshot import LIMIT_BYTES, main
from tests.splits import needs_tflm

ROOT = Path(__file__).resolve().parents[2]


@needs_tflm
@pytest.mark.skipif(
    not (shutil.which("chromedriver") and shutil.which("chromium")),
    reason="needs a browser: apt install chromium chromium-driver (Debian)",
)
def test_it_makes_a_picture(tmp_path: Path):
    image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install '.[host]'")
    pytest.importorskip("selenium", reason="needs Selenium: pip install '.[dev]'")
    path = tmp_path / "picture.png"
    assert main(["-o", str(path), "--alpha", "0.35", "--size", "64", "-n", "2"]) == 0
    with image.open(path) as picture, image.open(ROOT / "docs" / "report.png") as shown:
        assert picture.width == shown.width
        assert 600 < picture.height < shown.height
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert len(colours) > 20


def test_the_picture_is_small():
    assert 10_000 < (ROOT / "docs" / "report.png").stat().st_size <= LIMIT_BYTES
