"""The report in a browser: it needs no network, sorts, filters, and shows runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from big_reports import RUNS_A_SEED, seconds_to_load, write_report
from browser import INSTALL, Page, browser, executable
from pages import EVIL, accuracy, page_of
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
    visible = texts(page, "#run-table tbody tr:not([hidden]) td:first-child")
    assert visible == ["SNIP"] * 3
    assert texts(page, "#shown") == ["3 of 22"]
    choose(page, "filter", "diverged", "input")
    assert texts(page, "#shown") == ["1 of 22"]


@needs_browser
def test_a_run_is_shown_by_hover_and_opened_by_click(page: Page, made: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = made
    show(page, tmp_path, page_of(study, store))
    x, y = page.run(
        "(() => { const box = document.querySelector('#chart g[data-label=\"Random\"] circle').getBoundingClientRect();"
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
