"""Cells and regimes of a three-regime study, and what its rules choose, with numbers from the published figure."""

from __future__ import annotations

import pytest
from prunebench.benchmark.analysis.connectivity import Thresholds
from prunebench.benchmark.analysis.regime_cells import RegimeCell, RegimeMap, SeedCell
from prunebench.benchmark.analysis.regime_choices import (
    RULES,
    Candidates,
    Choice,
    by_dense,
    by_retraining,
    candidates,
    connected_then_alike,
    outcome,
    walk,
)

EPOCHS = [10, 60, 70, 80, 90, 160]
ERRORS = [15.7, 14.6, 14.8, 14.7, 15.9, 17.4]
LMC = [-0.10, -0.13, -0.19, -0.26, -0.51, -0.66]
CKA = [0.911, 0.914, 0.908, 0.910, 0.893, 0.882]
"""Of density 5 % in the figure of PreResNet-20 on CIFAR-10."""


def cell(error: float, lmc: float, cka: float | None, train_error: float = 0.05, **others: float) -> SeedCell:
    values = {"validation_error": error, "dense_validation_error": 0.08, "dense_epochs": 100, **others}
    return SeedCell(
        test_error=error, train_error=train_error, lmc=lmc, barrier=abs(lmc), cka=cka, retrain_epochs=160,
        num_retrainings=2, weights_left=0.05, **values,
    )  # fmt: skip


def column(**changes: list[float]) -> Candidates:
    """The column of density 5 %, hot first, with the default last."""
    others = [{key: values[index] for key, values in changes.items()} for index in range(len(EPOCHS))]
    cells = [cell(error / 100, lmc, cka, dense_epochs=epochs, **other) for error, lmc, cka, epochs, other in
             zip(ERRORS, LMC, CKA, EPOCHS, others, strict=True)]  # fmt: skip
    return Candidates(tuple(cells), default=5, half=3, num_classes=10, thresholds=Thresholds())


def regime_map(cells: dict[tuple[float, float], RegimeCell], values: list[float]) -> RegimeMap:
    densities = sorted({density for _, density in cells})
    return RegimeMap("epochs", values, densities, cells, values[-1], 10, Thresholds())


def test_the_normalised_error_is_above_the_best_of_the_density() -> None:
    cells = {(value, 0.05): RegimeCell({0: cell(error, 0, 1)}) for value, error in ((1, 17.4), (2, 14.6), (3, 15.7))}
    found = regime_map(cells, [1, 2, 3])
    assert [found.normalised_error(value, 0.05) for value in (1, 2, 3)] == pytest.approx([2.8, 0, 1.1])


def test_a_cell_is_the_mean_of_its_seeds() -> None:
    found = RegimeCell({0: cell(0.1, -0.2, 0.9), 1: cell(0.3, 0.0, None)})
    assert (found.mean("test_error"), found.mean("lmc"), found.mean("cka")) == pytest.approx((0.2, -0.1, 0.9))


def test_regimes_by_the_studys_thresholds_others_and_the_rule_of_the_density() -> None:
    cells = {
        (epochs, 0.05): RegimeCell({0: cell(error / 100, lmc, cka)})
        for epochs, error, lmc, cka in zip(EPOCHS, ERRORS, LMC, CKA, strict=True)
    }
    found = regime_map(cells, list(EPOCHS))

    def labels(*thresholds: Thresholds) -> list[str]:
        return [found.regime(epochs, 0.05, *thresholds) for epochs in EPOCHS]

    assert labels() == ["II-A", "II-A", "I", "I", "I", "I"]
    assert labels(Thresholds(tau=0.3, cka=0.91)) == ["II-B", "II-B", "II-A", "II-B", "I", "I"]
    # a third of the deepest barrier is 0.22
    assert [found.relative_regime(epochs, 0.05) for epochs in EPOCHS] == ["II-A", "II-A", "II-A", "I", "I", "I"]


def test_networks_that_collapsed_have_no_regime() -> None:
    found = regime_map({(1, 0.05): RegimeCell({0: cell(0.8, 0, 0.999, train_error=0.64)})}, [1])
    assert found.regime(1, 0.05) == "failed"


