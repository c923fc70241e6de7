"""The HTML report: what it holds, that names cannot break it, and that it works in a browser without a network."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from big_reports import RUNS_A_SEED, seconds_to_load, write_report
from browser import INSTALL, Page, browser, executable
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.report.page import Asked, embed_json, html_report
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from synthetic_results import STUDY, fill, store_failure, write_study

needs_browser = pytest.mark.skipif(executable() is None, reason=f"needs a browser: {INSTALL}")

EVIL = "</script><script>throw 1</script><img src=x onerror=alert(1)>"


def accuracy(run: Run) -> float:
    return {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}[run.method] + 0.002 * run.seed


def page_of(study: Study, store: Store) -> str:
    return html_report(study, store, Asked(study="study.yaml", assignments=["seeds=[0, 1]"]))


def data_of(text: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


@pytest.fixture
def made(tmp_path: Path) -> tuple[Study, Store]:
    """All runs of a small study but one that failed, and one row that is only listed."""
    text = STUDY + "  - {method: secret, label: Secret, sparsity: 90%, not_run: its code is not public}\n"
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, lambda run: None if (run.method, run.seed, run.sparsity) == ("snip", 2, 0.95) else accuracy(run))
    failed = next(r for r in study.runs if (r.method, r.seed, r.sparsity) == ("snip", 2, 0.95))
    store_failure(store, study.name, failed, f"Diverged: loss is nan {EVIL}")
    return study, store


def test_nothing_is_fetched_from_anywhere(made: tuple[Study, Store]) -> None:
    text = page_of(*made)
    outside = re.findall(r'(?:src|href)="(?!#|data:)[^"]*"|url\((?!#)|@import|<link(?! rel="icon")', text)
    assert outside == []
    assert "default-src 'none'" in text


def test_the_same_results_give_the_same_bytes(made: tuple[Study, Store]) -> None:
    assert page_of(*made) == page_of(*made)


def test_it_says_what_is_asked_how_it_was_done_and_how_to_do_it_again(made: tuple[Study, Store]) -> None:
    text = page_of(*made)
    for part in ("A small study", "Which is better?", "1,384 of 1,410 parameters", "20 done", "1 failed", "lr = 0.1",
                 "prunebench run study.yaml --set &#39;seeds=[0, 1]&#39;", "its code is not public", "A CPU",
                 "best TEST epoch", "Paired differences"):  # fmt: skip
        assert part in text, part


def test_failures_come_with_reason_and_log(made: tuple[Study, Store]) -> None:
    study, store = made
    text = page_of(study, store)
    failed = next(r for r in study.runs if store.folder(study.name, r).status().state == "failed")
    assert "Diverged: loss is nan &lt;/script&gt;" in text
    assert str(store.folder(study.name, failed).path) in text
    assert f"prunebench logs {failed.id}" in text


def test_the_embedded_data_cannot_end_its_script(made: tuple[Study, Store]) -> None:
    text = page_of(*made)
    assert EVIL not in text
    assert any(EVIL in run.get("reason", "") for run in data_of(text)["runs"])
    assert embed_json({"a": "</script>\u2028&"}) == '{"a":"\\u003c/script\\u003e\\u2028\\u0026"}'


def test_the_download_holds_every_stored_result(made: tuple[Study, Store]) -> None:
    study, store = made
    found = re.search(r'id="raw">([^<]*)<', page_of(study, store))
    assert found is not None
    content = json.loads(gzip.decompress(base64.b64decode(found.group(1))))
    stored = [store.folder(study.name, run).read_result() for run in study.runs]
    assert [result["id"] for result in content["results"]] == [result["id"] for result in stored if result]
    assert content["results"][0] == stored[0]


def test_curves_and_runs_are_those_of_the_frame(made: tuple[Study, Store]) -> None:
    study, store = made
    data, frame = data_of(page_of(study, store)), study_frame(study, store)
    assert len(data["runs"]) == len(frame)
    points = {point[0]: point[1:] for point in data["curves"]["last"]["SNIP"]}
    # 0.940, 0.942, 0.944: t(0.975, 2) * 0.2 / sqrt(3)
    assert points[0.9] == [94.2, 0.4968, 3]
    assert points[0.95][2] == 2
    assert data["dense"]["last"] == pytest.approx(98.2)
    done = [run for run in data["runs"] if run["state"] == "done"]
    assert all(sum(run["kept"]) > 0 and len(run["history"]) == run["epochs"] for run in done)


@pytest.mark.parametrize("stored", [False, True])
def test_an_empty_or_dense_only_study_makes_a_page(tmp_path: Path, stored: bool) -> None:
    study, store = write_study(tmp_path), Store(tmp_path / "results")
    if stored:
        fill(store, study, lambda run: 0.98 if run.method == "dense" else None)
    assert f"{18 if stored else 21} missing" in page_of(study, store)


def test_a_study_of_dense_trainings_alone_has_the_tables_that_fit(tmp_path: Path) -> None:
    write_study(tmp_path)
    study, store = load_study(str(tmp_path / "study.yaml"), [], ["method=dense"]), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.98)
    text = page_of(study, store)
    assert re.findall("<summary>([^<]*)</summary>", text)[:4] == [
        "Accuracy", "Multiply-adds", "Accuracy beside multiply-adds", "Cost"
    ]  # fmt: skip
    assert '<th scope="col">not pruned</th>' in text


def test_the_command_of_a_run_computes_it(made: tuple[Study, Store], tmp_path: Path) -> None:
    study, store = made
    data = data_of(page_of(study, store))
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(study.source.data), encoding="utf-8")
    runs = [run for run in data["runs"] if "id" in run]
    assert len(runs) == 21
    for run in runs:
        words = shlex.split(f"{data['command']} {run['only']}")
        assert words[:2] == ["prunebench", "run"]
        only = [value for option, value in itertools.pairwise(words) if option == "--only"]
        assert [again.id for again in load_study(str(path), only=only).runs] == [run["id"]]


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
    """16 times would be quadratic. Seconds are what `python tests/big_reports.py` prints."""
    few, many = write_report(tmp_path / "few", 5), write_report(tmp_path / "many", 20)
    seconds = seconds_to_load(page, [few, many], repeats=3)
    assert page.run("document.querySelectorAll('#run-table tbody tr').length") == 20 * RUNS_A_SEED
    assert seconds[1] < 8 * seconds[0]
    assert page.problems == []
