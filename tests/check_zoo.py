"""After `make zoo`: every method must have a result at its requested sparsity, and beat chance and random pruning.

Exits 1 with the reason if not. With one seed at one sparsity small differences mean nothing, so none are checked.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.api.masks import num_kept
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.methods.registry import describe, method_names

SEED, SPARSITY = 0, 0.95
ONLY = (f"seed={SEED}", f"sparsity=0,{SPARSITY}")
WITHOUT_PLACE = dict.fromkeys(("global_mp_columns", "random_columns"), "prunes low-rank cells")
BETTER_THAN_RANDOM = (
    "Global MP",
    "Layerwise MP",
    "LAMP",
    "WoodFisher",
    "SNIP",
    "GMP",
    "Global MP (gradual)",
    "RigL + ERK",
    "GraNet",
    "SRigL",
)
COLLAPSES = {"Magnitude at init"}
"""Its threshold lies between the initial scales of the layers: two layers are emptied, and nothing is learned."""
CHANCE = 0.1


def main() -> None:
    study = load_study("zoo", only=ONLY)
    store = Store(Path("results"))
    frame = study_frame(study, store)
    if set(frame["state"]) != {"done"}:
        sys.exit(f"not all runs are done: {frame['state'].value_counts().to_dict()}")
    absent = set(method_names()) - set(frame["method"]) - set(WITHOUT_PLACE)
    if absent:
        sys.exit(f"not in the study: {', '.join(sorted(absent))}")
    for run in study.runs:
        result = store.folder(study.name, run).read_result()
        assert result is not None
        check_sparsity(run.method, run.sparsity, result)
    check_accuracy(dict(zip(frame["label"], frame["accuracy_last"], strict=True)))
    print(f"zoo: {len(frame)} rows at {SPARSITY:.0%}, sparsities exact, better than random where they should be")


def check_sparsity(method: str, sparsity: float, result: dict[str, Any]) -> None:
    """Counted again from the layers, because the sparsity does not count those left dense."""
    if sparsity == 0 or not describe(method).reaches_target:
        return
    dense = result["sparsity"]["layers_left_dense"]
    layers = [layer for layer in result["layers"] if layer["name"] not in dense]
    kept, wanted = sum(layer["kept"] for layer in layers), num_kept(sum(layer["total"] for layer in layers), sparsity)
    if kept != wanted:
        sys.exit(f"{method} keeps {kept} weights at {sparsity:.0%}, not {wanted}")


def check_accuracy(accuracy: dict[str, float]) -> None:
    at_chance = {label for label, value in accuracy.items() if value < 2 * CHANCE}
    if at_chance != COLLAPSES:
        sys.exit(f"at chance are {sorted(at_chance)}, not {sorted(COLLAPSES)}")
    for label in BETTER_THAN_RANDOM:
        if not accuracy[label] > accuracy["Random"]:
            sys.exit(f"{label} ({accuracy[label]:.1%}) does not beat random pruning ({accuracy['Random']:.1%})")


if __name__ == "__main__":
    main()
