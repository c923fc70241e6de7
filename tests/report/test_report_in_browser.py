"""The report in a browser: it needs no network, sorts, filters, and shows runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from big_reports import RUNS_A_SEED, seconds_to_load, write_report
from browser import INSTALL, Page, browser, executable
from pages import EVIL, accuracy, page_of
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.plots.style import looks
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from synthetic_results import STUDY, fill, store_failure, write_study

needs_browser = pytest.mark.skipif(executable() is None, reason=f"needs a browser: {INSTALL}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(page: Page, folder: Path, text: str) -> None:
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    page.requests.clear()
    page.problems.clear()
    page.open(path)


def texts(page: Page, selector: str) -> list[str]:
    return page.run(f"[...document.querySelectorAll({selector!r})].map(e => e.textContent)")


def choose(page: Page, name: str, value: str, event: str) -> None:
    """Set a control of the page as a user does."""
    page.run(
        f"(() => {{ const control = document.getElementById({name!r}); control.value = {value!r};"
        f" control.dispatchEvent(new Event({event!r})); }})()"
    )


@needs_browser
def test_it_opens_without_a_network_and_without_complaints(
    page: Page, made: tuple[Study, Store], tmp_path: Path
) -> None:
    show(page, tmp_path, page_of(*made))
    assert page.run("document.querySelectorAll('#chart circle').length") == 17
    assert page.run("document.querySelectorAll('#chart polyline').length") == 3
    assert [url.split(":")[0] for url in page.requests] == ["file"]
    assert page.problems == []
    assert page.run("document.images.length") == 0
    # every column of the runs is seen without scrolling sideways
    box = "document.querySelector('#runs .scroll')"
    assert page.run(f"{box}.scrollWidth - {box}.clientWidth") == 0


@needs_browser
def test_tables_sort_by_a_click_up_and_down(page: Page, made: tuple[Study, Store], tmp_path: Path) -> None:
    show(page, tmp_path, page_of(*made))
    rows = "#table-1 tbody th"
    assert texts(page, rows) == ["Dense", "Global MP", "SNIP", "Random", "Secret"]
    page.run("document.querySelectorAll('#table-1 thead th')[1].click()")
    assert texts(page, rows) == ["Random", "SNIP", "Global MP", "Dense", "Secret"]
    page.run("document.querySelectorAll('#table-1 thead th')[1].click()")
    assert texts(page, rows) == ["Dense", "Global MP", "SNIP", "Random", "Secret"]
    assert page.run("document.querySelectorAll('#table-1 thead th')[1].ariaSort") == "descending"


@needs_browser
def test_runs_are_filtered_by_words(page: Page, made: tuple[Study, Store], tmp_path: Path) -> None:
    show(page, tmp_path, page_of(*made))
    choose(page, "filter", "snip 95", "input")
    visible = texts(page, "#run-table tbody tr:not([hidden]) th")
    assert visible == ["SNIP"] * 3
    assert texts(page, "#shown") == ["3 of 22"]
    choose(page, "filter", "diverged", "input")
    assert texts(page, "#shown") == ["1 of 22"]


@needs_browser
def test_a_run_is_shown_by_hover_and_opened_by_click(page: Page, made: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = made
    show(page, tmp_path, page_of(study, store))
    x, y = page.run(
        "(() => { const point = document.querySelector('#chart g[data-label=\"Random\"] circle');"
        " point.scrollIntoView({ block: 'center' }); const box = point.getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    page.mouse("mouseMoved", x, y)
    tip = page.run("document.getElementById('tip').textContent")
    run = next(r for r in study.runs if (r.method, r.seed, r.sparsity) == ("random", 0, 0.9))
    assert "Random, seed 0" in tip
    assert run.id in tip
    assert "80.00 %" in tip
    page.click(x, y)
    view = page.run("document.getElementById('run-view').textContent")
    assert f"Run {run.id} Random" in view
    assert "--only method=random --only sparsity=0.9 --only seed=0" in view
    assert page.run("document.querySelectorAll('#run-view svg rect').length") == 3
    assert page.run("document.querySelectorAll('#run-view svg polyline').length") == 2
    assert texts(page, "#run-table tr.chosen td:last-child") == [run.id]
    assert page.problems == []


@needs_browser
def test_choices_redraw_the_chart_and_a_name_hides_its_line(
    page: Page, made: tuple[Study, Store], tmp_path: Path
) -> None:
    show(page, tmp_path, page_of(*made))
    choose(page, "against", "macs", "change")
    assert "multiply-adds left" in page.run("document.querySelector('#chart svg').textContent")
    page.run("document.querySelector('#chart .legend').dispatchEvent(new Event('click'))")
    assert page.run("document.querySelectorAll('#chart polyline').length") == 2
    choose(page, "range", "6", "change")
    assert page.problems == []


@needs_browser
def test_hostile_names_and_reasons_stay_text(page: Page, tmp_path: Path) -> None:
    text = STUDY.replace("title: A small study", f"title: {json.dumps(EVIL)}").replace(
        "  - method: dense\n", f"  - {{method: snip, sparsity: 80%, label: {json.dumps(EVIL)}}}\n"
    )
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, accuracy)
    store_failure(store, study.name, study.runs[0], EVIL)
    show(page, tmp_path, page_of(study, store))
    assert page.run("document.images.length") == 0
    # every column of the runs is seen without scrolling sideways
    box = "document.querySelector('#runs .scroll')"
    assert page.run(f"{box}.scrollWidth - {box}.clientWidth") == 0
    assert page.problems == []
    assert page.run("document.title").startswith(EVIL[:20])
    page.run("document.querySelector('#run-table tbody tr').click()")
    assert EVIL in page.run("document.getElementById('run-view').textContent")


@needs_browser
def test_four_times_the_runs_take_four_times_as_long_to_load_at_most(page: Page, tmp_path: Path) -> None:
    """16 times would be quadratic. `python tests/big_reports.py` prints the seconds."""
    few, many = write_report(tmp_path / "few", 5), write_report(tmp_path / "many", 20)
    seconds = seconds_to_load(page, [few, many], repeats=3)
    assert page.run("document.querySelectorAll('#run-table tbody tr').length") == 20 * RUNS_A_SEED
    assert seconds[1] < 8 * seconds[0]
    assert page.problems == []


SMALLEST_TEXT = (
    "Math.min(...[...document.querySelectorAll('svg text')].map(text => parseFloat(getComputedStyle(text).fontSize)"
    " * text.ownerSVGElement.getBoundingClientRect().width / text.ownerSVGElement.viewBox.baseVal.width))"
)
CONTRAST = """(() => {
  const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number)
    .map((part) => part / 255).map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const ratio = (element) => {
    const ink = light(getComputedStyle(element).color);
    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
  };
  return [paper, Math.min(...[...document.querySelectorAll('h1, p, a, dt, dd, td, th, figcaption')].map(ratio))];
})()"""


@contextmanager
def viewed(page: Page, width: int, scheme: str) -> Iterator[None]:
    """The page on a screen of this width, by a reader who wants this colour scheme."""
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    yield
    page.call("Emulation.setEmulatedMedia", features=[])
    page.call("Emulation.setDeviceMetricsOverride", width=1280, height=900, deviceScaleFactor=1, mobile=False)


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_read_on_a_phone_and_in_the_dark(
    page: Page, made: tuple[Study, Store], tmp_path: Path, width: int, scheme: str
) -> None:
    with viewed(page, width, scheme):
        show(page, tmp_path, page_of(*made))
        page.run("document.querySelector('#run-table tbody tr:last-child').previousSibling.click()")
        assert page.run("document.querySelectorAll('#run-view svg').length") == 2
        assert page.run("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        assert page.run(SMALLEST_TEXT) >= 11
        paper, contrast = page.run(CONTRAST)
        assert (paper < 0.05) is (scheme == "dark")
        assert contrast >= 4.5
        # names of rows keep whole words beside their numbers
        assert page.run("document.querySelector('#table-1 tbody th').getBoundingClientRect().width") > 60
        assert page.problems == []
        assert [url.split(":")[0] for url in page.requests] == ["file"]


@needs_browser
def test_the_chart_fits_after_the_window_has_changed(page: Page, made: tuple[Study, Store], tmp_path: Path) -> None:
    show(page, tmp_path, page_of(*made))
    with viewed(page, 390, "light"):
        page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.run("document.querySelector('#chart svg').getBoundingClientRect().right") <= 390
        assert page.run(SMALLEST_TEXT) >= 11


@needs_browser
def test_landmarks_tables_and_images_have_names(page: Page, made: tuple[Study, Store], tmp_path: Path) -> None:
    show(page, tmp_path, page_of(*made))
    page.run("document.querySelector('#run-table tbody tr').click()")
    for mark in ("header", "nav", "main", "footer"):
        assert page.run(f"document.querySelectorAll({mark!r}).length") == 1, mark
    assert page.run("document.body.firstElementChild.getAttribute('href')") == "#main"
    page.run("document.body.firstElementChild.focus()")
    assert page.run("document.activeElement.getBoundingClientRect().left") >= 0
    unnamed = {
        "tables": "[...document.querySelectorAll('table')].filter(table => !table.caption)",
        "headings": "[...document.querySelectorAll('th')].filter(cell => !cell.scope)",
        "images": "[...document.querySelectorAll('svg')]"
        ".filter(svg => !svg.ariaHidden && !(svg.getAttribute('role') === 'img' && svg.ariaLabel))",
        "controls": "[...document.querySelectorAll('select, input')].filter(control => !control.labels.length)",
        "sections": "[...document.querySelectorAll('section')]"
        ".filter(part => !document.getElementById(part.getAttribute('aria-labelledby')))",
    }
    for what, found in unnamed.items():
        assert page.run(f"{found}.length") == 0, what


@needs_browser
def test_spread_is_a_band_of_few_rows_and_bars_of_many(page: Page, tmp_path: Path) -> None:
    methods = ["global_mp", "snip", "random", "layerwise_mp", "grasp", "synflow"]
    text = STUDY.replace("[global_mp, snip, random]", str(methods).replace("'", ""))
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.9 + 0.01 * run.seed)
    show(page, tmp_path, page_of(study, store))
    count = "document.querySelectorAll('#chart {}').length"
    assert (page.run(count.format("polygon")), page.run(count.format("line.bar"))) == (0, 12)
    page.run("document.querySelector('#chart .legend').click()")
    assert page.run("document.querySelector('#chart .legend').ariaPressed") == "false"
    assert (page.run(count.format("polygon")), page.run(count.format("line.bar"))) == (5, 0)
    choose(page, "spread", "none", "change")
    assert page.run(count.format("polygon")) == 0
    assert page.problems == []


@needs_browser
def test_a_row_without_a_target_stands_at_what_it_reached(page: Page, tmp_path: Path) -> None:
    """It had a name and a place on the axis, and no point."""
    study = write_study(tmp_path, STUDY + "  - method: dense_longer\n")
    store = Store(tmp_path / "results")
    fill(store, study, lambda run: 0.9)
    show(page, tmp_path, page_of(study, store))
    row = "document.querySelector('#chart g[data-label=\"Dense, longer\"]')"
    assert page.run(f"{row}.querySelectorAll('circle').length") == len(study.file.seeds)
    other = "document.querySelector('#chart g[data-label=\"Global MP\"] circle')"
    assert page.run(f"+{row}.querySelector('circle').getAttribute('cx') < +{other}.getAttribute('cx')")
    assert page.problems == []


@needs_browser
def test_colours_are_those_of_the_figures(page: Page, made: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = made
    show(page, tmp_path, page_of(study, store))
    look = looks(study_frame(study, store))
    for label in ("Global MP", "SNIP", "Random"):
        line = f"document.querySelector('#chart g[data-label=\"{label}\"] polyline')"
        shown = page.run(f"getComputedStyle({line}).stroke")
        red, green, blue = (int(part) for part in re.findall(r"\d+", shown))
        assert f"#{red:02x}{green:02x}{blue:02x}" == look[label].color.lower()


@needs_browser
def test_of_many_rows_the_best_are_shown_at_first(page: Page, tmp_path: Path) -> None:
    text = STUDY.split("runs:")[0] + (
        "runs:\n  - {method: global_mp, sparsity: [90%, 95%], grid: {minimum_threshold: "
        f"{[round(0.01 * i, 2) for i in range(1, 41)]}}}}}\n"
    )
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.5 + 0.01 * dict(run.method_options)["minimum_threshold"] * 100)
    show(page, tmp_path, page_of(study, store))
    assert page.run("document.querySelectorAll('#chart .legend').length") == 40
    assert page.run("document.querySelectorAll('#chart polyline').length") == 2
    page.run("[...document.querySelectorAll('#chart button')].find(b => b.textContent === 'Show all').click()")
    assert page.run("document.querySelectorAll('#chart polyline').length") == 40
