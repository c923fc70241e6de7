"""Text in windows: what follows each byte, splits that share no text, and files of one's own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import torch
from prunebench.benchmark.api.data import Split
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.benchmark.cli import main
from prunebench.datasets import registry
from prunebench.datasets.parts.text import Texts, num_windows, windows
from prunebench.datasets.python_text import once

CPU = torch.device("cpu")


def bytes_of(split: Split) -> tuple[list[bytes], list[bytes]]:
    inputs, targets = split.sample(torch.arange(len(split)), device=CPU)
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
    return [bytes(row) for row in inputs.byte().tolist()], [bytes(row) for row in targets.byte().tolist()]


def test_windows_by_hand() -> None:
    """Seven bytes are two windows of three with a byte after each; six are one, as the second has no byte after it."""
    found = windows([b"abcdefg", b"hijklm", b"no"], context=3)
    assert [bytes(row) for row in found.tolist()] == [b"abcd", b"defg", b"hijk"]
    assert [num_windows(b"x" * size, 3) for size in (0, 1, 3, 4, 6, 7)] == [0, 0, 0, 1, 1, 2]


def test_each_target_is_the_byte_after() -> None:
    inputs, targets = bytes_of(registry.load("python-text", context=16).test)
    assert all(target[:-1] == window[1:] for window, target in zip(inputs, targets, strict=True))
    assert targets[0][-1] == inputs[1][0]


def test_paragraphs_are_kept_once_in_the_largest_topic() -> None:
    long = "a paragraph that is long enough to be compared with others"
    found = once({"small": f"*****\n\n{long}\n\nown words", "large": f"*****\n\n{long}\n\n" + "more " * 20})
    assert found == {"large": f"*****\n\n{long}\n\n" + "more " * 20, "small": "*****\n\nown words"}


def test_no_text_is_in_two_splits() -> None:
    """Whole topics are cut, and no paragraph of a topic is one of another."""
    data = registry.load("python-text", context=128)
    splits = [b"".join(bytes_of(split)[0]) for split in (data.train, data.validation, data.test)]
    assert [len(text) for text in splits] == [128 * len(split) for split in (data.train, data.validation, data.test)]
    assert min(len(text) for text in splits) > 10_000
    paragraphs = [
        {" ".join(each.split()) for each in re.split(r"\n\s*\n", text.decode(errors="replace"))} for text in splits
    ]
    long = [{each for each in found if len(each) >= 40} for found in paragraphs]
    assert not long[0] & long[1] | long[0] & long[2] | long[1] & long[2]
    assert not set(bytes_of(data.train)[0]) & {*bytes_of(data.validation)[0], *bytes_of(data.test)[0]}
    # the whole topics would share most of what the smaller ones say
    assert topics["if"].split("\n\n")[2] in topics["compound"]


def test_described_sizes_are_those_loaded() -> None:
    info = registry.describe("python-text", context=64)
    data = registry.load("python-text", context=64, validation=0.2)
    assert (info.input_shape, info.target_shape, info.num_classes, info.num_symbols) == ((64,), (64,), 256, 256)
    assert (info.num_train, info.num_test) == (len(data.train) + len(data.validation), len(data.test))
    assert registry.train_size("python-text", 0.2, context=64) == len(data.train)
    assert registry.load("python-text", context=64, limit=50).train.targets.shape == (50, 64)
    assert data.facts["num_symbols"] == 256
    assert data.facts["text"].startswith("Python 3.")


def test_another_text_has_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    from prunebench.datasets import python_text

    before = registry.load("python-text").fingerprint
    assert registry.load("python-text").fingerprint == before
    train, test = python_text._split_topics()
    monkeypatch.setattr(python_text, "_split_topics", lambda: ([train[0].replace(b"a", b"b", 1), *train[1:]], test))
    assert registry.load("python-text").fingerprint != before


def test_a_context_longer_than_the_topics_is_refused() -> None:
    with pytest.raises(UserError, match="book: a context of 40 bytes leaves 2 windows for training and 1 for the test"):
        Texts([b"x" * 99, b"x" * 40], [b"x" * 41], 40).check_sizes("book")
    with pytest.raises(UserError, match="context is 1; it must be an integer >= 2 and <= 4096"):
        registry.create("python-text", context=1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "book.txt").write_bytes(bytes(range(256)) * 40)
    return tmp_path


def test_a_file_of_ones_own(root: Path) -> None:
    """10,240 bytes: the last 2,048 are the test; twenty parts of 409 or 410 have 12 windows of 32 each."""
    options = {"path": "book.txt", "context": 32, "test_fraction": 0.2}
    data = registry.load("text", root=root, validation=0.1, **options)
    assert (len(data.train), len(data.validation), len(data.test)) == (18 * 12, 2 * 12, 63)
    assert bytes_of(data.test)[0][0] == bytes((8192 + index) % 256 for index in range(32))
    assert data.facts["num_classes"] == data.facts["num_symbols"] == 256
    assert registry.load("text", root=root, **options).fingerprint == data.fingerprint
    (root / "book.txt").write_bytes(bytes(range(255, -1, -1)) * 40)
    assert registry.load("text", root=root, **options).fingerprint != data.fingerprint


def test_a_file_that_does_not_do_is_named(root: Path) -> None:
    with pytest.raises(DataMissing, match=r"text: .*/letter.txt does not exist; option path"):
        registry.load("text", root=root, path="letter.txt")
    with pytest.raises(UserError, match="text: augment crops and flips images"):
        registry.create("text", path="book.txt", augment=True)
    with pytest.raises(UserError, match=r"text: .*/book.txt: a context of 2048 bytes leaves 0 windows"):
        registry.load("text", root=root, path="book.txt", context=2048)
    (root / "folder").mkdir()
    with pytest.raises(UserError, match="folder is not a file"):
        registry.load("text", root=root, path="folder")


def test_a_network_of_images_is_refused_before_anything_runs(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = root / "wrong.yaml"
    study.write_text(
        "name: wrong\ndataset: python-text\nmodel: lenet-300-100\nseeds: [0]\ntrain: {epochs: 1}\n"
        "runs:\n  - method: dense\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(sys, "argv", ["prunebench", "run", str(study), "--results", str(root / "results")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "model 'lenet-300-100' does not fit Python's help: it predicts one class" in capsys.readouterr().err
    assert not (root / "results" / "wrong").exists()
