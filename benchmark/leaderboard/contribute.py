"""From somebody's results of a study to one contribution, or to the list of what is wrong with them."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from ...datasets import registry as datasets
from ...methods.registry import borrowed_versions, describe, origin
from ..api.errors import UserError
from ..exchange.records import Epochs
from ..exchange.sources import Found, Source
from ..models import registry as models
from ..runs.files import read_typed
from ..runs.latency_files import MeasuredLatency, stored_paths
from ..runs.pair_files import weights_in
from ..runs.run import Run
from ..runs.run_code import PROJECT, CodeReader, differences
from ..runs.store import Store
from ..studies.load import Study, study_names
from ..studies.plan import with_parents
from .checks import history_problem, masks_problem
from .exact import inexact
from .from_result import measured_of, method_of, published
from .schema import Contribution, Published, first_complaint


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a contributor says: name and author of the contribution, and where the code of plug-ins is."""

    name: str
    by: str = ""
    source: str = ""


@dataclass
class Checked:
    """The results, and a line for each thing that is wrong."""

    results: list[Published] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check(study: Study, found: Found, store: Store, asked: Asked) -> Checked:
    """Every run of the study, dense trainings included: it is there, undamaged, exact, and of known code.

    A run that failed by its own fault is a result; one that is missing might have failed, so it is a problem.
    """
    made = Checked()
    damaged = {path: why for path, why in sorted(found.damaged.items()) if _concerns(study, path, found.root)}
    running = {path: who for path, who in sorted(found.running.items()) if _concerns(study, path, found.root)}
    made.problems += [f"{path} is damaged: {reason}" for path, reason in damaged.items()]
    made.problems += [f"{path} is computed by {who}: wait until it has ended" for path, who in running.items()]
    sources = {(source.run.is_dense or source.study == study.name, source.run.id): source for source in found.sources}
    reader = _Reader(study, store, asked)
    for run in with_parents(study.runs):
        source = sources.get((True, run.id))
        if source is None:
            reader.add_failed(run, made, (*damaged, *running))
        else:
            reader.add_done(run, source, made)
    made.problems += _uneven_seeds(study)
    return made


def contribution(asked: Asked, results: Sequence[Published]) -> Contribution:
    return Contribution(name=asked.name, by=asked.by, results=list(results))


class _Reader:
    """Reads one run after the other; the code of each method is read once."""

    def __init__(self, study: Study, store: Store, asked: Asked) -> None:
        self._study, self._store, self._asked, self._code = study, store, asked, CodeReader()
        self._latency = stored_paths(store.root, study.name)
        dataset = study.file.dataset
        self._title = datasets.shown_name(dataset.name, dataset.options)

    def _label(self, run: Run) -> str:
        return self._study.labels_of_runs.get(run.id, describe(run.method).label)

    def _where(self, run: Run) -> str:
        return f"run {run.id} ({self._label(run)}, {100 * run.sparsity:g} %, seed {run.seed})"

    def add_failed(self, run: Run, made: Checked, named: Iterable[Path]) -> None:
        if any(run.id in (path.stem, path.parent.name) for path in named):
            return  # it is named already
        status = self._store.status(self._study.name, run)
        if status.state != "failed" or status.retryable:
            why = f": {status.reason}" if status.reason else ""
            made.problems.append(
                f"{self._where(run)} is {status.state}{why}: failed runs count, so none may be left out"
            )
            return
        made.results.append(self._published(run, state="failed", reason=status.reason, measured=None))

    def add_done(self, run: Run, source: Source, made: Checked) -> None:
        problems = [*self._version_problems(run), *self._code_problems(run, source), *self._epoch_problems(run, source)]
        try:
            measured = measured_of(run, source.result, self._title, self._times(run, source))
            result = self._published(run, state="done", measured=measured)
            problems += [text.partition(": ")[2] for text in [inexact(result)] if text]
        except ValidationError as error:
            made.problems.append(f"{self._where(run)}: {first_complaint(error)}")
            return
        made.problems += [f"{self._where(run)}: {problem}" for problem in problems]
        made.results.append(result)

    def _published(self, run: Run, **outcome: object) -> Published:
        method = method_of(describe(run.method), run, self._asked.source if _is_plugin(run) else "")
        return published(self._asked.name, self._study.name, self._label(run), method, run, **outcome)

    def _times(self, run: Run, source: Source) -> Iterator[Mapping[str, object]]:
        for path in self._latency.get(run.id, ()):
            content = read_typed(path, MeasuredLatency)
            if content["weights"] == weights_in(source.result):
                yield content

    def _version_problems(self, run: Run) -> Iterator[str]:
        now, borrowed = describe(run.method).version, borrowed_versions(run.method, dict(run.method_options))
        if (run.method_version, run.borrowed_versions) != (now, borrowed):
            yield f"method {run.method!r} has version {run.method_version}, and {now} is the present one"

    def _code_problems(self, run: Run, source: Source) -> Iterator[str]:
        if _is_plugin(run) and not self._asked.source:
            yield "a plug-in computed it; say where its code can be read with --source"
        code = source.result["provenance"].get("code")
        if not code:
            yield "it does not record its code; compute it with this version"
            return
        changed = differences(code, self._code.read(run))
        if code.get("scheme") != self._code.read(run)["scheme"]:
            changed = ("digests of an older scheme",)
        if changed and not is_released(source.result["provenance"]["revision"]):
            yield f"it is neither of the present code nor of a commit of the project ({', '.join(changed)} differ)"

    def _epoch_problems(self, run: Run, source: Source) -> Iterator[str]:
        if problem := history_problem(run, source.result, _epochs(source)):
            yield problem
        if source.has_files and (problem := masks_problem(source)):
            yield problem


