"""The HTML report: what it contains, and that no name can break it."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from pages import EVIL, accuracy, page_of
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.report.template import embed_json
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study, load_study
from synthetic_latency import store_latency
from synthetic_results import STUDY, fill, store_failure, write_study


def data_of(text: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


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
    assert points[0.9] == [94.2, 0.2, 0.4968, 3]
    # the third failed, and counts with the tenth of guessing: (94.0 + 94.2 + 10) / 3
    assert (points[0.95][0], points[0.95][3]) == (pytest.approx(66.0667), 3)
    failed = next(run for run in data["runs"] if run["state"] == "failed")
    assert "accuracy_last" not in failed
    assert data["dense"]["last"] == [["Dense", pytest.approx(98.2)]]
    done = [run for run in data["runs"] if run["state"] == "done"]
    assert all(sum(run["kept"]) > 0 and len(run["history"]) == run["epochs"] for run in done)


@pytest.mark.parametrize("stored", [False, True])
def test_an_empty_or_dense_only_study_makes_a_page(tmp_path: Path, stored: bool) -> None:
    study, store = write_study(tmp_path), Store(tmp_path / "results")
    if stored:
        fill(store, study, lambda run: 0.98 if run.method == "dense" else None)
    text = page_of(study, store)
    assert f"{18 if stored else 21} missing" in text
    assert ("Nothing of this study is stored yet" in text) is not stored
    assert ('id="curves"' in text) is stored
    assert ("No pruned run is stored yet." in text) is stored
    for verb in ("prepare", "run", "report") if stored else ("plan", "prepare", "run", "report"):
        assert f"prunebench {verb} study.yaml" in text


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


def test_measured_latency_has_a_table(made: tuple[Study, Store]) -> None:
    study, store = made
    assert ">Latency<" not in page_of(study, store)
    store_latency(store, study.name, study.runs[0], {"dense": 2.0, "dense-onnx": 1.0})
    text = page_of(study, store)
    assert ">Latency<" in text
    assert "before pruning, ONNX Runtime" in text


def test_every_retraining_is_a_run_of_the_page(tmp_path: Path) -> None:
    """Tables and the chart average retrainings; a missing, failed or opened run is one of them."""
    text = STUDY.replace("seeds: [0, 1, 2]", "seeds: [0, 1, 2]\nretrain_seeds: [0, 1]")
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    failed = next(run for run in study.runs if (run.method, run.retrain_seed) == ("snip", 1))
    fill(store, study, lambda run: None if run is failed else accuracy(run))
    store_failure(store, study.name, failed, "Diverged: loss is nan")
    page = page_of(study, store)
    runs = data_of(page)["runs"]
    assert [run["id"] for run in runs if "id" in run] == [row.run.id for row in study.rows if row.run is not None]
    assert {run["retrain_seed"] for run in runs if run["method"] == "snip"} == {0, 1}
    assert f"<td>{failed.seed}, retraining 1</td>" in page
    assert f"{len(study.runs) - 1} done" in page
