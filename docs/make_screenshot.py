# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of a report: docs/report.png for the README, others for docs/report.md.

    python docs/make_screenshot.py

from the repository's root, in the environment of ``make test``, with chromium and chromedriver.
The network is the seeded MobileNetV2 of ``models/``, so that everybody gets the same picture.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "rewriter")]

from models.mobilenet_v2 import mobilenet_v2  # noqa: E402
from tflsplit.cli import main as tflsplit  # noqa: E402
from tflsplit.tflite import write_model  # noqa: E402

LIMIT_BYTES = 300_000

CLICKS = """
for (const each of document.querySelectorAll(arguments[0])) each.click();
"""
EDGE = """
const box = document.querySelector(arguments[0]).getBoundingClientRect();
return box[arguments[1]] + scrollY;
"""


class Picture(NamedTuple):
    """One picture: of a page so wide, from the top of an element to the bottom of another.

    scheme: "light" or "dark"; click: what is clicked before, as a CSS selector.
    """

    width: int
    scheme: str
    first: str
    last: str
    click: str = "none"


TIME = "[data-zoom=in], #show-messages, #layer-30 .index"

PICTURES = {
    "report.png": Picture(1240, "light", "header", "#summary"),
    "report_time.png": Picture(1240, "light", "#time", "#gantt", TIME),
    "report_ram.png": Picture(1240, "dark", "#ram", "#ram-1"),
    "report_phone.png": Picture(390, "light", "header", "#fit"),
}


def make_report(folder: Path, alpha: float, size: int, world_size: int) -> Path:
    """The page for the network on ``world_size`` devices, as the command line makes it."""
    model = folder / f"mobilenet_v2_{alpha}_{size}.tflite"
    model.write_bytes(write_model(mobilenet_v2(alpha, size)))
    out, page = str(folder / "out"), folder / "report.html"
    for arguments in (
        ["rewrite", str(model), "-n", str(world_size), "-o", out],
        ["report", out, "-o", str(page), "--beside", str(world_size)],
    ):
        if tflsplit(arguments):
            raise SystemExit(f"tflsplit {' '.join(arguments)} failed")
    return page


def browser() -> Any:
    """Debian's chromium, or any Chrome."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))


def screenshot(chrome: Any, page: Path, wanted: Picture) -> bytes:
    """A picture of the page, as PNG."""
    tell = chrome.execute_cdp_cmd
    phone = wanted.width < 600
    metrics = {"width": wanted.width, "height": 1000, "deviceScaleFactor": 1, "mobile": phone}
    tell("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": wanted.scheme}]
    tell("Emulation.setEmulatedMedia", {"features": features})
    chrome.get(page.as_uri())
    chrome.execute_script(CLICKS, wanted.click)
    top = chrome.execute_script(EDGE, wanted.first, "top") - 16
    bottom = chrome.execute_script(EDGE, wanted.last, "bottom") + 16
    clip = {"x": 0, "y": max(0, top), "width": wanted.width, "height": bottom - max(0, top)}
    options = {"format": "png", "captureBeyondViewport": True, "clip": {**clip, "scale": 1}}
    return base64.b64decode(tell("Page.captureScreenshot", options)["data"])


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
    """Make the pictures."""
    parser = argparse.ArgumentParser(description="Make the pictures of a report in docs/.")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs", help="folder (docs)")
    parser.add_argument("--alpha", type=float, default=1.0, help="width of the network (1.0)")
    parser.add_argument("--size", type=int, default=224, help="rows of its input (224)")
    parser.add_argument("-n", type=int, default=4, metavar="N", help="devices (4)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        page = make_report(Path(folder), chosen.alpha, chosen.size, chosen.n)
        chrome = browser()
        try:
            pictures = {name: shrunk(screenshot(chrome, page, p)) for name, p in PICTURES.items()}
        finally:
            chrome.quit()
    for name, picture in pictures.items():
        if len(picture) > LIMIT_BYTES:
            raise SystemExit(f"{name} has {len(picture):,} bytes, more than {LIMIT_BYTES:,}")
    for name, picture in pictures.items():
        (chosen.output / name).write_bytes(picture)
        print(f"wrote {chosen.output / name} ({len(picture):,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
