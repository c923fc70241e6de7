"""A knob of dense training crossed with densities: which runs that is, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.cost import estimate
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.benchmark.studies.pairs import pairs_of
from prunebench.benchmark.studies.plan import make_plan
from prunebench.benchmark.studies.regime_rows import default_value, hottest_first

STUDY = """\
name: regimes
dataset: cifar10
model: preresnet-20
seeds: [1, 2]
retrain_seeds: [1, 2, 3]
measure: [lmc, cka]
validation: 0
train: {epochs: 160, batch_size: 128, lr: 0.1, schedule: step, milestones: [80, 120]}
three_regime:
  knob: epochs
  values: [10, 80, 160]
  density: [5%, 40%]
  method: layerwise_mp
  options: {dense: [last]}
"""


def study(tmp_path: Path, *changes: tuple[str, str]) -> Study:
    text = STUDY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return load_study(str(path))


def knob(name: str, values: str) -> tuple[str, str]:
    return "knob: epochs\n  values: [10, 80, 160]", f"knob: {name}\n  values: {values}"


def dense_recipes(found: Study) -> dict[str, tuple[int, int, tuple[int, ...]]]:
    """Epochs, trained epochs and milestones of the dense training of each label."""
    recipes = {row.label: row.run.recipe for row in found.rows if row.run is not None and row.run.is_dense}
    return {label: (each.epochs, each.trained_epochs, each.milestones) for label, each in recipes.items()}


def test_every_value_has_a_dense_training_and_all_retrainings_of_each_density(tmp_path: Path) -> None:
    found = study(tmp_path)
    assert found.labels == ["Dense, epochs 10", "epochs 10", "Dense, epochs 80", "epochs 80", "Dense, epochs 160",
                            "epochs 160"]  # fmt: skip
    assert len(found.runs) == 3 * 2 + 3 * 2 * 2 * 3
    assert len(pairs_of(found.rows)) == 3 * 2 * 2 * 3
    assert {row.sparsity for row in found.rows} == {0.0, 0.95, 0.6}
    assert all(run.recipe.trained_epochs == 160 for run in found.runs if not run.is_dense)
    for pair in pairs_of(found.rows):
        first, second = pair.runs
        assert first.retrain_seed < second.retrain_seed
        assert (first.seed, first.parent, first.recipe) == (second.seed, second.parent, second.recipe)


def test_epochs_stop_one_schedule(tmp_path: Path) -> None:
    assert dense_recipes(study(tmp_path)) == {
        "Dense, epochs 10": (160, 10, (80, 120)),
        "Dense, epochs 80": (160, 80, (80, 120)),
        "Dense, epochs 160": (160, 160, (80, 120)),
    }


def test_the_whole_length_is_the_plain_dense_training(tmp_path: Path) -> None:
    found = study(tmp_path)
    block = "".join(STUDY.partition("three_regime:")[1:])
    plain = study(tmp_path, (block, "runs: [{method: layerwise_mp, sparsity: 95%, options: {dense: [last]}}]\n"))
    assert {run.id for run in plain.runs} <= {run.id for run in found.runs}


def test_rescaled_epochs_move_the_milestones(tmp_path: Path) -> None:
    found = study(tmp_path, knob("epochs-rescaled", "[3, 10, 160]"))
    # an epoch decays that begins at 0.5 or 0.75 of the training or later
    assert list(dense_recipes(found).values()) == [(3, 3, (2, 3)), (10, 10, (5, 8)), (160, 160, (80, 120))]


def test_batch_sizes_have_the_published_epochs(tmp_path: Path) -> None:
    found = study(tmp_path, knob("batch_size", "[16, 32, 64, 128, 256, 512]"))
    recipes = dense_recipes(found)
    assert [epochs for epochs, _, _ in recipes.values()] == [20, 40, 80, 160, 320, 644]
    assert recipes["Dense, batch size 16"][2] == (10, 15)
    assert {run.recipe.batch_size for run in found.runs if not run.is_dense} == {128}
    assert hottest_first(found.file.three_regime) == [16, 32, 64, 128, 256, 512]  # pyright: ignore[reportArgumentType]
    assert default_value(found.file) == 128


def test_learning_rates_are_hot_where_they_are_large(tmp_path: Path) -> None:
    found = study(tmp_path, knob("lr", "[0.05, 0.4, 0.1]"))
    rates = [run.recipe.lr for run in found.runs if run.is_dense and run.seed == 1]
    assert rates == [0.05, 0.4, 0.1]
    assert {run.recipe.lr for run in found.runs if not run.is_dense} == {0.1}
    assert hottest_first(found.file.three_regime) == [0.4, 0.1, 0.05]  # pyright: ignore[reportArgumentType]


def test_a_plan_counts_the_epochs_that_are_trained(tmp_path: Path) -> None:
    found, store = study(tmp_path), Store(tmp_path / "results")
    figures = estimate(found, make_plan(found.name, found.runs, store), store)
    assert figures.epochs == 2 * (10 + 80 + 160) + 36 * 160


def test_the_published_grid() -> None:
    found = load_study("three-regime")
    assert len(found.runs) == 3 * 16 + 3 * 16 * 9 * 3
    assert len(pairs_of(found.rows)) == 1296


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (knob("epoch", "[1]"), r":10: 'three_regime.knob' is 'epoch': input should be 'epochs', 'epochs-rescaled'"),
        (knob("epochs", "[10, 170]"), r":11: 170 epochs are more than the 160 of train.epochs"),
        (knob("epochs", "[10.5]"), r":11: epochs is 10.5; it must be a whole number of at least 1"),
        (knob("epochs", "[0]"), r":11: 'three_regime.values.0' is 0: input should be greater than 0"),
        (knob("epochs", "[10, 10]"), r"10 stands twice in values"),
        (knob("batch_size", "[60000]"), r":11: batch size 60000 is more than the 50000 training samples"),
        (("5%, 40%", "5%, 100%"), r":12: 'three_regime.density.1' is '100%': input should be less than 1"),
        (("layerwise_mp", "layerwise"), r":13: unknown method 'layerwise'; did you mean 'layerwise_mp'"),
        (("layerwise_mp\n  options: {dense: [last]}", "snip"), r":9: method 'snip' does not start from trained"),
        (("method: layerwise_mp", "method: dense"), r"method must prune"),
        (("dense: [last]", "dens: [last]"), r"unknown option of method 'layerwise_mp' 'dens'"),
        (("[lmc, cka]", "[lmc]"), r":9: three_regime needs measure: \[lmc, cka\]"),
        (("[lmc, cka]", "[lmc, cca]"), r":6: 'measure.1' is 'cca': input should be 'lmc' or 'cka'"),
        (("[1, 2, 3]", "[1]"), r":6: measure compares retrainings, and retrain_seeds is \[1\]; give two or more"),
        (("[1, 2, 3]", "[1, 1]"), r":5: retrain_seeds is \[1, 1\]; each may stand there once"),
        (("epochs: 160, ", "epochs: 160, stop_epoch: 5, "), r":8: stop_epoch has no effect beside three_regime"),
        (("validation: 0", "runs: [{method: dense}]"), r"a study has either runs or three_regime"),
        (("validation: 0", "override: {lr: 1}\nvalidation: 0"), None),
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused_in_one_line(
    tmp_path: Path, change: tuple[str, str], message: str | None
) -> None:
    if message is None:
        assert study(tmp_path, change)
        return
    with pytest.raises(UserError, match=message) as caught:
        study(tmp_path, change)
    assert "\n" not in str(caught.value)


def test_a_replaced_key_cannot_be_the_knob(tmp_path: Path) -> None:
    changes = (knob("lr", "[0.1]"), ("validation: 0", "override: {lr: 1}\nvalidation: 0"))
    with pytest.raises(UserError, match=r"override.lr would replace what the knob lr changes"):
        study(tmp_path, *changes)


ANY = """\
name: any
dataset: digits
model: convnet-small
train: {epochs: 2}
retrain_seeds: [0, 5]
measure: cka
seeds: [0]
runs:
  - method: dense
  - {method: [global_mp, snip], sparsity: 90%}
