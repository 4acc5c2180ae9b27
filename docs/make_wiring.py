# SPDX-License-Identifier: Apache-2.0
"""``python -m docs.make_wiring``: the pictures of docs/wiring.md, one for each kind of board.

The pins are those of the ports' ``wiring.h``, which is what the firmware uses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIRINGS = [
    ROOT / "tflm_app" / "ports" / port / "src" / "wiring.h"
    for port in ("arduino", "stm32f405", "rp2040")
]
ROW = re.compile(
    r"^//   (?P<title>\S.*?)  +"
    r"\S+ \(RX(?: (?P<rx0>\S+?))?, TX(?: (?P<tx0>(?!pins)\S+?))?(?: pins)?\)"
    r"  +\S+ \(RX (?P<rx1>\S+?), TX (?P<tx1>\S+?)\)  +(?P<rate>.*)$",
    re.MULTILINE,
)
NAMES = {
    "Teensy 4.1": "teensy41",
    "Nucleo-H743ZI": "nucleo_h743zi",
    "Raspberry Pi Pico": "pico",
    "ESP32-S3": "esp32s3",
    "Nano 33 BLE": "nano33ble",
    "STM32F405": "stm32f405",
    "RP2040": "rp2040",
}
STYLE = """\
<style>
  text { font: 14px system-ui, sans-serif; fill: #1f2328 } .b { font-weight: 600 }
  .small { font-size: 12px; fill: #59636e } .m { text-anchor: middle } .e { text-anchor: end }
  rect { fill: #f6f8fa; stroke: #4e79a7; stroke-width: 1.6 }
  .tx { stroke: #e15759 } .rx { stroke: #4e79a7 } .gnd { stroke: #59636e }
  path { stroke-width: 2.4; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } rect { fill: #21262d }
  }
</style>
"""


@dataclass(frozen=True)
class Pins:
    """A board's pins as they are printed on it: port 0 to the previous rank, port 1 to the next."""

    board: str
    title: str
    rx0: str
    tx0: str
    rx1: str
    tx1: str
    rate: str


def boards() -> list[Pins]:
    """Of the tables in wiring.h."""
    text = "".join(path.read_text(encoding="utf-8") for path in WIRINGS)
    found = [match.groupdict() for match in ROW.finditer(text)]
    return [
        Pins(board=NAMES[row["title"]], **{key: text or "" for key, text in row.items()})
        for row in found
    ]


def picture(pins: Pins) -> str:
    """An SVG: the wires from one board to the next."""
    label = (
        f"{pins.title}: TX {pins.tx1} of one board to {f'RX {pins.rx0}'.strip()} of the next, "
        f"RX {pins.rx1} to {f'TX {pins.tx0}'.strip()}, ground to ground"
    )
    rows = (
        ("tx", f"TX {pins.tx1}".strip(), f"{pins.rx0} RX".strip(), 92),
        ("rx", f"RX {pins.rx1}".strip(), f"{pins.tx0} TX".strip(), 124),
        ("gnd", "GND", "GND", 156),
    )
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 200" role="img" '
        f'aria-label="{label}">\n{STYLE}'
    ]
    for x, rank, port in (
        (20, "rank k", "port 1, to the next"),
        (420, "rank k + 1", "port 0, from"),
    ):
        parts.append(f'<rect x="{x}" y="16" width="200" height="168" rx="8"/>')
        parts.append(f'<text class="b m" x="{x + 100}" y="42">{pins.title}, {rank}</text>')
        parts.append(f'<text class="small m" x="{x + 100}" y="62">{port}</text>')
    for kind, left, right, y in rows:
        parts.append(f'<path class="{kind}" d="M220 {y} H420"/>')
        parts.append(f'<text class="e" x="208" y="{y + 5}">{left}</text>')
        parts.append(f'<text x="432" y="{y + 5}">{right}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Write them."""
    for pins in boards():
        (ROOT / "docs" / f"wiring_{pins.board}.svg").write_text(picture(pins), encoding="utf-8")


if __name__ == "__main__":
    main()
