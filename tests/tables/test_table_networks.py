"""Captions name the networks of a table: each number of weights with the parameters of its own network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.tables.caption import prunable_sentence
from prunebench.benchmark.tables.layers import layers_table
from prunebench.benchmark.tables.multiply_adds import macs_table
from prunebench.benchmark.tables.networks import counts_phrase, outside_phrase
from synthetic_results import fill, write_study


def frame(*rows: tuple[str, int | None, int | None], **columns: Any) -> pd.DataFrame:
    """Rows of (label, prunable, parameters) of new results, with other columns as given."""
    made = pd.DataFrame(rows, columns=["label", "prunable", "parameters"])
    return made.assign(**{"model": "convnet-small", "dataset": "digits", "outside": "{}", **columns})


WIDE = [("Dense", 33040, 33338), ("Global MP", 33040, 33338), ("SNIP", 33040, 33338)]
NARROW = ("narrow", 2212, 2294)


def test_a_layer_of_several_networks_has_the_range_of_its_weights() -> None:
    columns = ["label", "method", "target", "index", "layer", "total", "kept", "density"]
    wide, narrow = ("wide", "snip", 0.5, 0, "stem", 144, 72, 0.5), ("narrow", "snip", 0.5, 0, "stem", 36, 18, 0.5)
    columns_of_runs = {
        "study": "s",
        "method": "snip",
        "state": "done",
        "target": 0.5,
        "reason": "",
        "fault": None,
        "seed": 0,
        "retrain_seed": 0,
    }
    runs = frame(*WIDE, NARROW, **columns_of_runs, code=None, outdated=None, data=None, changed_since_submission=None)
    for layers, size in (([wide, narrow], "36 to 144"), ([wide], "144")):
        table = layers_table(pd.DataFrame(layers, columns=columns), runs)
        first = table.rows[0].cells[0]
        assert (first.text or first.number) == size


def test_one_network() -> None:
    assert counts_phrase(frame(*WIDE, ("missing", None, None))) == "33,040 of 33,338 parameters"
    assert counts_phrase(frame(("missing", None, None))) == ""


def test_several_networks_are_told_apart_by_label() -> None:
    expected = "narrow: 2,212 of 2,294 parameters; the others: 33,040 of 33,338 parameters"
    assert counts_phrase(frame(*WIDE, NARROW)) == expected
    assert counts_phrase(frame(NARROW, *WIDE)) == expected
    assert counts_phrase(frame(NARROW, WIDE[0])) == (
        "narrow: 2,212 of 2,294 parameters; Dense: 33,040 of 33,338 parameters"
    )


def test_or_by_model_or_data_set() -> None:
    models = frame(*WIDE, ("Dense", 266200, 266610), model=[*["convnet-small"] * 3, "lenet-300-100"])
    assert counts_phrase(models) == (
        "convnet-small: 33,040 of 33,338 parameters; lenet-300-100: 266,200 of 266,610 parameters"
    )
    data = frame(*WIDE, ("Dense", 33328, 33626), dataset=[*["digits"] * 3, "cifar10"])
    assert counts_phrase(data) == "digits: 33,040 of 33,338 parameters; cifar10: 33,328 of 33,626 parameters"


def test_a_range_where_names_do_not_tell_them_apart_or_there_are_many() -> None:
    mixed = frame(*WIDE, ("Global MP", 2212, 2294))
    assert counts_phrase(mixed) == "from 2,212 of 2,294 parameters to 33,040 of 33,338 parameters, 2 networks"
    many = frame(*WIDE, *((f"width {width}", 10 * width, 11 * width) for width in (1, 2, 3)))
    assert counts_phrase(many) == "from 10 of 11 parameters to 33,040 of 33,338 parameters, 4 networks"


def test_old_results_of_smaller_networks_lend_their_parameters_to_no_other() -> None:
    """Old results of a network that a method built have its parameters, and the weights of the original one."""
    old = frame(*WIDE, ("Small dense", 33040, 3400), outside=None)
    assert counts_phrase(old) == "33,040 of 33,338 parameters"
    assert counts_phrase(old.iloc[3:]) == "33,040 weights"


@pytest.mark.parametrize(("rows", "counts"), [(WIDE, " (33,040 of 33,338 parameters)"), ([("x", None, None)], "")])
def test_the_sentence(rows: list[tuple[str, int | None, int | None]], counts: str) -> None:
    assert prunable_sentence(frame(*rows)) == (
        "Sparsity counts the weights of all convolution, linear, recurrent and attention layers, first and last "
        f"included{counts}; biases and normalisation stay dense."
    )


def test_what_is_outside_the_count_is_named() -> None:
    outside = [json.dumps({"Embedding.weight": 400}), json.dumps({"Embedding.weight": 800, "ViT.position": 64}), None]
    made = frame(*WIDE, outside=outside)
    assert outside_phrase(made) == "Embedding.weight 800, ViT.position 64"
    assert prunable_sentence(made).endswith(
        "stay dense, and so do the parameters outside the count: Embedding.weight 800, ViT.position 64."
    )


def test_the_dense_row_of_multiply_adds_is_that_of_the_dense_network_or_the_range_of_several(tmp_path: Path) -> None:
    study, store = write_study(tmp_path), Store(tmp_path / "results")
    fill(store, study, lambda run: 0.9)
    made = study_frame(study, store)
    # a row of another network comes first, as where a study lists its narrow network before the usual one
    of_dense = made["method"] == "dense"
    made = pd.concat([made[~of_dense].assign(macs_dense=500), made[of_dense]])
    (dense,) = [row for row in macs_table(made).rows if row.is_reference and row.block.startswith("Multiply-adds left")]
    assert {(cell.value, cell.text) for cell in dense.cells} == {(23.2, "")}
    made = pd.concat([made, made[made["method"] == "dense"].assign(macs_dense=4_640)])
    (dense,) = [row for row in macs_table(made).rows if row.is_reference and row.block.startswith("Multiply-adds left")]
    assert {(cell.value, cell.text) for cell in dense.cells} == {(None, "4.64 to 23.20")}
