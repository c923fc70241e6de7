"""What is read of a network's options from its source is what builds it, and a wrong one is told with its line."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest
from prunebench.benchmark.api.errors import UserError
from prunebench.benchmark.models import registry
from prunebench.benchmark.models.registry import OPTION_MEANINGS, model_names, model_options
from prunebench.benchmark.studies.load import load_study
from prunebench.benchmark.studies.model_options import declared_options

STUDY = """\
name: mine
dataset: digits
model: {name: convnet-small, options: {width: 8}}
train: {epochs: 1}
runs:
  - method: dense
    model_options: {stem_stride: 2}
"""


@pytest.mark.parametrize("name", model_names())
def test_the_source_of_a_network_shows_the_options_that_build_it(name: str) -> None:
    declared = declared_options(name)
    assert {option: default for option, (default, _) in declared.items()} == model_options(name)
    hints = typing.get_type_hints(registry._builder(name), include_extras=True)
    for option, (_, hint) in declared.items():
        assert repr(hint) == repr(hints.get(option, str | None))
        assert OPTION_MEANINGS[option]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width: 8", "width: 0", "mine.yaml:3: model 'convnet-small': width is 0; it must be a finite number > 0"),
        ("width: 8", "width: wide", "mine.yaml:3: model 'convnet-small': width is 'wide'; it must be a finite number"),
        ("stem_stride: 2", "stem_stride: 3", "mine.yaml:7: model 'convnet-small': stem_stride is 3; it must be one of"),
        ("width: 8", "weights: 3", "mine.yaml:3: model 'convnet-small': weights is 3; it must be a text or null"),
        ("width: 8", "widht: 8", "mine.yaml:3: unknown option of model 'convnet-small' 'widht'; did you mean 'width'?"),
    ],
)
def test_a_wrong_option_is_told_with_its_line(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(STUDY.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_study("mine.yaml")
    assert str(caught.value).startswith(message)


def test_set_reaches_the_options_behind_a_bare_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY.replace("{name: convnet-small, options: {width: 8}}", "convnet-small"), encoding="utf-8")
    short = load_study(str(path), ["dataset.options.limit=99", "model.options.width=8"])
    assert short.file.dataset.options == {"limit": 99}
    path.write_text(STUDY, encoding="utf-8")
    assert short.runs[0].id == load_study(str(path), ["dataset={name: digits, options: {limit: 99}}"]).runs[0].id
    with pytest.raises(UserError, match=r"^--set dataset.options.limit=0: data set 'digits': limit is 0"):
        load_study(str(path), ["dataset.options.limit=0"])
    with pytest.raises(UserError, match=r"^--set dataset.options.limti=9: unknown option of data set 'digits' 'limti'"):
        load_study(str(path), ["dataset.options.limti=9"])
