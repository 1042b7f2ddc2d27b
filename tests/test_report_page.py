"""The page of a report: what it says, how large it is, and that a browser shows it."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from report_sweep import HOSTILE, RUNS, report_sweep
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

import grokpredict
from grokpredict.model.classifier import GrokClassifier

WIDTHS = (1280, 400)


@pytest.fixture(scope="module")
def page(classifier: GrokClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert grokpredict.report(report_sweep(), path, classifier) == path
    return path


@pytest.fixture(scope="module")
def data(page: Path) -> dict[str, Any]:
    packed = re.search(r'id="data">([^<]+)<', page.read_text("utf-8")).group(1)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    """Headless Chromium; continuous integration has one, elsewhere the tests are skipped."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        if "GROKPREDICT_NEEDS_BROWSER" in os.environ:
            pytest.fail("there is no chromium and chromedriver; apt-get install chromium-driver")
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    started.set_script_timeout(120)
    yield started
    started.quit()


def wait(browser: webdriver.Chrome, until: Callable[[webdriver.Chrome], Any]) -> Any:
    return WebDriverWait(browser, 120).until(until)


def ready(script: str) -> Callable[[webdriver.Chrome], Any]:
    return lambda browser: browser.execute_script(f"return {script}")


def visit(
    browser: webdriver.Chrome, page: Path, *, width: int = 1280, scheme: str = "light"
) -> None:
    """Open the page anew in a window of this width."""
    browser.get("about:blank")
    emulate = browser.execute_cdp_cmd
    emulate("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})  # fmt: skip
    emulate("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})  # fmt: skip
    browser.get(page.as_uri())
    wait(browser, ready("document.body.dataset.ready"))


def draw_all(browser: webdriver.Chrome) -> None:
    """Bring each figure of the report into view until it is drawn."""
    for figure in browser.find_elements(By.CSS_SELECTOR, "#report figure"):
        browser.execute_script("arguments[0].scrollIntoView()", figure)
        wait(browser, lambda _, figure=figure: figure.get_attribute("data-drawn"))


def rows(browser: webdriver.Chrome, column: int) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll('#table tbody tr')]"
        ".map((row) => row.cells[arguments[0]].textContent)",
        column,
    )


def headings(browser: webdriver.Chrome) -> list[Any]:
    return browser.find_elements(By.CSS_SELECTOR, "#table th button")


# What the page is made of.


def test_the_document_says_what_the_library_says(
    data: dict[str, Any], classifier: GrokClassifier
) -> None:
    sweep = report_sweep()
    scores = grokpredict.score_sweep(sweep, classifier)
    evaluation = grokpredict.evaluate(sweep, classifier)
    assert [run["name"] for run in data["runs"]] == [run.name for run in sweep.runs]
    assert [run["verdict"] for run in data["runs"]] == [s.verdict.action for s in scores]
    assert [run["reason"] for run in data["runs"]] == [s.verdict.reason for s in scores]
    table = sweep.to_pandas()
    assert [run["outcome"] for run in data["runs"]] == table["outcome"].tolist()
    assert [run["phase"] for run in data["runs"]] == ["unknown"] * RUNS  # no training accuracy
    first = evaluation.matched[0]
    assert data["rules"][0]["lost"]["value"] == pytest.approx(first.lost.value, abs=1e-3)
    assert data["rules"][0]["saved"]["high"] == pytest.approx(first.saved.high, abs=1e-3)
    assert [rule["ours"] for rule in data["rules"]].count(True) == 1
    counts = evaluation.counts
    assert f"of {counts.doomed} doomed runs" in data["conclusion"][0]
    assert f"of {counts.good} good ones" in data["conclusion"][0]
    assert list(data["axes"])[:2] == ["learning_rate", "weight_decay"]
    assert "seed" not in data["axes"]
    assert any("has no loss" in line for line in data["left_out"])


