"""What a sentence may use of committed results: the vocabulary of the expressions that `sentences.py` evaluates.

Everything is read from results/reference/STUDY: `runs.csv`, and `runs/`, the records, for epochs and layers. A row is
named by its label and, where the study has several, its sparsity in percent; a row of another study by `of("STUDY",
...)`. Accuracies are percent of the test set, one number for each seed.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from committed import Unanswered, frame_of, mean, pairs_of, record_of, std
from prunebench.benchmark.analysis.export import read_export
from prunebench.benchmark.analysis.frame_type import Frame
from prunebench.benchmark.analysis.paired import differs as interval_excludes_zero
from prunebench.benchmark.analysis.paired import resolution, seed_differences
from prunebench.benchmark.analysis.retrainings import mean_retrainings

ROOT = Path(__file__).resolve().parent.parent
PRINTED = ROOT / "results" / "published" / "published_fastgrnn.csv"
COLUMNS = {"last": "accuracy_last", "selected": "accuracy_selected", "best_test": "accuracy_best_test"}
NO_MASK = ("dense", "dense_longer")
ASKED = (
    "of", "last", "selected", "best_test", "column", "gap", "pairs", "differs", "better", "worse", "between", "rank",
    "num_rows", "num_better", "num_worse", "best", "falls", "deepest_fall", "emptied", "num_runs", "num_missing",
    "hours", "devices", "versions", "printed", "diverged_seeds",
)  # fmt: skip
"""The methods of Evidence that an expression may call."""

BUILTINS: tuple[Any, ...] = (abs, all, any, int, len, max, min, range, round, sum, zip)


@dataclass(frozen=True)
class Row:
    """One row at one sparsity (None: the only one it has) of a study."""

    study: str
    label: str
    sparsity: float | None = None


@cache
def rows_of(reference: Path, row: Row) -> Frame:
    """The done runs of a row, by seed; of retrainings their mean.

    Raises Unanswered for none, and for several sparsities where none is named.
    """
    frame = mean_retrainings(frame_of(reference / row.study))
    found = frame[frame["label"] == row.label]
    if row.sparsity is not None and len(found) and not set(found["method"]) <= set(NO_MASK):
        found = found[(found["target"].astype(float) * 100 - row.sparsity).abs() < 1e-6]
    if found.empty:
        raise Unanswered(f"{row.study} has no done run of {row.label!r} at {row.sparsity}")
    if found["target"].nunique() > 1:
        raise Unanswered(f"{row.study}: {row.label!r} has several sparsities; name one")
    return found.sort_values("seed")


@cache
def differences_of(reference: Path, first: Row, second: Row, column: str) -> tuple[list[float], float]:
    """first - second over pairs, and half the smallest step of an accuracy."""
    one, other = rows_of(reference, first), rows_of(reference, second)
    step = resolution([float(value) for value in itertools.chain(one[column], other[column])])
    return seed_differences(one, other, column), step / 2


@dataclass(frozen=True)
class Evidence:
    """The committed folders, and the study that a bare label belongs to."""

    reference: Path
    study: str = ""

    def vocabulary(self) -> dict[str, Any]:
        """Every name that an expression may use."""
        own: dict[str, Callable[..., Any]] = {name: getattr(self, name) for name in ASKED}
        return {**own, "mean": mean, "std": std, **{each.__name__: each for each in BUILTINS}}

    # rows

    def of(self, study: str, label: str, sparsity: float | None = None) -> Row:
        """A row of a named study."""
        return Row(study, label, sparsity)

    def rows(self, row: str | Row | tuple[Any, ...], sparsity: float | None = None) -> Frame:
        """The done runs of a row, by seed."""
        return rows_of(self.reference, self._row(row, sparsity))

    def _row(self, row: str | Row | tuple[Any, ...], sparsity: float | None = None) -> Row:
        if isinstance(row, tuple):
            return self._row(*row)
        return Row(self.study, row, sparsity) if isinstance(row, str) else row

    def column(self, name: str, row: str | Row, sparsity: float | None = None) -> list[float]:
        """A column of the export, one value for each seed."""
        return [float(value) for value in self.rows(row, sparsity)[name]]

    def last(self, row: str | Row, sparsity: float | None = None) -> list[float]:
        """Test accuracies of the last epoch."""
        return self._accuracy("last", row, sparsity)

    def selected(self, row: str | Row, sparsity: float | None = None) -> list[float]:
        """Test accuracies of the epoch that validation chose."""
        return self._accuracy("selected", row, sparsity)

    def best_test(self, row: str | Row, sparsity: float | None = None) -> list[float]:
        """The best test accuracies over epochs: chosen on the test set."""
        return self._accuracy("best_test", row, sparsity)

    def _accuracy(self, protocol: str, row: str | Row, sparsity: float | None) -> list[float]:
        return [100 * value for value in self.column(COLUMNS[protocol], row, sparsity)]

    # comparisons, paired by seed and dense training as in the tables

    def _differences(self, first: Any, second: Any, protocol: str) -> tuple[list[float], float]:
        return differences_of(self.reference, self._row(first), self._row(second), COLUMNS[protocol])

    def pairs(self, first: Any, second: Any, protocol: str = "last") -> int:
        """Number of seeds that the two rows share."""
        return len(self._differences(first, second, protocol)[0])

    def gap(self, first: Any, second: Any, protocol: str = "last") -> float:
        """Mean of first - second over pairs, in points."""
        differences, _ = self._differences(first, second, protocol)
        if not differences:
            raise Unanswered(f"{first} and {second} have no pair of the same seed and dense training")
        return 100 * mean(differences)

    def differs(self, first: Any, second: Any, protocol: str = "last") -> bool:
        """Whether the 95 % t-interval of the paired differences excludes zero. Below three pairs nothing is known."""
        differences, smallest = self._differences(first, second, protocol)
        if len(differences) < 3:
            raise Unanswered(f"{first} and {second}: {len(differences)} pairs, a comparison needs 3")
        return interval_excludes_zero(differences, smallest)

    def better(self, first: Any, second: Any, protocol: str = "last") -> bool:
        """Differs, and has the higher mean."""
        return self.differs(first, second, protocol) and self.gap(first, second, protocol) > 0

    def worse(self, first: Any, second: Any, protocol: str = "last") -> bool:
        return self.better(second, first, protocol)

    # pairs of retrainings

    def between(self, name: str, row: str | Row, sparsity: float | None = None) -> list[float]:
        """A column of the pairs of retrainings (`lmc_symmetric`, `cka_softmax`, ...): the mean of each seed."""
        named = self._row(row, sparsity)
        found = pairs_of(self.reference / named.study)
        of_row = found[(found["label"] == named.label) & (found["state"] == "measured")]
        if named.sparsity is not None:
            of_row = of_row[(of_row["target"].astype(float) * 100 - named.sparsity).abs() < 1e-6]
        if of_row.empty:
            raise Unanswered(f"{named.study} has no measured pair of {named.label!r} at {named.sparsity}")
        return [float(value) for value in of_row.groupby("seed")[name].mean()]

    # places

    def _means(self, sparsity: float | None, study: str, protocol: str) -> list[tuple[float, str]]:
        frame = frame_of(self.reference / (study or self.study))
        pruned = frame[~frame["method"].isin(NO_MASK)]
        if sparsity is not None:
            pruned = pruned[(pruned["target"].astype(float) * 100 - sparsity).abs() < 1e-6]
        groups = pruned.groupby("label", sort=False)[COLUMNS[protocol]].mean()
        return sorted(((float(value), str(label)) for label, value in groups.items()), reverse=True)

    def rank(self, label: str, sparsity: float | None = None, study: str = "", protocol: str = "last") -> int:
        """Place by mean accuracy among the rows at that sparsity, dense ones left out; rows of one mean share it."""
        means = {name: value for value, name in self._means(sparsity, study, protocol)}
        if label not in means:
            raise Unanswered(f"{study or self.study} has no row {label!r} at {sparsity}")
        return 1 + sum(value > means[label] for value in means.values())

    def num_rows(self, sparsity: float | None = None, study: str = "") -> int:
        """Rows at that sparsity, dense ones left out."""
        return len(self._means(sparsity, study, "last"))

    def num_better(self, label: str, sparsity: float | None = None) -> int:
        """Rows at that sparsity that differ from this one and have a higher mean."""
        others = [name for _, name in self._means(sparsity, self.study, "last") if name != label]
        return sum(self.better((name, sparsity), (label, sparsity)) for name in others)

    def num_worse(self, label: str, sparsity: float | None = None) -> int:
        """Rows at that sparsity that differ from this one and have a lower mean."""
        others = [name for _, name in self._means(sparsity, self.study, "last") if name != label]
        return sum(self.worse((name, sparsity), (label, sparsity)) for name in others)

    def best(self, sparsity: float | None = None, study: str = "", protocol: str = "last") -> str:
        """Label of the row with the highest mean, dense ones left out."""
        return self._means(sparsity, study, protocol)[0][1]

    # epochs and layers

    def _histories(self, row: str | Row, sparsity: float | None) -> Iterator[list[float]]:
        study = row.study if isinstance(row, Row) else self.study
        for run in self.rows(row, sparsity)["id"]:
            yield [100 * epoch["test_accuracy"] for epoch in record_of(self.reference / study, str(run))[1]]

    def falls(self, points: float, row: str | Row, sparsity: float | None = None) -> list[int]:
        """For each seed, how many epochs end more than `points` below the epoch before, by test accuracy."""
        return [
            sum(before - after > points for before, after in itertools.pairwise(history))
            for history in self._histories(row, sparsity)
        ]

    def deepest_fall(self, row: str | Row, sparsity: float | None = None) -> float:
        """The largest loss of test accuracy from an epoch to the next, in points, over all seeds."""
        return max(b - a for history in self._histories(row, sparsity) for b, a in itertools.pairwise(history))

    def emptied(self, row: str | Row, sparsity: float | None = None) -> list[int]:
        """For each seed, how many layers have no weight left."""
        return [int(value) for value in self.rows(row, sparsity)["empty_layers"]]

    # provenance

    def num_runs(self, study: str = "") -> int:
        return len(frame_of(self.reference / (study or self.study)))

    def num_missing(self, study: str = "") -> int:
        """Runs of the study that are not computed."""
        whole = read_export(self.reference / (study or self.study) / "runs.csv")
        return int((~whole["state"].isin(("done", "not run"))).sum())

    def diverged_seeds(self, label: str, study: str = "") -> list[int]:
        """The seeds of a row whose training stopped because its loss was not finite."""
        whole = read_export(self.reference / (study or self.study) / "runs.csv")
        of_row = whole[(whole["label"] == label) & (whole["state"] == "failed")]
        return sorted(int(seed) for seed in of_row[of_row["reason"].str.startswith("Diverged")]["seed"])

    def hours(self, study: str = "") -> float:
        """Wall time of all runs added up, one core each."""
        return float(frame_of(self.reference / (study or self.study))["seconds"].sum()) / 3600

    def devices(self, study: str = "") -> str:
        return ", ".join(sorted(set(frame_of(self.reference / (study or self.study))["device"])))

    def versions(self, study: str = "") -> str:
        """Versions of Python and torch that computed the runs, from the records."""
        folder = self.reference / (study or self.study)
        found = {_versions(record_of(folder, path.stem)[0]) for path in sorted((folder / "runs").glob("*.json"))}
        return "; ".join(sorted(found))

    def printed(self, method: str, rank_w: int, rank_u: int) -> float:
        """Accuracy printed in table 6 of the paper, percent."""
        with PRINTED.open(encoding="utf-8") as file:
            for line in csv.DictReader(file):
                if (line["method"], line["rank_w"], line["rank_u"]) == (method, str(rank_w), str(rank_u)):
                    return float(line["top1_pct"])
        raise Unanswered(f"table 6 prints no {method} at ranks {rank_w}, {rank_u}")


def _versions(result: dict[str, Any]) -> str:
    provenance = result["provenance"]
    return f"Python {provenance['python']}, torch {provenance['packages']['torch']}"
