# SPDX-License-Identifier: Apache-2.0
"""The report in a real browser: no complaint, light and dark, wide and narrow."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.report.pages import bundle_in, content_of
from tflsplit.report.content import Content
from tflsplit.report.page import render

webdriver: Any = pytest.importorskip(
    "selenium.webdriver", reason="needs Selenium: pip install '.[dev]'"
)

KEYS = ("arena_bytes", "arena_head_bytes", "weights_bytes", "sent_bytes", "received_bytes", "macs")

CONTRAST = """
const parse = (c) => c.match(/[\\d.]+/g).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const back = (e) => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c;
  }
  return [255, 255, 255];
};
const bad = [];
const texts = "h1,h2,h3,p,dt,dd,a,th,td,.way,.badge,figcaption,summary,.soft";
for (const e of document.querySelectorAll(texts)) {
  if (!e.innerText || !e.innerText.trim()) continue;
  const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(back(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) bad.push([e.tagName, e.className, e.innerText.slice(0, 30), ratio]);
}
return bad;
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = shutil.which("chromedriver")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if driver is None or program is None:
        pytest.skip("needs a browser: apt install chromium chromium-driver (Debian)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(driver)
    chrome = webdriver.Chrome(options=options, service=service)
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return content_of(bundle_in(tmp_path_factory.mktemp("report"), "mobilenet", 4), (2,))


@pytest.fixture(scope="module")
def page(content: Content, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(content), encoding="utf-8")
    return path.as_uri()


def show(browser: Any, page: str, width: int, scheme: str) -> None:
    command = browser.execute_cdp_cmd
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    command("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    command("Emulation.setEmulatedMedia", media)
    browser.get(page)


def background(browser: Any) -> int:
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 360])
def test_without_complaint(browser: Any, page: str, width: int, scheme: str):
    show(browser, page, width, scheme)
    assert browser.get_log("browser") == []
    assert (background(browser) > 600) == (scheme == "light")
    # Wide things scroll inside of themselves: the page never does, also on a phone.
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(CONTRAST) == []


def test_it_asks_for_nothing(browser: Any, page: str):
    browser.get_log("performance")
    show(browser, page, 1000, "light")
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert any(url.startswith("file:") for url in asked)


def test_numbers_are_those_of_plan_json(browser: Any, page: str, content: Content):
    show(browser, page, 1280, "light")
    script = "return [...document.querySelectorAll('td[data-key]')].map(e => ({...e.dataset}))"
    shown = {(e["rank"], e["key"]): e["value"] for e in browser.execute_script(script)}
    for device in content.document["devices"]:
        for key in KEYS:
            assert shown[str(device["rank"]), key] == str(device[key])
    verdict = browser.find_element("id", "verdict").text
    assert verdict == ("FITS" if content.fits else "DOES NOT FIT")


@pytest.mark.parametrize("chart", ["gantt", "ram"])
def test_charts_say_what_is_pointed_at(browser: Any, page: str, content: Content, chart: str):
    show(browser, page, 1280, "light")
    picture = browser.find_element("css selector", f"[data-chart={chart}]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    size = picture.size
    # Not the pointer's own way: in the middle of the first row or chart, in the first third.
    at = browser.execute_script(
        "return {...arguments[0].getBoundingClientRect().toJSON()}", picture
    )
    x, y = at["x"] + size["width"] / 3, at["y"] + size["height"] * 0.35
    browser.execute_cdp_cmd(
        "Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y, "buttons": 0}
    )
    tip = browser.find_element("id", "tip")
    assert tip.is_displayed()
    assert re.search(r"#\d+ " if chart == "ram" else r"^rank \d+: \w+, [\d.]+ ms", tip.text)
    assert browser.get_log("browser") == []


SMALL = """
const seen = (e) => e.getClientRects().length && getComputedStyle(e).visibility === "visible";
return [...document.querySelectorAll(".t, td, th, text, a, li, dd, dt, button, label")].filter(seen)
  .map((e) => [parseFloat(getComputedStyle(e).fontSize), e.textContent.trim().slice(0, 30)])
  .filter(([size, text]) => text && size < 11.5);
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_no_text_is_too_small_to_read(browser: Any, page: str, width: int):
    show(browser, page, width, "light")
    assert browser.execute_script(SMALL) == []


@pytest.mark.parametrize(("table", "columns"), [("layer-table", 8), ("devices", 12)])
def test_a_phone_shows_every_column(browser: Any, page: str, table: str, columns: int):
    show(browser, page, 390, "light")
    script = """
    return [...document.querySelectorAll(`#${arguments[0]} tbody tr:not(.group) > *`)].map((e) => {
      const box = e.getBoundingClientRect(); return [box.left, box.right, box.height]; });
    """
    cells = browser.execute_script(script, table)
    assert cells
    assert len(cells) % columns == 0
    assert all(left >= 0 and right <= 390 for left, right, _ in cells)
    tool = browser.execute_script("return document.querySelector('.tools button').offsetHeight")
    assert tool >= 36


def test_a_wide_page_shows_every_column(browser: Any, page: str):
    show(browser, page, 1280, "light")
    script = """
    for (const each of document.querySelectorAll("details")) each.open = true;
    return [...document.querySelectorAll(".scroll")]
      .filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.ariaLabel);
    """
    assert browser.execute_script(script) == []


def test_words_in_the_wiring_stay_in_their_box(browser: Any, page: str):
    show(browser, page, 1280, "light")
    script = """
    const boxes = [...document.querySelectorAll(".wide-only .board")].map((e) => e.getBBox());
    const inside = (b, t) => b.x <= t.x && t.x + t.width <= b.x + b.width && b.y <= t.y;
    return [...document.querySelectorAll(".wide-only text:not(.port)")]
      .filter((e) => !boxes.some((b) => inside(b, e.getBBox()))).map((e) => e.textContent);
    """
    assert browser.execute_script(script) == []


def shown_layers(browser: Any) -> list[int]:
    script = "return [...document.querySelectorAll('#layer-table tr[data-layer]')]"
    return [
        int(each)
        for each in browser.execute_script(
            f"{script}.filter(e => !e.hidden).map(e => e.dataset.layer)"
        )
    ]


def test_layers_sort_filter_and_fold(browser: Any, page: str, content: Content):
    show(browser, page, 1280, "light")
    count = len(content.layers)
    assert shown_layers(browser) == list(range(count))
    browser.find_element("css selector", "th[data-sort=macs] button").click()
    macs = [content.layers[at].entry["macs"] for at in shown_layers(browser)]
    assert macs == sorted(macs, reverse=True)
    head = browser.find_element("css selector", "th[data-sort=macs]")
    assert head.get_attribute("aria-sort") == "descending"
    browser.find_element("css selector", "th[data-sort=index] button").click()
    find = browser.find_element("id", "layer-find")
    find.send_keys("depthwise")
    wanted = [v.index for v in content.layers if "DEPTHWISE" in v.entry["op"]]
    assert shown_layers(browser) == wanted
    assert f"{len(wanted)} of {count} layers" in browser.find_element("id", "layer-says").text
    browser.execute_script(
        "arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", find
    )
    browser.find_element("id", "layer-fold").click()
    groups = browser.find_elements("css selector", "#layer-table tr.group button")
    assert groups
    assert len(shown_layers(browser)) < count
    for group in groups:
        assert group.get_attribute("aria-expanded") == "false"
        group.click()
    assert shown_layers(browser) == list(range(count))
    assert browser.get_log("browser") == []


def test_the_gantt_chart_zooms_and_shows_messages(browser: Any, page: str, content: Content):
    show(browser, page, 1280, "light")
    chart = browser.find_element("css selector", "#gantt .chart")
    width = chart.size["width"]
    assert browser.find_elements("css selector", "svg.over path.path"), "the critical path"
    for times in (2, 4):
        browser.find_element("css selector", "[data-zoom=in]").click()
        assert chart.size["width"] == pytest.approx(times * width, rel=0.01)
    assert len(browser.find_elements("css selector", "#gantt .tick")) > 3
    browser.find_element("css selector", "[data-zoom=all]").click()
    assert chart.size["width"] == width
    browser.find_element("id", "show-path").click()
    assert not browser.find_elements("css selector", "svg.over path.path")
    assert not browser.find_elements("css selector", "svg.over path.message")
    browser.find_element("id", "show-messages").click()
    drawn = len(browser.find_elements("css selector", "svg.over path.message"))
    assert drawn == min(400, len(content.charts["messages"])) > 0
    assert browser.get_log("browser") == []


def test_one_layer_is_selected_in_every_chart(browser: Any, page: str, content: Content):
    show(browser, page, 1280, "light")
    layer = max({bar[1] for row in content.charts["gantt"] for bar in row})
    browser.find_element("css selector", f"#layer-{layer} .index").click()
    assert "chosen" in browser.find_element("id", f"layer-{layer}").get_attribute("class")
    bars = browser.find_elements("css selector", "svg.over rect.chosen")
    wanted = [bar for row in content.charts["gantt"] for bar in row if bar[1] == layer]
    assert len(bars) == len(wanted)
    nodes = sum(d["layers"].count(layer) for d in content.charts["ram"])
    marks = browser.find_elements("css selector", '[data-chart="ram"] rect.chosen')
    assert len(marks) == nodes
    browser.find_element("css selector", "body").send_keys("\ue00c")  # Escape
    assert not browser.find_elements("css selector", "rect.chosen")


def test_an_address_leads_to_a_layer(browser: Any, page: str, content: Content):
    show(browser, page, 1280, "light")
    browser.get(f"{page}#layer-{len(content.layers) - 1}")
    row = browser.find_element("css selector", "#layer-table tr.chosen")
    assert row.get_attribute("data-layer") == str(len(content.layers) - 1)
    top = browser.execute_script("return arguments[0].getBoundingClientRect().top", row)
    assert 0 <= top <= 900


def test_the_chart_is_read_by_keyboard(browser: Any, page: str):
    show(browser, page, 1280, "light")
    window = browser.find_element("css selector", "#gantt .window")
    browser.execute_script("arguments[0].focus()", window)
    says = browser.find_element("id", "gantt-says")
    window.send_keys("\ue014")  # right
    assert says.text.startswith("rank 0: ")
    window.send_keys("\ue015")  # down
    assert says.text.startswith("rank 1: ")
    width = browser.find_element("css selector", "#gantt .chart").size["width"]
    window.send_keys("+")
    assert browser.find_element("css selector", "#gantt .chart").size["width"] > 1.9 * width
    window.send_keys("\ue014\ue014\ue007")  # right, right, Enter
    assert browser.find_elements("css selector", "#layer-table tr.chosen")
    assert browser.get_log("browser") == []
