"""Labels of any text in every kind of figure: each is shown literally."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from drawing import all_legends, legend_names
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.plots.kinds import KINDS, figures, save_figure
from prunebench.benchmark.plots.ranks import critical_figure
from prunebench.benchmark.plots.style import shorten
from prunebench.benchmark.plots.text import MAX_LABEL, legend_text, plain, wrapped
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from synthetic_results import STUDY, fill, write_study

LABELS = {
    "_private method": "_private method",
    "_": "_",
    "$x_1$ and $\\frac{a$": "$x_1$ and $\\frac{a$",
    "costs $5": "costs $5",
    "50% \\ {a}^b #1 ~& <b>": "50% \\ {a}^b #1 ~& <b>",
    "\x1b[31mred": "\\x1b[31mred",
    "方法": "\\u65b9\\u6cd5",
    "W" * 300: "W" * 13,
}
"""Labels and how they are shown; the longest one is shortened."""


def accuracy(run: Run) -> float:
    return (
        0.9 + 0.001 * run.seed if run.method == "dense" else 0.5 + 0.4 * dict(run.method_options).get("every", 0) / 50
    )


def with_labels(folder: Path, labels: list[str], head: str = "") -> tuple[Study, Store]:
    text = STUDY[: STUDY.index("  - method: [global_mp")] + head
    for index, label in enumerate(labels):
        options = f"options: {{schedule: cubic, every: {index + 1}}}"
        text += f"  - {{method: global_mp, sparsity: [90%, 95%], label: {json.dumps(label)}, {options}}}\n"
    study, store = write_study(folder, text), Store(folder / "results")
    fill(store, study, accuracy)
    return study, store


def draw(kind: str, study: Study, store: Store) -> Any:
    if kind != "critical":
        return next(iter(figures(kind, [study], store).values()))
    frame = study_frame(study, store)
    return critical_figure(pd.concat([frame.assign(dataset=f"d{i}") for i in range(15)], ignore_index=True))


def texts(figure: Any) -> list[str]:
    """The texts that are drawn, one a line."""
    from matplotlib.text import Text

    return [text.get_text().replace("\n", " ") for text in figure.findobj(Text) if text.get_text()]


@pytest.fixture
def no_mathematics(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.mathtext import MathTextParser

    def refuse(self: object, text: str, *_: object) -> None:
        raise AssertionError(f"read as mathematics: {text}")

    monkeypatch.setattr(MathTextParser, "parse", refuse)


@pytest.mark.usefixtures("no_mathematics")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in ("published", "regimes", "latency", "tuning", "bits")]
)
def test_every_label_is_shown_as_it_is_written(tmp_path: Path, kind: str) -> None:
    study, store = with_labels(tmp_path, list(LABELS))
    figure = draw(kind, study, store)
    save_figure(figure, tmp_path / kind)
    shown = legend_names(figure)
    if kind in ("layers", "ranks", "critical"):
        assert not shown
        shown = texts(figure)
    for label, text in LABELS.items():
        assert any(entry.strip().startswith(text) or text in entry for entry in shown), (label, shown)
    if legends := all_legends(figure):
        # dense training and the front have entries too, those of gradual rows have a second one for their sparsity
        assert len(shown) - len(LABELS) == {"accuracy": 1, "pareto": 2, "training": 0}[kind]
        assert sum(len(legend.legend_handles) for legend in legends) == len(shown)


@pytest.mark.usefixtures("no_mathematics")
@pytest.mark.filterwarnings("error")
def test_labels_beside_printed_numbers_are_shown_as_they_are_written(tmp_path: Path) -> None:
    text = STUDY.replace("dataset: digits", "dataset: cifar10").replace("convnet-small", "wrn-28-8")
    text = text[: text.index("  - method: [global")] + "".join(
        f"  - {{method: {method}, sparsity: [90%], label: {json.dumps(label)}}}\n"
        for method, label in {"global_mp": "_private method", "snip": "$x_1$ and $\\frac{a$"}.items()
    )
    study, store = write_study(tmp_path, text + "published: 2\n"), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.9)
    figure = draw("published", study, store)
    save_figure(figure, tmp_path / "published")
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert {"_private method", "$x_1$ and $\\frac{a$"} <= set(names)


@pytest.mark.parametrize("count", [1, 5, 13, 40])
@pytest.mark.filterwarnings("error")
def test_no_legend_loses_an_entry_at_any_size(tmp_path: Path, count: int) -> None:
    study, store = with_labels(tmp_path, [f"_method ${index}$" for index in range(count)])
    names = [f"_method ${index}$" for index in range(count)]
    for kind in ("accuracy", "pareto", "training"):
        assert [text for text in legend_names(draw(kind, study, store)) if text.startswith("_")] == names
    layers = draw("layers", study, store)
    rows = [tick.get_text() for tick in layers.axes[0].get_yticklabels()] if count > 5 else legend_names(layers)
    assert rows == names


def test_long_labels_keep_both_ends_in_few_lines() -> None:
    long = "begin " + "word " * 100 + "end"
    lines = wrapped(long).split("\n")
    assert len(lines) <= 4
    assert all(len(line) <= MAX_LABEL for line in lines)
    assert lines[0].startswith("begin")
    assert lines[-1].endswith("end")
    assert len(wrapped("Global MP (every=29, minimum_threshold=0.29, $a_b$)", num_lines=2).split("\n")) == 2
    assert len(wrapped(long, 10, num_lines=1)) <= 10
    assert legend_text("short") == wrapped("short") == plain("short") == shorten("short") == "short"
    assert len(shorten(long)) == MAX_LABEL
