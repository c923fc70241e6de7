"""Bits per byte: fewer are better, perplexity is two to their power, and only texts have them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.plots.kinds import figures, standard_kinds
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from prunebench.benchmark.tables.kinds import make_table, render
from prunebench.benchmark.tables.table import Table, TableRow
from synthetic_results import store_failure, store_result, write_study

STUDY = """\
name: words
dataset: python-text
model: byte-transformer
seeds: [0, 1, 2]
train: {epochs: 2, batch_size: 50, lr: 0.1}
finetune: {epochs: 1}
runs:
  - method: dense
  - method: [global_mp, wanda, random, snip]
    sparsity: [50%, 80%]
"""
BITS = {"dense": 2.0, "global_mp": 2.5, "wanda": 2.25, "random": 2.26, "snip": 4.0}
FACTS = {"num_symbols": 256, "text": "Python 3.11.7"}


def write(folder: Path, bits: dict[str, float] = BITS) -> tuple[Study, Store]:
    """Seeds are 0.03 bits apart, alike for all; SNIP is not stored at 80 %."""
    study, store = write_study(folder, STUDY), Store(folder / "results")
    for run in study.runs:
        if (run.method, run.sparsity) != ("snip", 0.8):
            loss = math.log(2) * (bits[run.method] + 0.03 * run.seed + 0.002 * (run.method == "random") * run.seed)
            losses = {"before": 5.0, "pruned": 4.0, "last": loss, "selected": loss + math.log(2)}
            data = {"fingerprint": "f", "train": 1000, "validation": 100, "test": 500, "facts": FACTS}
            store_result(store, study.name, run, 0.4, loss=losses, data=data)
    return study, store


def row(table: Table, label: str, block: str = "Bits per byte") -> TableRow:
    return next(row for row in table.rows if row.label == label and row.block == block)


def test_fewer_bits_are_better(tmp_path: Path) -> None:
    study, store = write(tmp_path)
    table = make_table("bits", study, store)
    cells = {label: row(table, label).cells[0] for label in ("Dense", "Global MP", "Wanda", "Random", "SNIP")}
    assert {label: cell.number for label, cell in cells.items()} == {
        "Dense": "2.030", "Global MP": "2.530", "Wanda": "2.280", "Random": "2.292", "SNIP": "4.030",
    }  # fmt: skip
    assert [cell.mark for cell in cells.values()] == ["", "", "best", "second", ""]
    # 0.01, 0.012 and 0.014 bits above the best in each pair of one seed; the others are more than 0.02 above
    assert [cell.is_indistinct for cell in cells.values()] == [None, False, None, False, False]
    assert cells["Wanda"].rounded_spread == "0.030"
    assert "more than 0.02 bits above the best" in table.marks


def test_rows_that_seeds_do_not_tell_apart_have_the_sign(tmp_path: Path) -> None:
    study, store = write(tmp_path)
    for run in study.runs:
        if run.method == "random":
            shift = (0.0, 0.03, 0.0)[run.seed]
            loss = math.log(2) * (2.25 + 0.03 * run.seed + shift)
            losses = {"before": 5.0, "pruned": 4.0, "last": loss, "selected": loss}
            data = {"fingerprint": "f", "train": 1000, "validation": 100, "test": 500, "facts": FACTS}
            store_result(store, study.name, run, 0.4, loss=losses, data=data)
    cell = row(make_table("bits", study, store), "Random").cells[0]
    assert (cell.number, cell.mark, cell.is_indistinct) == ("2.290", "second", True)


def test_perplexity_is_the_mean_of_each_seeds_power(tmp_path: Path) -> None:
    study, store = write(tmp_path)
    cell = row(make_table("bits", study, store), "Wanda", "Perplexity per byte").cells[1]
    assert cell.value == pytest.approx((2**2.25 + 2**2.28 + 2**2.31) / 3)
    assert cell.mark == ""
    assert not cell.notes
    text = render(make_table("bits", study, store), "csv")
    assert "\nwords,Wanda,50,bits per byte,2.28,0.03,3,3,best,,,\n" in text
    assert "\nwords,Wanda,,own epochs,1,,,,,,,\n" in text


def test_the_epoch_that_validation_picks(tmp_path: Path) -> None:
    study, store = write(tmp_path)
    assert row(make_table("bits", study, store, accuracy="selected"), "Wanda").cells[0].number == "3.280"
    with pytest.raises(UserError, match="--accuracy best_test has no bits per byte; known for --kind bits: last, sel"):
        make_table("bits", study, store, accuracy="best_test")


def test_a_failed_run_counts_with_the_bits_of_guessing(tmp_path: Path) -> None:
    study, store = write(tmp_path)
    missing: list[Run] = [run for run in study.runs if (run.method, run.sparsity) == ("snip", 0.8)]
    for run in missing:
        store_failure(store, study.name, run, "it raised")
    table = make_table("bits", study, store)
    assert row(table, "SNIP").cells[1].number == "8.000"
    assert row(table, "SNIP", "Perplexity per byte").cells[1].number == "256.000"
    assert "A failed run counts with 8 bits, those of guessing." in table.caption


def test_more_bits_than_guessing_are_a_collapse(tmp_path: Path) -> None:
    study, store = write(tmp_path, {**BITS, "snip": 8.0})
    cell = row(make_table("bits", study, store), "SNIP").cells[0]
    assert [note.symbol for note in cell.notes] == ["§"]
    study, store = write(tmp_path, {**BITS, "snip": 7.9})
    assert not row(make_table("bits", study, store), "SNIP").cells[0].notes


def test_without_dense_rows_the_starts_are_shown(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    study = write_study(tmp_path / "bare", STUDY.replace("  - method: dense\n", ""))
    store = write(tmp_path)[1]
    frame = study_frame(study, store)
    table = make_table("bits", study, store, frame=frame)
    assert row(table, "Dense").cells[0].number == f"{5.0 / math.log(2):.3f}"


def test_images_have_no_bits(tmp_path: Path) -> None:
    study = write_study(tmp_path)
    for made in (lambda: make_table("bits", study, Store(tmp_path)), lambda: figures("bits", [study], Store(tmp_path))):
        with pytest.raises(UserError, match="--kind bits is of texts; the data of study 'small' are 'digits'"):
            made()
    assert "bits" not in standard_kinds(study)


def test_the_figure_shows_bits_upwards(tmp_path: Path) -> None:
    study, store = write(tmp_path)
    assert standard_kinds(study)[0] == "bits"
    (figure,) = figures("bits", [study], store).values()
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["Wanda"].get_ydata()) == pytest.approx([2.28, 2.28])
    assert lines["Dense"].get_ydata()[0] == pytest.approx(2.03)
    # of bits from 2.03 to 4.03 those up to 2.53 are shown, with a margin, and SNIP's are an arrow at the edge
    assert axes.get_ylim() == pytest.approx((2.0, 2.56))
    assert "shown up to 2.56, arrows" in " ".join(text.get_text().replace("\n", " ") for text in figure.texts)
    arrows = [line for line in axes.lines if line.get_marker() == 6]
    assert [list(line.get_ydata()) for line in arrows] == [pytest.approx([2.56])]
