"""Measured latency as one tidy frame: a row for each run, machine, variant and size of batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ..api.errors import Damaged, UserError
from ..runs.latency_files import read_csr, read_latency, stored_paths
from ..runs.latency_variants import NOT_APPLICABLE, machine_text
from ..runs.store import Store
from ..studies.load import Row, Study
from .frame_type import Frame
from .older import SET_ASIDE
from .study_results import StudyResults

LATENCY_COLUMNS: dict[str, str] = {
    "label": "row of the tables",
    "method": "registered name",
    "target": "sparsity asked for",
    "seed": "seed of the run",
    "id": "run id",
    "machine": "device, processor, threads and versions in one line",
    "finished": "when it was measured, seconds since 1970",
    "variant": "how the outputs are computed; see `prunebench latency --help`",
    "batch": "inputs of a call",
    "p50": "median seconds of a call",
    "p95": "95th percentile of the seconds of a call",
    "dense_p50": "median seconds of the dense network by torch, timed in turns with it",
    "joules": "of one input, where the card has a counter",
    "file_bytes": "of the network's file, zeros stored",
    "packed_bytes": "with a bit for each weight and the values that are not zero",
    "peak_memory_bytes": "of the network and one call with the largest batch",
    "accuracy": "test accuracy where it is not that of the run",
}
"""Name and meaning of every column."""


def is_measured(found: StudyResults) -> bool:
    """Whether there is something to show."""
    return next(_stored(found), None) is not None


def latency_frame(found: StudyResults) -> Frame:
    """Columns as in LATENCY_COLUMNS, without runs that are set aside; damaged files are noted in the store.

    Raises UserError if nothing is measured.
    """
    records = [record for row, content in _stored(found) for record in _records(row, content)]
    if not records:
        name = found.study.name
        raise UserError(f"no latency of study {name!r} is measured here: `prunebench latency {name}` does it")
    return pd.DataFrame(records, columns=list(LATENCY_COLUMNS))


def left_out(found: StudyResults) -> dict[str, list[str]]:
    """The variants that measurements lack though such a network could have them, by reason."""
    missing: dict[str, dict[str, None]] = {}
    for _, content in _stored(found):
        for variant, reason in content["left_out"].items():
            if reason not in NOT_APPLICABLE:
                missing.setdefault(reason, {})[variant] = None
    return {reason: list(variants) for reason, variants in missing.items()}


def csr_by_machine(study: Study, store: Store) -> dict[str, Mapping[str, Any]]:
    """The measured products of each machine, by its text."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in stored_paths(store.root, study.name).get("csr", ()):
        try:
            content = read_csr(path)
        except Damaged as error:
            store.note(error)
            continue
        if content is not None:
            found[machine_text(content["machine"])] = content
    return found


def _stored(found: StudyResults) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    """What is valid of each row on each machine."""
    aside = set(found.runs.loc[found.runs["state"] == SET_ASIDE, "id"])
    paths = stored_paths(found.store.root, found.study.name)
    for row in found.study.rows:
        if row.run is None or row.run.id in aside:
            continue
        folder = found.store.folder(found.study.name, row.run)
        for path in paths.get(row.run.id, ()):
            try:
                content = read_latency(path, folder)
            except Damaged as error:
                found.store.note(error)
                continue
            if content is not None:
                yield row, content


def _records(row: Row, content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    plain = {
        "label": row.label, "method": row.method, "target": row.sparsity, "seed": row.seed, "id": content["run"],
        "machine": machine_text(content["machine"]), "finished": content["provenance"].get("finished"),
    }  # fmt: skip
    dense = {times["batch"]: times["p50"] for times in content["variants"].get("dense", {"times": ()})["times"]}
    for name, variant in content["variants"].items():
        sizes = {key: variant.get(key) for key in ("file_bytes", "packed_bytes", "peak_memory_bytes", "accuracy")}
        for times in variant["times"]:
            timed = {key: times.get(key) for key in ("batch", "p50", "p95", "joules")}
            yield {**plain, **sizes, **timed, "variant": name, "dense_p50": dense.get(times["batch"])}