def test_curves_and_looks_of_a_run_are_those_that_were_read(data: dict[str, Any]) -> None:
    run, shown = report_sweep().runs[3], data["runs"][3]
    steps, values = shown["curves"]["val_acc"]
    assert steps == run.channels["val_acc"].steps.tolist()
    assert values == pytest.approx(run.channels["val_acc"].values.tolist())
    assert shown["looks"][-1]["action"] == shown["verdict"]
    assert any("validation accuracy" in sentence for sentence in shown["diagnosis"])


def test_without_both_outcomes_there_is_a_page_that_says_so(
    classifier: GrokClassifier, tmp_path: Path
) -> None:
    from grokpredict.reporting.page_data import page_data

    sweep = report_sweep()
    scores = grokpredict.score_sweep(sweep, classifier)
    document = page_data(
        sweep, scores, "no run generalised.", classifier="given", max_false_abort=0.05
    )
    stopped = sum(score.verdict.action == "abort" for score in scores)
    assert document["conclusion"] == [
        f"{stopped} of {RUNS} runs would be stopped.",
        "No figures of lost and saved runs: no run generalised.",
    ]
    assert document["rules"] == document["calibration"] == []


def test_a_thousand_runs_fit_into_three_megabytes(page: Path, data: dict[str, Any]) -> None:
    """The random curves of these runs pack worse than those of networks."""
    from grokpredict.reporting.page import page_html
    from grokpredict.reporting.thinning import points_each

    points = points_each(1000)
    many = []
    for i in range(1000):
        run = data["runs"][i % RUNS]
        curves = {
            name: [steps[:points], [value + i / 1e4 for value in values[:points]]]
            for name, (steps, values) in run["curves"].items()
        }
        many.append({**run, "name": f"a/rather/long/folder/run-{i:05}.csv", "curves": curves})
    vega = re.search(r"<script>(.+?)</script>", page.read_text("utf-8"), re.DOTALL).group(1)
    size = len(page_html({**data, "runs": many}, vega).encode())
    assert 1_000_000 < size < 3_000_000


# What a browser makes of it.


def test_the_page_asks_no_network_and_writes_no_error(
    chromium: webdriver.Chrome, page: Path
) -> None:
    chromium.get_log("performance")
    visit(chromium, page)
    wait(chromium, ready("document.getElementById('saved').dataset.drawn"))
    # Figures out of view cost nothing: a page of a thousand runs opens at once.
    assert chromium.find_element(By.ID, "calibration").get_attribute("data-drawn") is None
    draw_all(chromium)
    chromium.get(page.as_uri() + "#run/0")
    wait(chromium, ready("document.getElementById('run-probability').dataset.drawn"))
    assert [line for line in chromium.get_log("browser") if line["level"] != "INFO"] == []
    sent = [json.loads(line["message"])["message"] for line in chromium.get_log("performance")]
    asked = {
        message["params"]["request"]["url"].split(":")[0]
        for message in sent
        if message["method"] == "Network.requestWillBeSent"
    }
    assert asked <= {"file", "data", "blob", "about"}
    assert "file" in asked


def test_names_are_text(chromium: webdriver.Chrome, page: Path) -> None:
    visit(chromium, page)
    assert HOSTILE not in page.read_text("utf-8")
    assert rows(chromium, 0)[7] == HOSTILE
    Select(chromium.find_element(By.ID, "axis-x")).select_by_value("activation")
    draw_all(chromium)
    chromium.get(page.as_uri() + "#run/7")
    assert chromium.find_element(By.ID, "run-name").text == HOSTILE
    assert chromium.title == "grokpredict report"
    assert chromium.find_elements(By.TAG_NAME, "img") == []


