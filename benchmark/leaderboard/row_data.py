"""What the page embeds of a row: facts, its runs, and the study file that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from ...methods.registry import describe, method_names
from ..api.errors import UserError
from ..runs.provenance import PACKAGES
from ..runs.run import DENSE
from ..runs.run_code import CodeReader, differences
from ..studies.age import CHANGES
from .frame import is_older
from .mixing import facts_of
from .schema import REFERENCE, Published
from .settings import Row, Setting
from .study_file import PLUGIN, as_yaml, study_files
from .tracks import TRACKS

NAMES = ("prunebench", "Python", *PACKAGES)
"""Facts that are names and keep their spelling."""


class RowData:
    """Makes the data of rows; the code of each method is read once."""

    def __init__(self) -> None:
        self._reader = CodeReader()

    def of(self, row: Row, setting: Setting) -> dict[str, Any]:
        method = row.first.method
        files = [(f"{content['name']}.yaml", as_yaml(content)) for content in study_files(row)]
        return {
            "label": row.label,
            "family": "dense" if method.name == DENSE else method.family,
            "year": method.year,
            "is_dense": method.name == DENSE,
            "facts": list(self._facts(row, setting)),
            "runs": [_run(result) for result in row.results],
            "files": [{"name": name, "text": text, "commands": _commands(name)} for name, text in files],
        }

    def _facts(self, row: Row, setting: Setting) -> Iterator[tuple[str, str]]:
        first = row.first
        method = first.method
        yield "Method", f"{method.label} ({method.name}, version {method.version})"
        yield "Published in", method.paper + (f", {method.year}" if method.year else "")
        yield "Family", method.family
        yield "Track", TRACKS[setting.track][0]
        if method.source:
            yield "Code of the plug-in", f"{method.source}, to be saved as {PLUGIN} beside the study file"
        yield "Result of", f"the study {first.study}" if first.source == REFERENCE else f"{first.source}, contributed"
        for name, values in facts_of(row.results).items():
            shown = [f"{value} ({count} runs)" for value, count in values.most_common()]
            yield (
                name if name in NAMES else name.capitalize(),
                ", ".join(shown) if len(shown) > 1 else next(iter(values)),
            )
        yield "Repeated with the present code", self._age(row)

    def _age(self, row: Row) -> str:
        """What differs now: another version changes numbers and ids, a changed file may change nothing."""
        name = row.first.method.name
        if name not in method_names() or row.first.method.source:
            return "not known here: the method is a plug-in"
        if any(is_older(run) for run in row.runs):
            return f"the method has version {describe(name).version} now: numbers and ids are others"
        changed = {key for result, run in zip(row.results, row.runs, strict=True) for key in self._changed(result, run)}
        if not changed:
            return "ids are the same, and so is the code of method and network"
        return f"ids are the same; changed since: {', '.join(CHANGES[key] for key in CHANGES if key in changed)}"

    def _changed(self, result: Published, run: Any) -> tuple[str, ...]:
        if result.measured is None or result.measured.provenance.code is None:
            return ()
        try:
            return differences(result.measured.provenance.code, self._reader.read(run))
        except UserError:
            return ()  # a network or a data set of a plug-in


def _commands(name: str) -> str:
    return "\n".join(shlex.join(["prunebench", verb, name]) for verb in ("prepare", "run", "table"))


def _run(result: Published) -> dict[str, Any]:
    """Values of one run; what a failed run has is its reason."""
    run = result.run
    plain: dict[str, Any] = {
        "id": result.id, "file": f"results/{result.file_name}", "seed": run["seed"], "target": run.get("sparsity", 0.0),
        "retrain_seed": run.get("retrain_seed", 0), "state": result.state,
    }  # fmt: skip
    if result.measured is None:
        return plain | {"reason": result.reason}
    accuracy = result.measured.accuracy
    return plain | {
        "last": accuracy.last, "selected": accuracy.selected, "best_test": accuracy.best_test,
        "reached": result.measured.sparsity.achieved, "macs": result.measured.macs.pruned,
        "seconds": round(result.measured.cost.seconds, 1),
    }  # fmt: skip
