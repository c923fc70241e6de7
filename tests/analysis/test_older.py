"""Tables and figures of results of different code or data: marked, set aside, and named in the caption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.exchange.compare_folders import compare_folders
from prunebench.benchmark.plots.kinds import figures
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.run_code import CodeReader
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.tables.formats.to_latex import to_latex
from prunebench.benchmark.tables.formats.to_markdown import to_markdown
from prunebench.benchmark.tables.kinds import make_table
from prunebench.benchmark.tables.table import symbols
from synthetic_results import OF_ANY_STUDY, STUDY, store_result, write_study


def accuracy(run: Run) -> float:
    return {"dense": 0.98, "global_mp": 0.96, "snip": 0.94, "random": 0.80}[run.method] + 0.002 * run.seed


class Place:
    """A study whose results all record their code: the present code, unless a test changes it."""

    def __init__(self, folder: Path) -> None:
        self.study: Study = write_study(folder, STUDY.replace("[90%, 95%]", "[90%]"))
        self.store, self.reader = Store(folder / "results"), CodeReader()
        for run in self.study.runs:
            self.put(run)

    def put(
        self,
        run: Run,
        data: str = "f" * 64,
        value: float | None = None,
        changed_since_submission: bool | None = None,
        **code: Any,
    ) -> None:
        found = accuracy(run) if value is None else value
        known = None if code.get("scheme", 1) is None else {**self.reader.read(run), **code}
        store_result(
            self.store, self.study.name, run, found, provenance__code=known, data__fingerprint=data,
            provenance__changed_since_submission=changed_since_submission,
        )  # fmt: skip

    def runs(self, method: str) -> list[Run]:
        return [run for run in self.study.runs if run.method == method]

    def cell(self, row: str, kind: str = "accuracy") -> Any:
        table = make_table(kind, self.study, self.store)
        return next(one.cells[0] for one in table.rows if one.label == row)

    def caption(self, kind: str = "accuracy") -> str:
        return " ".join(make_table(kind, self.study, self.store).caption)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_captions_do_not_mention_results_of_the_present_code(place: Place) -> None:
    for kind in OF_ANY_STUDY:
        text = to_markdown(make_table(kind, place.study, place.store))
        assert not any(words in text for words in ("older", "left out", "different data")), kind


def test_a_row_of_older_code_is_marked_and_not_compared(place: Place) -> None:
    assert place.cell("Global MP").mark == "best"
    for run in place.runs("global_mp"):
        place.put(run, method="older")
    cell = place.cell("Global MP")
    assert (cell.value, symbols(cell), cell.mark) == (pytest.approx(96.2), "⊖", "")
    assert place.cell("SNIP").notes == ()
    for kind in OF_ANY_STUDY:
        assert "3 results are of older code or weights than the present: Global MP (code of the method)." in (
            place.caption(kind)
        ), kind
    assert r"$\ominus$" in to_latex(make_table("accuracy", place.study, place.store))


def test_older_results_are_not_averaged_with_newer_ones(place: Place) -> None:
    place.put(place.runs("snip")[0], value=0.5, method="older")
    cell = place.cell("SNIP")
    assert (cell.value, cell.count, symbols(cell)) == (pytest.approx(94.3), 2, "⊘")
    for kind in OF_ANY_STUDY:
        assert "1 result is left out: of older code or weights than others of the same cell." in place.caption(kind)
    frame = study_frame(place.study, place.store)
    assert frame["outdated"].dropna().tolist() == ["method"]
    assert set(frame["state"]) == {"done"}, "an export has them all"


def test_results_of_two_older_codes_give_no_number(place: Place) -> None:
    first, second, third = place.runs("snip")
    for run, code in ((first, "a"), (second, "b"), (third, "b")):
        place.put(run, method=code)
    cell = place.cell("SNIP")
    assert (cell.value, cell.text, symbols(cell)) == (None, "set aside", "⊘")


def test_the_dense_row_is_marked_where_its_network_is_another(place: Place) -> None:
    for run in place.runs("dense"):
        place.put(run, network="older")
    assert symbols(place.cell("Dense")) == "⊖"
    assert symbols(place.cell("Global MP")) == "⊖", "it starts from the dense training"
    assert symbols(place.cell("SNIP")) == "", "it starts from initialisation"


def test_jobs_whose_code_had_changed_are_marked_and_compared(place: Place) -> None:
    for run in place.runs("global_mp")[:2]:
        place.put(run, changed_since_submission=True)
    cell = place.cell("Global MP")
    assert (symbols(cell), cell.mark) == ("⊕", "best")
    assert [note.detail for note in cell.notes] == ["Global MP at 90 %: 2 of 3"]
    for kind in OF_ANY_STUDY:
        assert "2 results are of jobs whose code had changed since they were submitted." in place.caption(kind), kind
    assert r"$\oplus$" in to_latex(make_table("accuracy", place.study, place.store))


def test_other_data_are_left_out_and_named(place: Place) -> None:
    for run in place.runs("random"):
        place.put(run, data="e" * 64)
    place.put(place.runs("snip")[0], data="d" * 64)
    assert (place.cell("Random").text, place.cell("SNIP").count) == ("set aside", 2)
    for kind in OF_ANY_STUDY:
        caption = place.caption(kind)
        assert "only those of ffffffffffff are shown" in caption, kind
        assert "4 results are left out (1 of dddddddddddd, 3 of eeeeeeeeeeee)" in caption, kind
    assert sorted(study_frame(place.study, place.store)["data"].unique()) == ["d" * 64, "e" * 64, "f" * 64]


def test_unrecorded_code_is_mentioned_only_beside_recorded_code(place: Place) -> None:
    place.put(place.runs("snip")[0], scheme=None)
    cell = place.cell("SNIP")
    assert (cell.count, cell.notes) == (3, ())
    assert "1 result is averaged with others without knowing the code: it is not recorded." in place.caption()
    for run in place.study.runs:
        place.put(run, scheme=None)
    assert "recorded" not in place.caption()


def test_training_curves_are_means_without_results_that_are_set_aside(place: Place) -> None:
    def curve() -> list[float]:
        panel: Any = figures("training", [place.study], place.store)[place.study.name, "training"].axes[0]
        return [float(value) for line in panel.lines for value in line.get_ydata()]

    place.put(place.runs("snip")[0], value=0.5)
    mixed = curve()
    place.put(place.runs("snip")[0], value=0.5, method="0" * 16)
    assert sum(curve()) > sum(mixed)


def test_a_figure_has_the_sentences_of_the_caption_below(place: Place) -> None:
    def below(kind: str) -> str:
        figure = figures(kind, [place.study], place.store)[place.study.name, kind]
        return " ".join(text.get_text() for text in figure.texts if text is not figure._suptitle)

    assert below("accuracy") == ""
    place.put(place.runs("snip")[0], method="older")
    for kind in ("accuracy", "pareto", "layers", "ranks"):
        assert "1 result is left out" in below(kind), kind


def test_compare_names_code_that_differs(place: Place, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    other = Place(tmp_path / "b")
    for run in other.runs("snip"):
        other.put(run, method="0123456789abcdef")
    other.put(other.runs("random")[0], scheme=None)
    found = compare_folders(place.store.root, other.store.root)
    assert [(name, second, count) for name, _, second, count in found.provenance] == [
        ("code of method snip", "0123456789ab", 3)
    ]
