"""Publishing: files of results with a schema, what is refused, and the size of the project's own leaderboard."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from boards import as_reference, results_of, stored
from click.testing import CliRunner, Result
from prunebench.benchmark.api.errors import Damaged, UserError
from prunebench.benchmark.cli import app
from prunebench.benchmark.leaderboard.collect import collect, read_contribution
from prunebench.benchmark.leaderboard.exact import inexact
from prunebench.benchmark.leaderboard.schema import VERSION, Contribution, Published, as_json, json_schema
from synthetic_results import STUDY

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
SCHEMA_1 = "a0535fb8fcda8491"
"""First digits of the SHA-256 of the schema of version 1."""


def publish(target: Path, *folders: Path) -> Result:
    return CliRunner().invoke(
        app, ["publish", str(target), *(word for each in folders for word in ("--from", str(each)))]
    )


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    as_reference(*stored(tmp_path / "study"), tmp_path / "reference")
    return tmp_path / "reference"


def contributed(folder: Path, **changes: Any) -> Path:
    """The results of a study as somebody's contribution."""
    results = [each.model_copy(update={"source": "lab"}) for each in results_of(folder)]
    content = json.loads(as_json(Contribution(name="lab", results=results)))
    path = folder / "contributed" / "lab.json"
    path.parent.mkdir()
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")
    return path


def test_a_changed_schema_has_another_version() -> None:
    assert hashlib.sha256(json_schema().encode()).hexdigest()[:16] == SCHEMA_1, "raise VERSION, or this is another file"
    assert VERSION == 1
    required = json.loads(json_schema())["required"]
    assert required == ["id", "source", "study", "label", "method", "run", "state", "measured"]


def test_each_result_is_a_file_of_the_schema(reference: Path, tmp_path: Path) -> None:
    result = publish(tmp_path / "out", reference)
    assert result.exit_code == 0, result.output
    assert result.output.endswith("index.html: 3 rows in 2 tables, 21 results (21 new or changed)\n")
    files = sorted((tmp_path / "out" / "results").glob("*.json"))
    assert len(files) == 21
    for path in files:
        found = Published.model_validate_json(path.read_bytes())
        assert found.file_name == path.name
        assert as_json(found).encode() == path.read_bytes()
    assert json.loads((tmp_path / "out" / "schema.json").read_text(encoding="utf-8"))["title"] == "Published"


def test_publishing_again_changes_nothing_and_removes_what_is_gone(reference: Path, tmp_path: Path) -> None:
    publish(tmp_path / "out", reference)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "results").iterdir()}
    assert "(0 new or changed)" in publish(tmp_path / "out", reference).output
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "results").iterdir()}
    study, store = stored(tmp_path / "fewer", STUDY.replace(", random", ""))
    as_reference(study, store, tmp_path / "less")
    assert "(0 new or changed, 6 removed)" in publish(tmp_path / "out", tmp_path / "less").output


@pytest.mark.parametrize("name", ["notes.txt", "index.html"])
def test_a_folder_of_something_else_is_left_alone(name: str, reference: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine", encoding="utf-8")
    result = publish(tmp_path / "out", reference)
    assert "is not empty and no leaderboard" in str(result.exception)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_a_contribution_is_a_row_of_its_own(reference: Path, tmp_path: Path) -> None:
    path = contributed(tmp_path / "theirs")
    found = collect([reference, path.parent])
    assert len({result.file_name for result in found.results}) == 42
    assert publish(tmp_path / "out", reference, path.parent).exit_code == 0
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "SNIP [lab]" in page
    assert "SNIP [small]" in page


def _not_exact(content: dict[str, Any]) -> None:
    done = next(each for each in content["results"] if each["label"] == "SNIP")
    done["run"]["sparsity"] = 0.5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"leaderboard": 2}, "has leaderboard format 2, this version reads 1"),
        ({"leaderboard": None}, "it is no contribution to the leaderboard"),
        ({"name": "other"}, "each result has the contribution's name as its source"),
        ({"results": []}, "results: List should have at least 1 item"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_a_contribution_of_another_shape_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = contributed(tmp_path / "theirs", **changes)
    with pytest.raises(UserError, match=said):
        read_contribution(path)


def test_an_edited_contribution_is_refused(tmp_path: Path) -> None:
    path = contributed(tmp_path / "theirs")
    content = json.loads(path.read_text(encoding="utf-8"))
    _not_exact(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(Damaged, match="and run describes"):
        read_contribution(path)


def test_a_done_run_without_its_record_is_named(reference: Path) -> None:
    gone = next((reference / "small" / "runs").glob("*.json"))
    gone.unlink()
    with pytest.raises(UserError, match=f"run {gone.stem} is done, and runs/ has no record of it"):
        collect([reference])


def test_a_folder_with_nothing_to_publish_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has neither reference folders of studies"):
        collect([tmp_path])
    with pytest.raises(UserError, match="no folder"):
        collect([tmp_path / "missing"])


def test_a_description_of_results_is_no_contribution(reference: Path, tmp_path: Path) -> None:
    (reference / "croissant.json").write_text('{"@context": {}, "name": "results"}', encoding="utf-8")
    assert publish(tmp_path / "out", reference).exit_code == 0
    (reference / "croissant.json").write_text("{}", encoding="utf-8")
    with pytest.raises(Damaged, match="it is no contribution"):
        collect([reference])


def test_tables_say_how_many_runs_of_a_study_are_computed(reference: Path, tmp_path: Path) -> None:
    assert collect([reference]).incomplete == {}
    path = reference / "small" / "runs.csv"
    rows = path.read_text(encoding="utf-8").replace(",done,", ",missing,", 2).replace(",done,", ",not run,", 1)
    path.write_text(rows, encoding="utf-8")
    said = "18 of 20 runs of small are computed"
    assert collect([reference]).incomplete == {"small": said}
    assert publish(tmp_path / "out", reference).exit_code == 0
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count(f"{said}.") == 2


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("board") / "out"
    with mock.patch.object(os, "fsync"), chdir(REFERENCE.parents[1]):  # of a thousand files it only takes time here
        result = publish(target)  # of what is committed, as a reader of the README calls it
    assert result.exit_code == 0, result.exception
    return target


def test_the_committed_results_are_exact_and_their_page_is_small(published: Path) -> None:
    files = list((published / "results").glob("*.json"))
    assert [problem for path in files if (problem := inexact(Published.model_validate_json(path.read_bytes())))] == []
    assert len(files) > 1000
    assert sum(path.stat().st_size for path in (*files, *published.glob("*.*"))) < 10_000_000
