"""The page in a real browser: it opens quietly, fetches nothing, sorts, tells, darkens, fits a phone, is for all."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nasformer.compare import Comparison
from nasformer.data import load_dataset
from nasformer.data.samples import draw_samples
from nasformer.diagnose import write_diagnosis_report
from nasformer.report import write_data_report, write_report, write_training_report
from nasformer.report.fit import write_fit_report
from nasformer.report.palette import PAPER
from tests.report import axe
from tests.report.diagnosis import diagnosis
from tests.report.fitted import fitted
from tests.report.test_palette import TEXT, contrast
from tests.report.test_report import result
from tests.report.test_training import trained

selenium = pytest.importorskip("selenium", reason="selenium is not installed: pip install 'nasformer[browser]'")
CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None,
    reason="chromium or chromedriver is missing: apt-get install chromium chromium-driver",
)
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
COLOURS = """
const shown = (element) => getComputedStyle(element);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement)
    if (!/rgba\\(.*, 0\\)|transparent/.test(shown(at).backgroundColor)) return shown(at).backgroundColor;
};
return [...document.querySelectorAll("h1, h2, p, figcaption, th, td, td small, li, dt, dd, summary, a, svg text")]
  .map((e) => [e.tagName, e instanceof SVGElement ? shown(e).fill : shown(e).color, ground(e)]);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory() as profile:
        for option in (*OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
        yield driver
        driver.quit()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("searched"), result(), title="Searched").parent


@pytest.fixture(scope="module")
def trained_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_report(tmp_path_factory.mktemp("trained"), trained(), title="Trained").parent


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_diagnosis_report(tmp_path_factory.mktemp("diagnosed"), diagnosis()).parent


@pytest.fixture(scope="module")
def fit_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fit_report(tmp_path_factory.mktemp("fitted"), fitted(), title="Fitted").parent


@pytest.fixture(scope="module")
def data_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    digits = load_dataset("digits")
    figures = {
        "name": "digits",
        "splits": digits.record["splits"],
        "targets": {"train": {"zero": 1, "one": 2}, "test": {"zero": 1}},
        "picture": str(draw_samples(digits, folder / "data.png")),
        "kinds": {"PNG L": 3},
        "width": [8, 8, 9],
        "height": [7, 8, 8],
        "unreadable": {"<b>.png": "truncated"},
        "copies": [[("train", "1.png"), ("test", "2.png")]],
    }
    return write_data_report(folder / "report.html", figures).parent


@pytest.fixture(scope="module")
def axe_core() -> str:
    return axe.source()


@pytest.fixture(params=["written", "searched", "trained_page", "diagnosed", "fit_page", "data_page"])
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.getfixturevalue(request.param))


def visit(browser: Any, folder: Path, *, width: int = 1200, dark: bool = False) -> None:
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((folder / "report.html").resolve().as_uri())


def column(browser: Any, table: str, place: int) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((cell) => cell.textContent.trim())"
    return list(browser.execute_script(script, f"#{table} tbody tr > :nth-child({place})"))


def test_it_opens_without_a_word_on_the_console(browser: Any, folder: Path) -> None:
    browser.get_log("browser")
    visit(browser, folder)
    assert browser.get_log("browser") == []
    long = "[...document.querySelectorAll('table.sortable')].filter((table) => table.tBodies[0].rows.length > 1)"
    assert browser.execute_script(f"return {long}.filter((table) => !table.querySelector('th button')).length") == 0


