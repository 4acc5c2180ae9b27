# SPDX-License-Identifier: Apache-2.0
"""The script behind the README's picture, and the picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from docs.make_screenshot import LIMIT_BYTES, PICTURES, main
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
    assert main(["-o", str(tmp_path), "--alpha", "0.35", "--size", "64", "-n", "2"]) == 0
    for name, wanted in PICTURES.items():
        with image.open(tmp_path / name) as picture:
            assert picture.width == wanted.width
            assert 250 < picture.height < 3000
            colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
        assert len(colours) > 20


@pytest.mark.parametrize("name", PICTURES)
def test_the_pictures_are_small(name: str):
    assert 5_000 < (ROOT / "docs" / name).stat().st_size <= LIMIT_BYTES
