"""The version of a method counts inside a control too, and old ids stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.runs.run import from_dict, to_dict
from prunebench.benchmark.studies.load import Study, load_study
from prunebench.methods import registry

PLUGIN = """\
from dataclasses import dataclass
from typing import ClassVar
from prunebench.methods.bases.borrowed_mask import BorrowedMask
from prunebench.methods.bases.mask_pruner import MaskPruner

METHODS = {{"inner": "Inner", "selfish": "Selfish"}}

@dataclass(kw_only=True)
class Inner(MaskPruner):
    label: ClassVar[str] = "Inner"
    version: ClassVar[int] = {version}

@dataclass(kw_only=True)
class Selfish(BorrowedMask):
    label: ClassVar[str] = "Selfish"
    of: str = "selfish"
"""


def study(folder: Path, *runs: str) -> Study:
    path = folder / "s.yaml"
    lines = "".join(f"  - {{sparsity: 0.9, {run}}}\n" for run in runs)
    path.write_text(
        f"name: s\ndataset: digits\nmodel: convnet-small\nseeds: [0]\ntrain: {{epochs: 1}}\nruns:\n{lines}",
        encoding="utf-8",
    )
    return load_study(str(path))


@pytest.fixture
def inner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers a plug-in whose method has a version."""

    def register(version: int) -> None:
        monkeypatch.setattr(registry.OFFERS, "plugins", {})
        path = tmp_path / f"plugin{version}.py"
        path.write_text(PLUGIN.format(version=version), encoding="utf-8")
        registry.add_plugin(path)

    return register


def test_ids_from_before_stay(tmp_path: Path) -> None:
    runs = study(tmp_path, "method: shuffled, options: {of: snip}", "method: reinit").runs
    assert [run.id for run in runs] == ["d0a688d0df8c", "0f7fe33869d4"]
    assert all("borrowed_versions" not in to_dict(run) for run in runs)


def test_a_raised_version_of_the_inner_method_is_another_run(tmp_path: Path, inner: Any) -> None:
    nested = "method: shuffled, options: {of: reinit, of_options: {of: inner}}"
    found = {}
    for version in (1, 2):
        inner(version)
        found[version] = study(tmp_path, "method: shuffled, options: {of: inner}", nested, "method: inner").runs
    assert all(one.id != two.id for one, two in zip(found[1], found[2], strict=True))
    assert [run.borrowed_versions for run in found[1]] == [(), (), ()]
    assert [run.borrowed_versions for run in found[2]] == [(2,), (1, 2), ()]
    assert [from_dict(to_dict(run)) for run in found[2]] == found[2]


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("method: shuffled, options: {of: inne}", "unknown method 'inne'; did you mean 'inner'"),
        ("method: shuffled, options: {of: inner, of_options: {scop: global}}", "option of method 'inner' 'scop'"),
        ("method: shuffled, options: {of: 3}", "method 'shuffled': of is 3; it must be a text"),
        ("method: selfish", "borrows from 'selfish', which borrows from itself"),
    ],
)
def test_what_cannot_be_borrowed_is_refused_with_the_study(tmp_path: Path, inner: Any, run: str, message: str) -> None:
    inner(1)
    with pytest.raises(UserError) as caught:
        study(tmp_path, run)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
