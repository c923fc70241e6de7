"""What a release says of itself: one version everywhere, a citation, templates for issues, and a changelog."""

from __future__ import annotations

import datetime
import re
import tomllib
from pathlib import Path
from typing import Any

import prunebench
import pytest
import yaml
from prunebench.benchmark.cli.commands import app

ROOT = Path(__file__).resolve().parents[2]
VERSION = prunebench.__version__
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture
def citation() -> dict[str, Any]:
    return yaml.safe_load(text("CITATION.cff"))


def releases() -> list[tuple[str, str]]:
    """(Version, date) of the changelog's parts, the newest first; `Unreleased` has no date."""
    return re.findall(r"^## (\S+)(?: \((.*)\))?$", text("CHANGELOG.md"), re.MULTILINE)


def test_the_version_is_the_same_everywhere(citation: dict[str, Any]) -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert {project["version"], citation["version"]} == {VERSION}
    for name in ("README.md", "slurm/README.md", "Dockerfile"):
        found = re.findall(r"prunebench[-:](\d+\.\d+\.\d+)", text(name))
        assert found, name
        assert set(found) == {VERSION}, name


def test_the_changelog_has_the_release_below_what_is_unreleased(citation: dict[str, Any]) -> None:
    (first, no_date), (version, date), *_ = releases()
    assert (first, no_date) == ("Unreleased", "")
    assert (version, date) == (VERSION, citation["date-released"])
    datetime.date.fromisoformat(date)
    part = text("CHANGELOG.md").split(f"\n## {VERSION}")[1]
    summary = part.split("\n\n")[1].splitlines()
    assert len(summary) <= 12
    assert all(len(line) <= 120 for line in summary)


def test_the_citation_names_the_project_and_its_paper(citation: dict[str, Any]) -> None:
    """The keys that the format requires, without people: the authors are one entity."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["authors"] == [{"name": "The prunebench authors"}]
    assert (citation["type"], citation["license"]) == ("software", project["license"])
    (paper,) = citation["references"]
    assert paper["doi"] == "10.48550/arXiv.2209.14624"
    assert paper["title"] in " ".join(text("README.md").split())
    assert paper["authors"][0]["family-names"] == "Gupta"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_for_issues_is_a_form(path: Path) -> None:
    """As the site reads them: a template with another key or type is not shown, without a word."""
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert (
        {"name", "description", "body"}
        <= form.keys()
        <= {"name", "description", "body", "title", "labels", "assignees"}
    )
    kinds = {"markdown", "input", "textarea", "dropdown", "checkboxes"}
    keys = [each.get("id") for each in form["body"] if each["type"] != "markdown"]
    assert len(keys) == len(set(keys))
    for each in form["body"]:
        assert each["type"] in kinds
        assert each.keys() <= {"type", "id", "attributes", "validations"}
        assert "value" in each["attributes"] if each["type"] == "markdown" else each["attributes"]["label"]
        for option in each["attributes"].get("options", []):
            assert option["label"] if each["type"] == "checkboxes" else isinstance(option, str)
    assert any(each.get("validations", {}).get("required") for each in form["body"])


@pytest.mark.parametrize(
    "path", [*TEMPLATES, ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md"], ids=lambda path: path.name
)
def test_templates_name_commands_and_files_that_exist(path: Path) -> None:
    content = path.read_text(encoding="utf-8")
    assert set(re.findall(r"`prunebench ([a-z-]+)", content)) <= app.commands.keys()
    assert all((ROOT / name).exists() for name in re.findall(r"\b([\w/]+\.(?:md|py))\b", content))


def test_there_are_templates_for_bugs_and_methods() -> None:
    assert {"bug.yml", "new-method.yml"} <= {path.name for path in TEMPLATES}
