"""The sentence on a row and its controls, for each way that the numbers can fall; differences worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prunebench.benchmark.analysis.against_controls import controls_sentence
from prunebench.benchmark.analysis.study_results import read_results
from prunebench.benchmark.runs.run import Run
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from synthetic_results import STUDY, fill, write_study

CONTROLS = """\
  - {method: random_init, sparsity: [90%, 95%], label: ERK, options: {scope: erk}}
  - {method: small_dense, sparsity: [90%, 95%]}
  - method: dense_longer
controls: {of: global_mp, require: [random_erk, small_dense, dense_longer]}
"""
TEXT = STUDY + CONTROLS
EQUAL = {"dense": 0.98, "global_mp": 0.90, "random_init": 0.90, "small_dense": 0.90, "dense_longer": 0.90}


def told(folder: Path, accuracy: Callable[[Run], float | None], text: str = TEXT) -> str:
    study, store = write_study(folder, text), Store(folder / "results")
    fill(store, study, accuracy)
    return controls_sentence(read_results(study, store))


def levels(**changed: float) -> Callable[[Run], float]:
    """Equal at every seed but for a common shift of 0.2 points, so that all differences are exact."""
    return lambda run: (EQUAL | changed).get(run.method, 0.5) + 0.002 * run.seed


def test_one_that_beats_all(tmp_path: Path) -> None:
    """One step is 0.2 points, so that three equal differences have a deviation of 0.1: t * 0.1 / sqrt(3) = 0.248."""
    found = told(tmp_path, levels(global_mp=0.96, dense_longer=0.93))
    assert found == (
        "Global MP beats its controls: all 3 at 90 % and 95 %, the nearest (“Dense, longer”, at 90 %) by 3.00 points "
        "(95 % interval 2.75 to 3.25, 3 pairs)."
    )


def test_one_that_beats_some(tmp_path: Path) -> None:
    def accuracy(run: Run) -> float:
        if run.method == "small_dense" and run.sparsity == 0.95:
            return 0.98 + 0.002 * run.seed
        return levels(global_mp=0.96, dense_longer=0.93)(run)

    assert told(tmp_path, accuracy) == (
        "Global MP beats its controls in part: all 3 at 90 %, the nearest (“Dense, longer”) by 3.00 points (95 % "
        "interval 2.75 to 3.25, 3 pairs); at 95 % it beats 2 of 3 and loses to Small dense (−2.00 points, 95 % "
        "interval −2.25 to −1.75, 3 pairs)."
    )


def test_one_that_loses_to_all(tmp_path: Path) -> None:
    assert told(tmp_path, levels(global_mp=0.8, dense_longer=0.93)) == (
        "Global MP does not beat its controls: at 90 % it loses to “Dense, longer” (−13.00 points, 95 % interval "
        "−13.25 to −12.75, 3 pairs), ERK and Small dense; at 95 % it loses to “Dense, longer” (−13.00 points, 95 % "
        "interval −13.25 to −12.75, 3 pairs), ERK and Small dense."
    )


def test_one_that_cannot_be_told(tmp_path: Path) -> None:
    """Differences to ERK at 95 %: 2, 4, 6 points: t = 4 / (2 / sqrt 3) = 3.46 < 4.30, the interval -0.97 to 8.97. At
    90 %: 4, 5, 6.5: mean 5.17, deviation 1.26, interval 2.04 to 8.29, p = 0.019, of two sparsities 0.038: beaten."""
    erk = {0.9: (0.86, 0.85, 0.835), 0.95: (0.88, 0.86, 0.84)}

    def accuracy(run: Run) -> float:
        if run.method == "random_init":
            return erk[run.sparsity][run.seed]
        return {"global_mp": 0.90}.get(run.method, 0.5)

    assert told(tmp_path, accuracy) == (
        "Global MP beats its controls in part: all 3 at 90 %, the nearest (ERK) by 5.17 points (95 % interval 2.04 to "
        "8.29, 3 pairs); at 95 % it beats 2 of 3 and cannot be told from ERK (4.00 points, 95 % interval −0.97 to "
        "8.97, 3 pairs)."
    )


def test_a_difference_that_the_correction_leaves_open_is_told_as_such(tmp_path: Path) -> None:
    """3, 5, 7 points against ERK: t = 5 / (2 / sqrt 3) = 4.33, p = 0.0494, of two sparsities 0.099."""
    erk = (0.87, 0.85, 0.83)
    levels = {"global_mp": 0.9, "dense": 0.5, "small_dense": 0.5, "dense_longer": 0.5}
    found = told(tmp_path, lambda run: erk[run.seed] if run.method == "random_init" else levels.get(run.method, 0.4))
    assert found.startswith("Global MP is not shown to beat its controls: at 90 % it beats 2 of 3 and cannot be told ")
    assert found.count("cannot be told from ERK (5.00 points, 95 % interval 0.03 to 9.97, 3 pairs)") == 2
    assert found.endswith("; the tests are corrected for the number of sparsities, the intervals are not.")


def test_partial_results(tmp_path: Path) -> None:
    def accuracy(run: Run) -> float | None:
        if run.method == "small_dense" or (run.method == "random_init" and run.seed == 2):
            return None
        return levels(global_mp=0.96, dense_longer=0.93)(run)

    found = told(tmp_path, accuracy)
    assert found.startswith(
        "Global MP is not shown to beat its controls: at 90 % it beats 1 of 3, has too few pairs of runs with ERK ("
        "6.00 points, 95 % interval "
    )
    assert ", 2 pairs) and has no pair of runs with Small dense; at 95 % it " in found


@pytest.mark.parametrize(
    ("seeds", "end"),
    [
        ("[0]", "there is at most 1 pair of runs, and it takes 3; the smallest difference is 3.00 points, to "
         "“Dense, longer” at 90 %."),
        ("[0, 1]", "there are at most 2 pairs of runs, and it takes 3; the smallest difference is 3.00 points, to "
         "“Dense, longer” at 90 %."),
    ],
)  # fmt: skip
def test_few_seeds(seeds: str, end: str, tmp_path: Path) -> None:
    text = TEXT.replace("seeds: [0, 1, 2]", f"seeds: {seeds}")
    found = told(tmp_path, levels(global_mp=0.96, dense_longer=0.93), text)
    assert found == f"Whether Global MP beats its controls cannot be told yet: {end}"


def test_nothing_stored(tmp_path: Path) -> None:
    assert told(tmp_path, lambda run: 0.9 if run.method == "snip" else None) == (
        "Whether Global MP beats its controls cannot be told yet: no pair of runs is stored."
    )


def test_no_sentence_without_controls(tmp_path: Path) -> None:
    assert told(tmp_path, levels(), STUDY) == ""
    write_study(tmp_path, TEXT)
    part = load_study(str(tmp_path / "study.yaml"), only=["method=snip"])
    assert controls_sentence(read_results(part, Store(tmp_path / "results"))) == ""