def test_the_table_sorts_and_filters(
    chromium: webdriver.Chrome, page: Path, data: dict[str, Any]
) -> None:
    visit(chromium, page)
    titles = [button.text for button in headings(chromium)]
    place = titles.index("P")
    headings(chromium)[place].click()
    known = [run["probability"] for run in data["runs"] if run["probability"] is not None]
    missing = RUNS - len(known)
    shown = rows(chromium, place)
    numbers = [float(cell) for cell in shown[: len(known)]]
    assert numbers == pytest.approx(sorted(known), abs=1e-3)
    assert shown[len(known) :] == [""] * missing
    headings(chromium)[place].click()
    shown = rows(chromium, place)
    assert [float(cell) for cell in shown[: len(known)]] == numbers[::-1]
    assert shown[len(known) :] == [""] * missing  # last, whichever way
    assert chromium.find_element(By.CSS_SELECTOR, "#table th[aria-sort=descending]").text == "P"

    headings(chromium)[0].click()
    names = rows(chromium, 0)
    assert names.index("run 2") < names.index("run 10")  # as numbers
    field = chromium.find_element(By.ID, "filter")
    field.send_keys("doomed relu")
    doomed = [run for run in data["runs"] if run["outcome"] == "doomed"]
    relu = {run["name"] for run in doomed if run["configuration"]["activation"] == "relu"}
    assert set(rows(chromium, 0)) == relu
    assert chromium.find_element(By.ID, "count").text == f"{len(relu)} of {RUNS} runs"
    field.clear()
    field.send_keys("no such run")
    assert rows(chromium, 0) == []


def test_a_run_has_a_page_and_there_is_a_way_back(
    chromium: webdriver.Chrome, page: Path, data: dict[str, Any]
) -> None:
    visit(chromium, page)
    chromium.find_element(By.LINK_TEXT, "run 3").click()
    wait(chromium, ready("document.getElementById('run-probability').dataset.drawn"))
    run = data["runs"][3]
    text = chromium.find_element(By.ID, "run").text
    assert run["reason"] in text
    assert all(look["reason"] in text for look in run["looks"])
    assert all(sentence in text for sentence in run["diagnosis"])
    assert str(run["configuration"]["weight_decay"]) in text
    assert not chromium.find_element(By.ID, "report").is_displayed()
    chromium.find_element(By.LINK_TEXT, "All runs").click()
    assert chromium.find_element(By.ID, "table").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_its_window_and_its_ink_is_seen(
    chromium: webdriver.Chrome, page: Path, width: int, scheme: str
) -> None:
    visit(chromium, page, width=width, scheme=scheme)
    draw_all(chromium)
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    ground, ink = chromium.execute_script(
        "const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]"
    )
    assert contrast(ground, ink) > 7  # WCAG 2.1, level AAA
    assert luminance(ground) > 0.9 if scheme == "light" else luminance(ground) < 0.05
    for canvas in chromium.find_elements(By.CSS_SELECTOR, "#report canvas"):
        assert 200 < canvas.size["width"] <= width
        # Text of the figures, the strongest ink there is, against the ground of the page.
        assert contrast(ground, strongest(chromium, canvas, scheme)) > 7


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def strongest(browser: webdriver.Chrome, canvas: Any, scheme: str) -> str:
    """The darkest opaque pixel of a figure, on dark ground the brightest."""
    return browser.execute_script(
        """
        const [canvas, sign] = arguments;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let best = null, most = -Infinity;
        for (let i = 0; i < data.length; i += 4) {
          const value = sign * (data[i] + data[i + 1] + data[i + 2]);
          if (data[i + 3] === 255 && value > most) [most, best] = [value, data.slice(i, i + 3)];
        }
        return `rgb(${best.join()})`;
        """,
        canvas,
        1 if scheme == "dark" else -1,
    )


def test_the_phase_diagram_takes_any_two_axes(chromium: webdriver.Chrome, page: Path) -> None:
    visit(chromium, page)
    canvas = "document.querySelector('#phase canvas')"
    draw_all(chromium)
    before = chromium.execute_script(f"return {canvas}.toDataURL()")
    for name in ("axis-x", "axis-y"):
        options = Select(chromium.find_element(By.ID, name)).options
        assert [option.text for option in options][:2] == ["learning_rate", "weight_decay"]
    Select(chromium.find_element(By.ID, "axis-y")).select_by_value("activation")
    wait(
        chromium, lambda b: b.execute_script(f"return {canvas}?.toDataURL()") not in (None, before)
    )
    assert [line for line in chromium.get_log("browser") if line["level"] == "SEVERE"] == []
