"""Equal budgets: the epochs that a row gets, worked by hand, and one line for what cannot fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.studies.budget import Line, ledger, ledger_lines
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.methods.listing.density import mean_density
from prunebench.methods.registry import describe
from synthetic_results import write_study

HEAD = """\
name: equal
dataset: digits
model: convnet-small
seeds: [0, 1]
train: {epochs: 10, batch_size: 50, lr: 0.1}
"""
ROWS = """\
runs:
  - method: dense
  - {method: global_mp, sparsity: [80%, 95%]}
  - {method: snip, sparsity: 90%}
  - {method: dense_longer}
"""


def study(folder: Path, budget: str, rows: str = ROWS) -> Study:
    return write_study(folder, f"{HEAD}budget: {budget}\n{rows}")


def lines(study: Study) -> dict[str, Line]:
    assert study.file.budget is not None
    return {f"{line.label} {line.sparsity:g}": line for line in ledger(study.file.budget, study.rows)}


def own(study: Study) -> dict[str, tuple[int, int]]:
    return {name: (line.dense, line.own) for name, line in lines(study).items()}


@pytest.mark.parametrize(("dense", "rest"), [("included", 6), ("excluded", 16)])
def test_a_row_after_dense_training_gets_the_rest_and_one_from_initialisation_all(
    dense: str, rest: int, tmp_path: Path
) -> None:
    made = study(tmp_path, f"{{unit: epochs, total: 16, dense: {dense}}}")
    assert own(made) == {
        "Dense 0": (0, 10),
        "Global MP 0.8": (10, rest),
        "Global MP 0.95": (10, rest),
        "SNIP 0.9": (0, 16),
        "Dense, longer 0": (0, 16),
    }
    assert {run.recipe.epochs for run in made.runs if run.method == "snip"} == {16}


def test_rounds_share_the_budget_and_what_is_left_is_less_than_an_epoch_of_each(tmp_path: Path) -> None:
    """Three rounds after the first one, from epoch 2: E + 3 (E - 2) = 4 E - 6, at most 16 for E = 5: 14, left 2."""
    rows = "runs: [{method: imp, sparsity: 90%, options: {prune_fraction: 0, prune_rounds: 3, rewind_epoch: 2}}]\n"
    made = study(tmp_path, "{unit: epochs, total: 16}", rows)
    (line,) = lines(made).values()
    assert (line.own, line.spent, line.left) == (14, 14, 2)
    assert made.runs[0].recipe.epochs == 5


def test_the_same_length_by_hand_is_the_same_run(tmp_path: Path) -> None:
    by_budget = study(tmp_path, "{unit: epochs, total: 16}")
    by_hand = write_study(tmp_path, f"{HEAD}finetune: {{epochs: 6}}\nscratch: {{epochs: 16}}\n{ROWS}")
    assert [run.id for run in by_budget.runs] == [run.id for run in by_hand.runs]


def test_multiply_adds_count_with_the_density_over_the_training(tmp_path: Path) -> None:
    """6.1 dense epochs are left after 10: 30 epochs at a fifth, 122 at a twentieth. SNIP: 16.1 at a tenth."""
    made = study(tmp_path, "{unit: macs, total: 16.1}")
    assert own(made) == {
        "Dense 0": (0, 10),
        "Global MP 0.8": (10, 30),
        "Global MP 0.95": (10, 122),
        "SNIP 0.9": (0, 161),
        "Dense, longer 0": (0, 16),
    }
    assert lines(made)["Global MP 0.8"].left == pytest.approx(0.1)


def test_the_lengths_of_equal_budget_follow_from_its_measured_shares(tmp_path: Path) -> None:
    """Its budget is 24, and its lengths are rounded to the nearest epoch; a budget rounds down."""
    rows = "runs:\n" + "".join(
        f"  - {{method: {method}, sparsity: {sparsity}, macs_share: {share}}}\n"
        for method, sparsity, share in (
            ("ac_dc", "90%", 0.714), ("rigl", "90%", 0.113), ("global_mp", "90%", 0.147), ("small_dense", "90%", 0.1)
        )
    )  # fmt: skip
    text = HEAD.replace("epochs: 10", "epochs: 15") + "budget: {unit: macs, total: 24}\n" + rows
    assert [line.own for line in lines(write_study(tmp_path, text)).values()] == [33, 212, 61, 240]
    by_hand = {(run.method, run.sparsity): run.recipe.epochs for run in load_study("equal-budget").runs}
    assert [by_hand[method, 0.9] for method in ("ac_dc", "rigl", "global_mp", "small_dense")] == [34, 212, 61, 240]


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("global_mp", {}, 0.1),
        ("synflow", {}, 0.1),
        ("rigl", {}, 0.1),
        ("shuffled", {}, 0.1),
        ("dense_longer", {}, 0.1),
        # dense to 0.2, a ramp to 0.8 with the mean 0.1 + 0.9 / 4, then a tenth
        ("global_mp", {"schedule": "cubic", "begin": 0.2, "end": 0.8}, 0.2 + 0.6 * 0.325 + 0.2 * 0.1),
        ("ac_dc", {}, None),
        ("str", {}, None),
        ("imp", {}, None),
        ("small_dense", {}, None),
        ("edge_popup", {}, None),
    ],
)
def test_densities_that_options_tell(method: str, options: dict[str, object], expected: float | None) -> None:
    if method == "dense_longer":
        assert mean_density(describe(method), 0.0, options) == 1
        return
    assert mean_density(describe(method), 0.9, options) == (None if expected is None else pytest.approx(expected))


def test_the_ramp_is_the_one_that_is_pruned_by() -> None:
    """The mean of `cubic` over a fine grid."""
    from prunebench.methods.parts.schedule import cubic

    begin, end = 0.1, 0.7
    steps = [(index + 0.5) / 10000 for index in range(10000)]
    dense = [1.0 if x < begin else 1 - cubic((x - begin) / (end - begin), 0.95, 0.3, 2.0) for x in steps]
    options = {"schedule": "cubic", "begin": begin, "end": end, "power": 2.0, "initial_sparsity": 0.3}
    found = mean_density(describe("gmp"), 0.95, options)
    assert found == pytest.approx(sum(dense) / len(dense), abs=1e-4)


@pytest.mark.parametrize(
    ("budget", "rows", "message"),
    [
        ("{unit: epochs, total: 10}", ROWS, "budget of 10 epochs, 0 after the dense training of 10: no whole epoch of"),
        ("{unit: epochs, total: 0}", ROWS, "'budget.total' is 0: input should be greater than 0"),
        ("{unit: steps, total: 9}", ROWS, "unit"),
        (
            "{unit: epochs, total: 3}",
            "runs: [{method: imp, sparsity: 90%, options: {prune_fraction: 0, rewind_epoch: 3}}]\n",
            "no whole epoch of imp fits (method 'imp': rewind_epoch is 3; it must be less than the recipe's 3 epochs)",
        ),
        ("{unit: macs, total: 16}", "runs: [{method: ac_dc, sparsity: 90%}]\n", "give its mean share of the dense"),
        ("{unit: epochs, total: 16}", f"{ROWS}finetune: {{epochs: 3}}\n", "finetune.epochs follows from the budget"),
        (
            "{unit: epochs, total: 16}",
            "runs: [{method: snip, sparsity: 90%, scratch: {epochs: 3}}]\n",
            "scratch.epochs follows from the budget",
        ),
        ("{unit: epochs, total: 16}", f"{ROWS}override: {{epochs: 1}}\n", "override.epochs would replace those"),
        (
            "{unit: epochs, total: 16}",
            "runs: [{method: snip, sparsity: 90%, macs_share: 0.1}]\n",
            "macs_share has no effect without budget: {unit: macs, ...}",
        ),
        (
            "{unit: epochs, total: 2}",
            "runs: [{method: snip, sparsity: 90%}]\nscratch: {warmup_epochs: 4}\n",
            "warmup_epochs = 4 is more than epochs = 2",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(budget: str, rows: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        study(tmp_path, budget, rows)
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_the_ledger_is_printed_by_row(tmp_path: Path) -> None:
    made = study(tmp_path, "{unit: macs, total: 16.1}")
    assert made.file.budget is not None
    told = ledger_lines(made.file.budget, ledger(made.file.budget, made.rows))
    assert told[0].startswith("budget         16.1 dense epochs' multiply-adds")
    assert told[2:] == [
        "  Global MP at 80%: 10 + 30 epochs, its own counted as 0.2 each: 16, left 0.1",
        "  Global MP at 95%: 10 + 122 epochs, its own counted as 0.05 each: 16.1, left 0",
        "  SNIP at 90%: 161 epochs, its own counted as 0.1 each: 16.1, left 0",
        "  Dense, longer: 16 epochs: 16, left 0.1",
    ]