def test_the_walk_goes_hotter_until_retrainings_are_connected() -> None:
    choice = walk(column())
    assert EPOCHS[choice.index or 0] == 60
    assert choice.retrained == {1, 2, 3, 4, 5}
    told = outcome(column(), choice)
    assert (told.regret, told.is_best) == (0, True)
    # five dense trainings, ten retrainings, and of each pair 11 points of two passes forward
    assert told.epochs == pytest.approx(60 + 70 + 80 + 90 + 160 + 10 * 160 + 5 * 22 / 3)


def test_the_walk_goes_colder_where_retrainings_are_connected_and_differ() -> None:
    cells = tuple(cell(0.1, lmc, cka) for lmc, cka in ((0, 0.95), (0, 0.96), (0, 0.97), (-0.4, 0.9)))
    found = Candidates(cells, default=0, half=0, num_classes=10, thresholds=Thresholds())
    choice = walk(found)
    assert (choice.index, choice.retrained) == (2, {0, 1, 2, 3})
    alike = Candidates(tuple(cell(0.1, 0, 0.995) for _ in range(3)), 1, 0, 10, Thresholds())
    assert walk(alike) == Choice(1, frozenset({1}), frozenset({1}), measures=True)


def test_models_are_ranked_by_connection_and_then_by_similarity() -> None:
    choice = connected_then_alike(column())
    # of 10 and 60 epochs, which are connected, the second has the higher CKA
    assert EPOCHS[choice.index or 0] == 60
    assert outcome(column(), choice).kendall == pytest.approx((12 - 3) / 15)
    failed = Candidates((cell(0.9, 0, 1.0, train_error=0.9), cell(0.2, -0.5, 0.8)), 0, 0, 10, Thresholds())
    assert connected_then_alike(failed).index == 1


def test_constant_rules_and_validation() -> None:
    found = column(dense_validation_error=[0.3, 0.2, 0.2, 0.2, 0.1, 0.08], validation_error=[0.1] * 6)
    regrets = {name: outcome(found, choice).regret for name, rule in RULES.items() if (choice := rule(found))}
    assert regrets["Always the default"] == pytest.approx(0.028)
    assert regrets["Always half of the default"] == pytest.approx(0.001)
    assert regrets["Oracle (uses test)"] == 0
    assert regrets["At random"] == pytest.approx(sum(ERRORS) / 600 - 0.146)
    dense, retrained = by_dense(found), by_retraining(found)
    assert dense is not None
    assert retrained is not None
    assert (dense.index, retrained.index) == (5, 0)
    # all dense trainings and one retraining; all retrainings as well
    assert outcome(found, dense).epochs == sum(EPOCHS) + 160
    assert outcome(found, retrained).epochs == sum(EPOCHS) + 12 * 160


def test_without_a_validation_split_rules_that_need_one_choose_nothing() -> None:
    cells = (SeedCell(0.1, None, 0.1, 0, 0, 1, None, 1, 1, 2, 0.5),)
    found = Candidates(cells, 0, 0, 10, Thresholds())
    assert by_dense(found) is None
    assert by_retraining(found) is None


def test_no_rule_but_the_oracle_looks_at_the_test_set() -> None:
    other = column(validation_error=[error / 100 for error in ERRORS])
    shuffled = Candidates(
        tuple(SeedCell(**{**vars(each), "test_error": 1 - each.test_error}) for each in other.cells),
        other.default, other.half, other.num_classes, other.thresholds,
    )  # fmt: skip
    for name, rule in RULES.items():
        assert (rule(other) == rule(shuffled)) == (name != "Oracle (uses test)")


def test_a_density_without_all_of_its_cells_has_no_candidates() -> None:
    cells = {(1, 0.05): RegimeCell({0: cell(0.1, 0, 1)}), (1, 0.1): RegimeCell({0: cell(0.1, 0, 1)}),
             (2, 0.1): RegimeCell({0: cell(0.2, 0, 1)})}  # fmt: skip
    found = regime_map(cells, [1, 2])
    assert candidates(found, 0.05) == {}
    assert len(candidates(found, 0.1)[0].cells) == 2
    assert found.num_missing == 1
