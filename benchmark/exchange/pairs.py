"""Measured pairs of runs of several machines: records for version control, and merging.

    FOLDER/pairs/<run id>-<run id>.json     beside the records of the runs, in `FOLDER`

A pair holds for the weights that it was measured from, so it is merged where the results of both runs name these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api.errors import Damaged
from ..runs.damage import set_aside
from ..runs.files import read_json
from ..runs.pair_files import check_pair, pair_path, read_pair, stored_weights, write_pair
from ..runs.run import Run
from ..runs.run_folder import RunFolder
from ..runs.store import Store
from .records import RECORD_SCHEMA, Written, check_record, write_record

PAIR_FILE = re.compile(r"([0-9a-f]{12})-([0-9a-f]{12})\.json")

Weights = Callable[[RunFolder], str | None]
"""The SHA-256 of the weights of a run that is stored in a folder, or will be; None where none is known."""


@dataclass(frozen=True)
class PairSource:
    """A pair that may be merged, and the file that it is read from."""

    study: str
    content: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class PairStep:
    """What to write where. `before`: what is stored there, and is not valid or less than what is written."""

    content: Mapping[str, Any]
    target: Path
    before: Mapping[str, Any] | None


@dataclass
class PairMerge:
    """The plan: steps by their targets, the number of equal pairs, lines about pairs in conflict or left out."""

    steps: dict[Path, PairStep] = field(default_factory=dict)
    num_equal: int = 0
    conflicts: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def write_pair_records(study: str, pairs: Iterable[tuple[Run, Run]], store: Store, target: Path) -> Written:
    """Write a record of every pair that is measured and valid. Damaged files are noted in the store and left out."""
    counts = {"new": 0, "changed": 0, "equal": 0}
    for runs in pairs:
        name, folders = "-".join(run.id for run in runs), (store.folder(study, runs[0]), store.folder(study, runs[1]))
        try:
            content = read_pair(pair_path(store.root, study, name), folders, [])
        except Damaged as error:
            store.note(error)
            continue
        if content is not None:
            record = {"record": RECORD_SCHEMA, "study": study, "pair": content}
            counts[write_record(record, target / "pairs" / f"{name}.json")] += 1
    return Written(**counts)


def pair_files(root: Path) -> list[Path]:
    """Pairs of a results folder or of a study's folder, and records of pairs."""
    folders = (root / "pairs", root / "runs/pairs", *sorted(root.glob("*/pairs")), *sorted(root.glob("*/runs/pairs")))
    found = (path for folder in dict.fromkeys(folders) for path in sorted(folder.glob("*.json")))
    return [path for path in found if PAIR_FILE.fullmatch(path.name)]


def read_pair_source(path: Path, check_study: Callable[[object, Path], str]) -> PairSource:
    """Raises Damaged, and UserError for a file of another version."""
    content = read_json(path)
    study = path.parent.parent.name
    if isinstance(content, dict) and "record" in content:
        check_record(content, path, "a pair")
        content, study = content.get("pair"), check_study(content.get("study"), path)
    return PairSource(study, check_pair(content, path), path)


def plan_pairs(sources: Sequence[PairSource], store: Store, weights: Weights) -> PairMerge:
    """Decide about every pair in the given order: of two that contradict each other, the first is merged."""
    merge, known = PairMerge(), dict[Path, tuple[Mapping[str, Any], Path]]()
    for source in sources:
        content, name = source.content, "-".join(source.content["runs"])
        target = pair_path(store.root, source.study, name)
        folders = [RunFolder(store.root / source.study / "runs" / run) for run in content["runs"]]
        if content["weights"] != [weights(folder) for folder in folders]:
            merge.left_out.append(f"left out: {source.path}: no results of its runs name the weights that it is of")
            continue
        before = _stored(target)
        there, where = known.get(target, (before, target))
        if there is None or there["weights"] != content["weights"]:
            there = {}
        fields = [key for key in content.keys() & there.keys() - {"provenance"} if content[key] != there[key]]
        if fields:
            found = "; ".join(f"{key}: {there[key]} | {content[key]}" for key in sorted(fields))
            merge.conflicts.append(
                f"conflict: pair {name} of {source.study} is measured otherwise in {where} than in {source.path}, "
                f"both are kept: {found}"
            )
        elif content.keys() <= there.keys():
            merge.num_equal += 1
        else:
            known[target] = {**content, **there}, source.path
            merge.steps[target] = PairStep(known[target][0], target, before)
    return merge


def copy_pair(step: PairStep, say: Callable[[str], None]) -> bool:
    """Write a pair; a damaged file in its place is set aside, and `say` gets a line about it.

    False, and nothing is written, where one was stored meanwhile, or where a run could not be copied.
    """
    runs = step.target.parent.with_name("runs")
    if step.content["weights"] != [stored_weights(RunFolder(runs / run)) for run in step.content["runs"]]:
        return False
    if _stored(step.target) != step.before:
        return False
    if step.before is None and step.target.exists():
        say(set_aside(Damaged(step.target, "it is not what was measured between two runs"), "another is merged"))
    write_pair(step.target, step.content)
    return True


def _stored(path: Path) -> Mapping[str, Any] | None:
    """None for a damaged file as well: it is measured or merged anew."""
    try:
        return check_pair(read_json(path), path)
    except (FileNotFoundError, Damaged):
        return None