"""


def test_any_study_may_retrain_and_measure(tmp_path: Path) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(ANY, encoding="utf-8")
    found = load_study(str(path))
    assert [(row.method, row.retrain_seed) for row in found.rows] == [
        ("dense", 0), ("global_mp", 0), ("global_mp", 5), ("snip", 0), ("snip", 5)
    ]  # fmt: skip
    assert [pair.first.method for pair in pairs_of(found.rows)] == ["global_mp", "snip"]
    assert len(load_study(str(path), only=["retrain_seed=5"]).rows) == 2


def test_dense_rows_alone_have_no_pairs(tmp_path: Path) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(ANY.replace("  - {method: [global_mp, snip], sparsity: 90%}\n", ""), encoding="utf-8")
    with pytest.raises(UserError, match=r"any.yaml:6: measure needs rows other than dense ones"):
        load_study(str(path))


def test_a_dense_training_may_stop_early(tmp_path: Path) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(ANY.replace("epochs: 2}", "epochs: 2, stop_epoch: 1}"), encoding="utf-8")
    found = load_study(str(path))
    assert {(run.method, run.recipe.trained_epochs) for run in found.runs} == {
        ("dense", 1), ("global_mp", 2), ("snip", 2)
    }  # fmt: skip
    path.write_text(ANY.replace("epochs: 2}", "epochs: 2, stop_epoch: 3}"), encoding="utf-8")
    with pytest.raises(UserError, match="stop_epoch = 3 is more than epochs = 2"):
        load_study(str(path))