def _epochs(source: Source) -> Epochs:
    from ..runs.history import whole_history
    from ..runs.run_folder import RunFolder

    if source.history is not None:
        return source.history
    return whole_history(RunFolder(source.path).history_path, source.result)


def _is_plugin(run: Run) -> bool:
    """Whether code that is not the suite's computed it: of the method, the network or the data."""
    files = (origin(run.method)[0], models.origin(run.model).source, datasets.origin(run.dataset).source)
    return not all(file.resolve().is_relative_to(PROJECT) for file in files)


@cache
def is_released(revision: str | None) -> bool:
    """Whether a revision is a commit that the project's history holds, without changes."""
    if revision is None or "+" in revision:
        return False
    command = ["git", "-C", str(PROJECT), "merge-base", "--is-ancestor", revision, "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _uneven_seeds(study: Study) -> Iterator[str]:
    """Rows with fewer seeds than the study: `--only` or an entry leaves some out."""
    wanted = len(study.file.seeds)
    cells = Counter((row.label, row.sparsity) for row in study.rows if row.run is not None and not row.retrain_seed)
    for (label, sparsity), count in cells.items():
        if count < wanted:
            yield f"{label} at {100 * sparsity:g} % has {count} seeds, the study has {wanted}"


def study_name(found: Found) -> str:
    """The one study that the results are of. Raises UserError for none, several, or one that the suite lacks."""
    names = sorted({source.study for source in found.sources if not source.run.is_dense})
    if len(names) != 1:
        what = f"of {len(names)} studies ({', '.join(names)})" if names else "dense trainings alone"
        raise UserError(f"{found.root} holds results {what}; name the study with --study")
    if names[0] not in study_names():
        raise UserError(
            f"{found.root} holds results of study {names[0]!r}, which is not the suite's; give --study FILE"
        )
    return names[0]


def results_root(folder: Path) -> Path:
    """The results folder that the folder of a study is in: its dense trainings are beside it."""
    return folder.parent if (folder / "runs").is_dir() and (folder.parent / "dense").is_dir() else folder


def _concerns(study: Study, path: Path, root: Path) -> bool:
    """Whether a damaged or unfinished run may be of the study: those of other studies in one folder are not."""
    parts = path.relative_to(root.absolute()).parts
    return parts[1:2] != ("runs",) or parts[0] == study.name


def write_path(folder: Path, name: str) -> Path:
    """Where the contribution goes. Raises UserError for a name that is taken."""
    path = folder / f"{name}.json"
    if path.exists():
        raise UserError(f"{path} exists already; remove it, or give another --name")
    return path
