"""All results of a leaderboard: reference folders of studies, and files of contributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import filterfalse
from pathlib import Path

from pydantic import ValidationError

from ..api.errors import Damaged, UserError
from ..runs.files import read_json
from .exact import inexact
from .from_folder import computed_part, is_study_folder, read_folder
from .schema import VERSION, Contribution, Published, first_complaint


@dataclass
class Collected:
    """Results in the order in which they were read; `left_out` has a reason for each folder without any.

    `incomplete` has a sentence for each study of which runs are missing.
    """

    results: list[Published] = field(default_factory=list)
    contributions: list[Contribution] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    incomplete: dict[str, str] = field(default_factory=dict)


def collect(folders: Sequence[Path]) -> Collected:
    """Read every study's folder and every contribution in these folders.

    Raises UserError for a folder that is not there or holds neither, and for a file that is no valid contribution.
    """
    found = Collected()
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"no folder {folder} of results to publish; --from names another")
        before = len(found.results) + len(found.left_out)
        studies = [folder] if is_study_folder(folder) else sorted(filter(is_study_folder, folder.iterdir()))
        for study in studies:
            _add(found, read_folder(study), study)
        for path in sorted(filterfalse(_is_description, folder.glob("*.json"))):
            found.contributions.append(read_contribution(path))
            found.results += found.contributions[-1].results
        if len(found.results) + len(found.left_out) == before:
            raise UserError(f"{folder} has neither reference folders of studies (STUDY/runs.csv) nor contributions")
    _check_once(found.contributions)
    return found


def _is_description(path: Path) -> bool:
    """Whether it is JSON-LD, such as results/reference/croissant.json: it describes results and holds none."""
    content = read_json(path)
    return isinstance(content, dict) and "@context" in content


def _add(found: Collected, results: list[Published], study: Path) -> None:
    if not results:
        found.left_out.append(f"{study.name}: it has no records of its runs, so nobody could compute them again")
    known = {(result.file_name, result.measured and result.measured.accuracy.last) for result in found.results}
    names = {name for name, _ in known}
    for result in results:
        key = (result.file_name, result.measured and result.measured.accuracy.last)
        if key[0] in names and key not in known:
            raise UserError(f"{study}: run {result.id} has another accuracy in another study; merge shows which")
    found.results += results
    if part := computed_part(study):
        found.incomplete[study.name] = part


def read_contribution(path: Path) -> Contribution:
    """Raises UserError for a file of another version, and Damaged for one that is not valid or not exact."""
    content = read_json(path)
    version = content.get("leaderboard") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise Damaged(path, "it is no contribution to the leaderboard")
    if version != VERSION:
        raise UserError(f"{path} has leaderboard format {version}, this version reads {VERSION}")
    try:
        found = Contribution.model_validate(content)
    except ValidationError as error:
        raise Damaged(path, first_complaint(error)) from error
    if found.name != path.stem:
        raise Damaged(path, f"it is the contribution {found.name!r}, and its file has another name")
    for result in found.results:
        if problem := inexact(result):
            raise Damaged(path, problem)
    return found


def _check_once(contributions: Sequence[Contribution]) -> None:
    names = [contribution.name for contribution in contributions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two contributions have the name {twice[0]!r}")
