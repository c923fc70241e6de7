"""The commands that compute the results of a report again."""

from __future__ import annotations

from typing import Any

from prunebench.benchmark import __version__
from prunebench.benchmark.report.reproduce import Asked, steps

ASKED = Asked(study="my study.yaml", only=["seed=0"])


def result(revision: str | None, torch: str = "2.9.0+cu130") -> dict[str, Any]:
    return {"provenance": {"revision": revision, "packages": {"torch": torch, "numpy": "2.1.0"}}}


def lines(*results: dict[str, Any]) -> list[list[str]]:
    return [found for _, found in steps(ASKED, {str(i): each for i, each in enumerate(results)})]


def test_checkout_install_prepare_and_commands_stand_in_order() -> None:
    assert lines(result("abc"), result("abc")) == [
        ["git checkout abc"],
        ["make install", ". .venv/bin/activate", "python -m pip install torch==2.9.0 numpy==2.1.0"],
        ["prunebench prepare 'my study.yaml'"],
        [f"prunebench {verb} 'my study.yaml' --only seed=0" for verb in ("run", "table", "plot", "report")],
    ]


def test_changes_and_other_commits_are_told() -> None:
    checkout, install, *_ = lines(result("abc+changes"), result("abc"), result("def", "2.8.0"), result(None))
    assert checkout == [
        "git checkout abc",
        "# 1 of 4 results are of def",
        "# 1 of 4 results are of code with changes that are in no commit",
        "# 1 of 4 results do not name a commit",
    ]
    assert install[-1] == "# 1 of 4 results are of other versions"


def test_no_commit_is_invented() -> None:
    assert lines()[0] == [f"# no commit is known: nothing is stored; this is prunebench {__version__}"]
    assert lines(result(None))[0] == [
        f"# no commit is known: the results were not computed from a checkout; this is prunebench {__version__}"
    ]


def test_a_revision_of_someone_elses_results_is_no_command() -> None:
    assert lines(result("a; rm -rf ."), result("b\nrm -rf ."), result("a; rm -rf ."))[0] == [
        "git checkout 'a; rm -rf .'",
        "# 1 of 3 results are of b rm -rf .",
    ]
