# SPDX-License-Identifier: Apache-2.0
"""Makes docs/report.png, the README's picture of a report.

    python docs/make_screenshot.py

from the repository's root, in the environment of ``make test``, with chromium and chromedriver.
The network is the seeded MobileNetV2 of ``models/``, so that everybody gets the same picture.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "rewriter")]

from models.mobilenet_v2 import mobilenet_v2  # noqa: E402
from tflsplit.cli import main as tflsplit  # noqa: E402
from tflsplit.tflite import write_model  # noqa: E402

WIDTH = 1240
LIMIT_BYTES = 300_000


def make_report(folder: Path, alpha: float, size: int, world_size: int) -> Path:
    """The page for the network on ``world_size`` devices, as the command line makes it."""
    model = folder / f"mobilenet_v2_{alpha}_{size}.tflite"
    model.write_bytes(write_model(mobilenet_v2(alpha, size)))
    out, page = str(folder / "out"), folder / "report.html"
    for arguments in (
        ["rewrite", str(model), "-n", str(world_size), "-o", out],
        ["report", out, "-o", str(page), "--beside", "none"],
    ):
        if tflsplit(arguments):
            raise SystemExit(f"tflsplit {' '.join(arguments)} failed")
    return page


def screenshot(page: Path, until: str) -> bytes:
    """The page from its top to the end of the section ``until``, as PNG."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        metrics = {"width": WIDTH, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(page.as_uri())
        script = "return document.getElementById(arguments[0]).getBoundingClientRect().bottom"
        metrics["height"] = round(browser.execute_script(script, until)) + 16
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        return browser.get_screenshot_as_png()
    finally:
        browser.quit()


def shrunk(png: bytes) -> bytes:
    """The same picture with a palette: a page has few colours."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            buffer, "PNG", optimize=True
        )
    return buffer.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Make the picture."""
    parser = argparse.ArgumentParser(description="Make docs/report.png.")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "report.png")
    parser.add_argument("--alpha", type=float, default=1.0, help="width of the network (1.0)")
    parser.add_argument("--size", type=int, default=224, help="rows of its input (224)")
    parser.add_argument("-n", type=int, default=4, metavar="N", help="devices (4)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        page = make_report(Path(folder), chosen.alpha, chosen.size, chosen.n)
        picture = shrunk(screenshot(page, "time"))
    if len(picture) > LIMIT_BYTES:
        raise SystemExit(f"the picture has {len(picture):,} bytes, more than {LIMIT_BYTES:,}")
    chosen.output.write_bytes(picture)
    print(f"wrote {chosen.output} ({len(picture):,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
