"""A study with every state of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import EVIL, accuracy
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import Study
from synthetic_results import STUDY, fill, store_failure, write_study


@pytest.fixture
def made(tmp_path: Path) -> tuple[Study, Store]:
    """All runs of a small study but one that failed, and one row that is only listed."""
    text = STUDY + "  - {method: secret, label: Secret, sparsity: 90%, not_run: its code is not public}\n"
    study, store = write_study(tmp_path, text), Store(tmp_path / "results")
    fill(store, study, lambda run: None if (run.method, run.seed, run.sparsity) == ("snip", 2, 0.95) else accuracy(run))
    failed = next(r for r in study.runs if (r.method, r.seed, r.sparsity) == ("snip", 2, 0.95))
    store_failure(store, study.name, failed, f"Diverged: loss is nan {EVIL}")
    return study, store
