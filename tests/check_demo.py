"""After `make demo`: check that the results are what a pruning benchmark must find. Exits 1 with the reason if not."""

from __future__ import annotations

import sys
from pathlib import Path

from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study


def main() -> None:
    frame = study_frame(load_study("demo"), Store(Path("results")))
    if set(frame["state"]) != {"done"}:
        sys.exit(f"not all runs are done: {frame['state'].value_counts().to_dict()}")
    means = frame.groupby(["label", "target"])["accuracy_last"].mean().unstack(0)
    num_seeds = int(frame.groupby(["label", "target"]).size().to_numpy().min())
    if len(means.columns) < 6 or len(means.index) < 6 or num_seeds < 3:
        sys.exit(f"the table is too small: {means.shape}")
    for target in (0.9, 0.95, 0.98):
        if not means.loc[target, "Global MP"] > means.loc[target, "Random"]:
            sys.exit(f"Global MP does not beat random pruning at {target:.0%}: {means.loc[target].to_dict()}")
    # At 99 % plain Global MP empties layers and cannot learn: there its minimum threshold has to beat random pruning.
    top = means.loc[0.99]
    if not top["Global MP + MT 0.1%"] > top["Random"]:
        sys.exit(f"Global MP with the minimum threshold does not beat random pruning at 99 %: {top.to_dict()}")
    if not (top["Global MP"] < 0.2 and top["Global MP + MT 0.1%"] > top["Global MP"] + 0.2):
        sys.exit(f"layer collapse at 99 % and its repair do not show: {top.to_dict()}")
    print("demo: the curves separate, Global MP collapses at 99 % and the minimum threshold repairs it")


if __name__ == "__main__":
    main()
