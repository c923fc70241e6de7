"""Sentences about results are checked: right ones pass; wrong, unanswered and unmarked ones are reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prunebench.benchmark.analysis.export import export_bytes
from prunebench.benchmark.analysis.frame import COLUMNS

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def sentences(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(TOOLS))
    import sentences

    return sentences


@pytest.fixture
def evidence(sentences: Any, tmp_path: Path) -> Any:
    """A folder with three seeds of a dense row and of three pruned ones, and the epochs of one run."""
    from evidence import Evidence

    values = {
        ("Dense", 0.0): (0.80, 0.82, 0.84),
        ("Good", 0.9): (0.790, 0.811, 0.831),
        ("Same", 0.9): (0.789, 0.812, 0.830),
        ("Bad", 0.9): (0.60, 0.63, 0.66),
        ("Good", 0.95): (0.70, 0.72, 0.74),
    }
    rows = [
        dict.fromkeys(COLUMNS)
        | {"study": "own", "id": f"{label}-{target}-{seed}", "label": label, "target": target, "seed": seed}
        | {"method": "dense" if label == "Dense" else "snip", "state": "done", "accuracy_last": value}
        | {"accuracy_selected": value - 0.01, "accuracy_best_test": value + 0.01, "empty_layers": 0, "seconds": 1800.0}
        for (label, target), accuracies in values.items()
        for seed, value in enumerate(accuracies)
    ]
    rows.append(dict.fromkeys(COLUMNS) | {"study": "own", "id": "x", "label": "Good", "state": "missing"})
    diverged = {"label": "Bad", "seed": 3, "state": "failed", "reason": "Diverged: training loss is nan in epoch 0"}
    rows.append(dict.fromkeys(COLUMNS) | {"study": "own", "id": "y"} | diverged)
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "runs.csv").write_bytes(export_bytes(pd.DataFrame(rows, columns=list(COLUMNS)), "csv"))
    return Evidence(tmp_path, "own")


@pytest.mark.parametrize(
    "text",
    [
        '<!-- value: mean(last("Dense")) -->82.0<!-- /value -->',
        '<!-- value: std(last("Dense")) -->2.00<!-- /value -->',
        '<!-- value: mean(best_test("Good", 95)) -->73.0<!-- /value -->',
        '<!-- value: gap(("Good", 90), ("Dense",)) -->-0.93<!-- /value -->',
        '<!-- value: gap(("Dense",), ("Good", 90)) -->+0.93<!-- /value -->',
        '<!-- value: rank("Bad", 90) -->3<!-- /value --> of <!-- value: num_rows(90) -->3<!-- /value -->',
        '<!-- value: best(90) -->Good<!-- /value -->',
        '<!-- value: hours() -->7.5<!-- /value --> and <!-- value: num_missing() -->2<!-- /value --> missing',
        'Seed<!-- holds: diverged_seeds("Bad") == [3] and diverged_seeds("Good") == [] -->.',
        'x<!-- holds: better(("Good", 90), ("Bad", 90)) -->',
        'x<!-- holds: not differs(("Good", 90), ("Same", 90)) -->',
        'x<!-- holds: worse(of("own", "Bad", 90), of("own", "Good", 90)) -->',
        '<!-- study: own --><!-- value: len(last("Dense")) -->3<!-- /value -->',
        '<!-- value: num_better("Bad", 90) -->2<!-- /value --> <!-- value: num_worse("Good", 90) -->1<!-- /value -->',
        "1.5 <!-- evidence -->\n<!-- value: 1 -->1<!-- /value --> <!-- /evidence --> 2.5",
        "Without a mark 12.5 % is nobody's business, and 3 points neither.",
        '<!-- value: printed("global_mp", 9, 8) -->95.89<!-- /value --> in `a 1.5 b`, [x](1.5.md)\n| 2.5 |\n',
    ],
)  # fmt: skip
def test_what_the_results_say_passes(sentences: Any, evidence: Any, text: str) -> None:
    assert sentences.problems(text, evidence) == []
    assert sentences.written(text, evidence) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('\n<!-- value: mean(last("Dense")) -->82.1<!-- /value -->', "line 2: mean(last(\"Dense\")) is 82.0, not 82.1"),
        ('<!-- value: mean(last("Dense")) -->82.00 <!-- /value -->', "is 82.00, not 82.00 "),
        ('x<!-- holds: better(("Same", 90), ("Good", 90)) -->', "line 1: does not hold"),
        ('x<!-- holds: last("Dense") -->', "does not hold"),
        ('<!-- value: mean(last("Other")) -->1<!-- /value -->', "own has no done run of 'Other'"),
        ('<!-- value: mean(last("Good")) -->1<!-- /value -->', "'Good' has several sparsities; name one"),
        ('<!-- value: mean(last("Good", 80)) -->1<!-- /value -->', "own has no done run of 'Good' at 80"),
        ('<!-- study: absent --><!-- value: hours() -->1<!-- /value -->', "absent has no runs.csv"),
        ('<!-- value: falls(5, "Dense") -->1<!-- /value -->', "has no record of run Dense-0.0-0"),
        ('<!-- value: open("x") -->1<!-- /value -->', "name 'open' is not defined"),
        ('<!-- value: 1 -->1<!-- /value -->\nand 93.25 %', "line 2: '93.25' is not in a mark"),
        ("<!-- evidence -->\n<!-- value: 1 -->1<!-- /value --> 2.5 <!-- /evidence --> 3.5", "line 2: '2.5' is not"),
        ('<!-- value: 1 -->1<!-- /value --> by 3 points', "'3 points' is not in a mark"),
        ('<!-- value: 1 -->1<!-- /value --> in 7 of 9', "'7 of 9' is not in a mark"),
    ],
)  # fmt: skip
def test_what_they_do_not_say_is_named_with_its_line(sentences: Any, evidence: Any, text: str, problem: str) -> None:
    found = sentences.problems(text, evidence)
    assert len(found) == 1
    assert problem in found[0]


def test_write_puts_the_numbers_in(sentences: Any, evidence: Any) -> None:
    before = '<!-- value: mean(last("Dense")) -->?<!-- /value --> and <!-- value: rank("Good", 90) -->9<!-- /value -->'
    after = (
        '<!-- value: mean(last("Dense")) -->82.00<!-- /value --> and <!-- value: rank("Good", 90) -->1<!-- /value -->'
    )
    assert sentences.written(before, evidence) == after


def test_falls_are_counted_from_the_epochs(evidence: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    epochs = {"test_accuracy": [0.5, 0.8, 0.7, 0.9, 0.6, 0.59]}
    monkeypatch.setattr(
        "committed.read_record", lambda path: ({}, [{"test_accuracy": x} for x in epochs["test_accuracy"]])
    )
    (tmp_path / "own" / "runs").mkdir()
    for seed in range(3):
        (tmp_path / "own" / "runs" / f"Dense-0.0-{seed}.json").write_text(json.dumps({}), encoding="utf-8")
    assert evidence.falls(5, "Dense") == [2, 2, 2]  # 80 to 70 and 90 to 60
    assert evidence.deepest_fall("Dense") == pytest.approx(30)


def test_the_committed_sentences_hold(sentences: Any) -> None:
    from evidence import Evidence

    evidence = Evidence(sentences.REFERENCE)
    found = [
        f"{path.relative_to(sentences.ROOT)}: {problem}"
        for path in sentences.texts()
        for problem in sentences.problems(path.read_text(encoding="utf-8"), evidence)
    ]
    assert found == []