def test_nothing_is_fetched(browser: Any, folder: Path) -> None:
    browser.get_log("performance")
    visit(browser, folder)
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_a_script_that_is_not_ours_does_not_run(browser: Any, written: Path) -> None:
    visit(browser, written)
    browser.execute_script(
        "const script = document.createElement('script'); script.textContent = 'document.title = \"broken\"';"
        "document.body.append(script);"
    )
    assert browser.title == "Three on digits"
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_tables_sort_by_click_and_by_key(browser: Any, written: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    visit(browser, written)
    title = browser.find_element(By.CSS_SELECTOR, "#table-ranking-1 th:nth-child(3)")
    button = title.find_element(By.TAG_NAME, "button")
    browser.execute_script("arguments[0].click()", button)
    values = [float(value) for value in column(browser, "table-ranking-1", 3)]
    assert (title.get_attribute("aria-sort"), values) == ("ascending", sorted(values))
    button.send_keys(Keys.ENTER)
    values = [float(value) for value in column(browser, "table-ranking-1", 3)]
    assert (title.get_attribute("aria-sort"), values) == ("descending", sorted(values, reverse=True))
    other = browser.find_element(By.CSS_SELECTOR, "#table-ranking-1 th:first-child")
    other.find_element(By.TAG_NAME, "button").send_keys(Keys.SPACE)
    assert (other.get_attribute("aria-sort"), title.get_attribute("aria-sort")) == ("ascending", None)
    names = column(browser, "table-ranking-1", 1)
    assert names == sorted(names)


def test_what_is_missing_sorts_last_both_ways(browser: Any, written: Path) -> None:
    visit(browser, written)
    browser.execute_script(
        "const cell = document.querySelector('#table-ranking-1 tbody tr td:nth-child(3)');"
        "delete cell.dataset.key; cell.textContent = '–';"
    )
    for _ in range(2):
        browser.execute_script("document.querySelector('#table-ranking-1 th:nth-child(3) button').click()")
        assert column(browser, "table-ranking-1", 3)[-1] == "–"


def test_a_strategy_can_be_held_with_the_keyboard(browser: Any, written: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    visit(browser, written)
    chip = browser.find_elements(By.CSS_SELECTOR, ".strategies button")[1]
    chip.send_keys(Keys.ENTER)
    assert chip.get_attribute("aria-pressed") == "true"
    on = "return [...new Set([...document.querySelectorAll('svg [data-s].on')].map((e) => e.dataset.s))]"
    assert browser.execute_script(on) == ["1"]
    chip.send_keys(Keys.ESCAPE)
    assert chip.get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable(browser: Any, folder: Path, dark: bool) -> None:
    visit(browser, folder, dark=dark)
    found = {(colour, ground) for _, colour, ground in browser.execute_script(COLOURS)}
    assert len(found) >= 2
    for colour, ground in found:
        assert contrast(_hex(colour), _hex(ground)) >= TEXT, (colour, ground)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert _hex(paper) == (PAPER.dark if dark else PAPER.light)


def _hex(colour: str) -> str:
    numbers = [int(float(part)) for part in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    return "#" + "".join(f"{number:02x}" for number in numbers)


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(browser: Any, folder: Path, dark: bool, axe_core: str) -> None:
    visit(browser, folder, dark=dark)
    browser.execute_script("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    browser.execute_script(axe_core)
    found = browser.execute_async_script("axe.run({ resultTypes: ['violations'] }).then(arguments[0])")
    assert found["passes"]
    told = [(each["id"], each["impact"], each["nodes"][0]["html"][:200]) for each in found["violations"]]
    assert told == []


def test_everything_that_can_be_clicked_works(browser: Any, folder: Path) -> None:
    browser.get_log("browser")
    visit(browser, folder)
    for fold in browser.find_elements("tag name", "details"):
        fold.find_element("tag name", "summary").click()
        assert fold.get_attribute("open")
    for link in browser.find_elements("css selector", "a[href^='#']"):
        browser.execute_script("arguments[0].scrollIntoView()", link)
        link.click()
        target = browser.find_element("id", link.get_attribute("href").partition("#")[2])
        assert abs(browser.execute_script("return arguments[0].getBoundingClientRect().top", target)) < 900
    for title in browser.find_elements("css selector", "th:has(button)"):
        browser.execute_script("arguments[0].firstElementChild.click()", title)
        assert title.get_attribute("aria-sort") == "ascending"
    assert browser.get_log("browser") == []


def test_the_keyboard_reaches_what_can_be_used_and_shows_where_it_is(browser: Any, folder: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    visit(browser, folder)
    seen = []
    for _ in range(12):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        found = browser.execute_script(
            "const at = document.activeElement, shown = getComputedStyle(at);"
            "return [at.tagName, shown.outlineStyle, parseFloat(shown.outlineWidth)]"
        )
        seen.append(found)
    assert {"SUMMARY", "DIV"} & {tag for tag, *_ in seen}
    assert [tag for tag, style, width in seen if tag != "BODY" and (style == "none" or width < 1)] == []


def test_every_page_has_a_title_and_an_icon(browser: Any, folder: Path) -> None:
    visit(browser, folder)
    assert browser.title == browser.find_element("tag name", "h1").text
    icon = browser.find_element("css selector", "link[rel=icon]").get_attribute("href")
    drawn = "const icon = new Image(); icon.onload = () => arguments[1](icon.width > 0); icon.src = arguments[0]"
    assert browser.execute_async_script(drawn, icon) is True


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_narrow_screen_is_not_scrolled_sideways(browser: Any, folder: Path, width: int) -> None:
    visit(browser, folder, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_a_curve_lights_its_strategy_up_everywhere(browser: Any, written: Path, comparison: Comparison) -> None:
    visit(browser, written)
    paths = "[...document.querySelectorAll('#anytime-1 [data-s] path')].filter((e) => e.getTotalLength() > 20)"
    assert browser.execute_script(f"return {paths}.length") >= 2 * len(comparison.labels)
    point = "document.querySelector('#anytime-1 [data-s=\"1\"]').dispatchEvent(new PointerEvent('pointerenter'))"
    browser.execute_script(point)
    lit = browser.execute_script("return [...document.querySelectorAll('[data-s].on')].map((e) => e.dataset.s)")
    assert set(lit) == {"1"}
    assert len(lit) > 10
    dim = "return [...document.querySelectorAll('svg [data-s]:not(.on)')].map((e) => getComputedStyle(e).opacity)"
    browser.execute_async_script("setTimeout(arguments[0], 300)")
    assert {float(opacity) < 0.2 for opacity in browser.execute_script(dim)} == {True}


def test_the_runs_are_downloaded_from_inside_the_page(browser: Any, written: Path, tmp_path: Path) -> None:
    import time

    where = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    visit(browser, written)
    browser.execute_script("document.querySelector('.download a').click()")
    target, end = tmp_path / "cells.csv", time.monotonic() + 30
    while not target.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert target.read_bytes() == (written / "cells.csv").read_bytes()


def test_paper_shows_what_is_folded_and_hides_the_controls(browser: Any, written: Path) -> None:
    visit(browser, written)
    count = "document.querySelectorAll('details[open]').length"
    browser.execute_script(f"addEventListener('beforeprint', () => (window.opened = {count}))")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    folded = browser.execute_script("return document.querySelectorAll('details').length")
    assert browser.execute_script("return window.opened") == folded > 0
    assert browser.execute_script(f"return {count}") == 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = "return ['.download', 'nav'].map((e) => getComputedStyle(document.querySelector(e)).display)"
    assert browser.execute_script(hidden) == ["none"] * 2
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_without_script_everything_is_there(browser: Any, written: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        visit(browser, written)
        body = browser.find_element("tag name", "body").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "average rank" in body
    assert "Download all runs as CSV" in body


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """Return the folder of a run, and the address at which it is watched."""
    from threading import Thread
    from wsgiref.simple_server import make_server

    from nasformer.cli import serving

    watch = import_module("nasformer.cli.watch")  # the package has the command by this name
    monkeypatch.setattr(watch, "_LEAST", 0.1)
    monkeypatch.setattr(watch, "_SHARE", 100.0)
    write_report(tmp_path, result(), title="Watched")
    with make_server("127.0.0.1", 0, watch._Watched(tmp_path), serving._Server, serving._Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield tmp_path, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_watched_page_follows_its_run_where_the_reader_is(browser: Any, watched: tuple[Path, str]) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    folder, address = watched
    browser.get_log("browser")
    browser.get(address)
    browser.execute_script("window.old = true; document.querySelector('details').open = true; scrollTo(0, 700)")
    write_report(folder, result(evaluations=30), title="Watched on")
    WebDriverWait(browser, 60, 0.1).until(lambda _: browser.title == "Watched on")
    assert browser.execute_script("return window.old") is None
    assert browser.execute_script("return document.querySelector('details').open") is True
    WebDriverWait(browser, 20, 0.1).until(lambda _: browser.execute_script("return scrollY") == 700)
    assert browser.get_log("browser") == []
