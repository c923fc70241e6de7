"""The paper's printed rows: which are off the sparsity of their block, and which row of a study each belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from prunebench.benchmark.analysis.published import published_rows, published_tables, rows_for
from prunebench.benchmark.analysis.published_lines import stands_beside
from prunebench.benchmark.api.sites import find_sites
from prunebench.benchmark.models.registry import create_model
from prunebench.benchmark.studies.load import load_study, study_names
from prunebench.methods.parts.dense_layers import select
from prunebench.methods.registry import describe
from synthetic_results import PRINTED_STUDY as STUDY
from synthetic_results import write_study


def test_the_two_corrections_rest_on_these_numbers() -> None:
    resnet = {(r.method, r.variant): r.accuracy for r in published_rows(4) if r.block == "80 %"}
    assert resnet["str", ""] == 76.19 > resnet["global_mp", "gradual"] == 76.12
    mobile = {(r.method, r.variant): r.accuracy for r in published_rows(5) if r.block == "90 %"}
    assert mobile["gmp", ""] == 61.80 > mobile["str", ""] == 61.51 > mobile["global_mp", "one-shot"] == 59.49


def test_rows_far_from_their_block_are_known() -> None:
    off = {(r.table, r.method, r.sparsity) for t in published_tables() for r in published_rows(t) if r.is_off_block}
    assert off == {(4, "dpf", 0.826), (4, "str", 0.877), (5, "gmp", 0.7411), (5, "gmp", 0.8903)}


def test_every_printed_row_stands_beside_a_method_and_options_that_exist() -> None:
    for table in published_tables():
        for row in published_rows(table):
            if row.ours in ("", "dense"):
                # ranks of dense training are options of its network
                assert row.table == 6 or not row.condition
            else:
                assert {name for name, _ in row.condition} <= describe(row.ours).options.keys()


def test_every_study_that_names_a_table_is_of_its_network() -> None:
    named = [load_study(name) for name in study_names()]
    tables = {study.file.published for study in named if study.file.published and "smoke" not in study.name}
    assert tables == set(published_tables())
    for study in named:
        if study.file.published and "smoke" not in study.name:
            assert rows_for(study, "published")


@pytest.mark.parametrize("table", [2, 3, 4, 5, 6, 7, 8])
def test_the_suites_study_of_a_table_has_a_row_beside_every_row_of_global_mp(table: int) -> None:
    study = load_study(f"table{table}")
    for printed in published_rows(table):
        if printed.method == "global_mp":
            assert any(stands_beside(printed, row) for row in study.rows), printed


def test_rows_that_leave_layers_dense_remove_what_is_printed() -> None:
    """A study gives the sparsity of the layers it prunes; the printed sparsity follows from it and the network."""
    found = {}
    for table, shape in ((4, (3, 224, 224)), (5, (3, 224, 224))):
        study = load_study(f"table{table}")
        with torch.device("meta"):
            sites = find_sites(create_model(study.file.model.name, num_classes=1000, input_shape=shape))
        for printed in published_rows(table):
            if printed.pruned == printed.sparsity:
                continue
            (row,) = (row for row in study.rows if row.run and stands_beside(printed, row))
            options = dict(row.options)
            first = ["first"] if row.method == "dsr" else []  # its default distribution is first_dense
            pruned = select(sites, [*first, *options["dense"]])
            removed = row.sparsity * sum(site.weight.numel() for site in pruned)
            share = removed / sum(site.weight.numel() for site in sites)
            found[row.method, printed.sparsity] = round(100 * share, 2)
            assert printed.sparsity == pytest.approx(share, abs=0.005)
    assert found == {("dsr", 0.8): 80.2, ("dpf", 0.826): 82.77, ("gmp", 0.7411): 74.19, ("gmp", 0.8903): 89.03}


def test_str_is_the_model_whose_configuration_is_known_and_no_printed_one() -> None:
    for table, sparsity in ((4, 0.9023), (5, 0.8901)):
        (row,) = (row for row in load_study(f"table{table}").rows if row.method == "str" and row.run)
        assert row.sparsity == sparsity
        assert not any(stands_beside(printed, row) for printed in published_rows(table))


def test_dsr_trains_as_its_authors_do() -> None:
    (large,) = (row for row in load_study("table4").rows if row.method == "dsr" and row.run)
    assert dict(large.options) == {
        "dense": ("shortcut",), "every": 1000, "doublings": (0.25, 0.5, 0.75), "drop_fraction": 0.176,
        "final_drop_fraction": 0.176,
    }  # fmt: skip
    assert {row.options for row in load_study("table3").rows if row.method == "dsr"} == {(("dense", ("last",)),)}


def test_options_tell_the_variants_apart(tmp_path: Path) -> None:
    text = STUDY.replace("  - method: dense\n", "").replace("published: 2", "published: 4")
    text += "  - {method: global_mp, label: G, sparsity: 90%, options: {start: init, schedule: cubic}}\n"
    text += "  - {method: global_mp, label: M, sparsity: 90%, options: {minimum_threshold: 0.2}}\n"
    rows = {row.label: row for row in write_study(tmp_path, text).rows if row.sparsity == 0.9}
    beside = {
        label: {p.variant for p in published_rows(4) + published_rows(5) if stands_beside(p, row) and p.target == 0.9}
        for label, row in rows.items()
        if row.method == "global_mp"
    }
    assert beside == {"Global MP": {"one-shot"}, "G": {"gradual"}, "M": {"one-shot+mt"}}
