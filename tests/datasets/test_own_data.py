"""Studies of the user's own data: their ids, their names in tables, and the messages before anything runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prunebench.benchmark.analysis.frame import study_frame
from prunebench.benchmark.cli import main
from prunebench.benchmark.runs.store import Store
from prunebench.benchmark.studies.load import load_study
from prunebench.datasets.parts.roots import data_root, reading_from

STUDY = """\
name: own
dataset: {name: image-folder, options: {path: flowers, size: 8, channels: 1, title: My flowers}}
model: convnet-small
seeds: [0]
validation: 0.25
train: {epochs: 1, batch_size: 4, lr: 0.1}
runs:
  - method: dense
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixteen training and four test images of two classes under data/flowers; the study beside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PRUNEBENCH_DATA", raising=False)
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 2)):
        for index, name in enumerate(("grass", "rose")):
            folder = tmp_path / "data" / "flowers" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(100 * index, 100 * index + 100, (9, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    Path("own.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "data" / "flowers"


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line in a process of its own."""
    whole = (sys.executable, "-m", "prunebench.benchmark.cli", *arguments)
    done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout, done.stderr


def in_process(*arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["prunebench", *arguments])
    code = 0
    try:
        main()
    except SystemExit as error:
        code = int(error.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_run_then_table_without_the_data(place: Path) -> None:
    code, _, errors = command("run", "own.yaml", "--data-root", "data")
    assert code == 0, errors
    (path,) = Path("results/dense").glob("*/result.json")
    result = json.loads(path.read_text())
    assert result["run"]["dataset_options"] == {"channels": 1, "path": "flowers", "size": 8}
    assert result["data"]["facts"]["num_classes"] == 2
    assert result["data"]["facts"]["input_shape"] == [1, 8, 8]
    assert 0 < result["data"]["facts"]["normalisation"]["mean"][0] < 1
    assert (result["data"]["train"], result["data"]["validation"], result["data"]["test"]) == (12, 4, 4)
    shutil.rmtree(place)
    code, printed, errors = command("table", "own.yaml")
    assert code == 0, errors
    assert "Test accuracy (%) of ConvNet-small on My flowers" in printed


def test_broken_images_are_named_before_anything_runs(place: Path) -> None:
    for number in (1, 3):
        (place / "train" / "rose" / f"{number}.png").write_bytes(b"broken")
    code, _, errors = command("run", "own.yaml", "--data-root", "data")
    (line,) = errors.splitlines()
    assert code == 2
    assert line.endswith(
        "2 of 20 images cannot be decoded: train/rose/1.png (not an image), train/rose/3.png (not an image)"
    )
    assert not list(Path("results").glob("**/attempts/*"))


def test_ids_know_neither_title_nor_place_nor_root(place: Path) -> None:
    first = load_study("own.yaml").runs[0]
    other = load_study("own.yaml", ["dataset.options.title=Roses"]).runs[0]
    assert first.id == other.id == OWN_ID
    assert load_study("own.yaml", ["dataset.options.augment=false"]).runs[0].id == OWN_ID  # the default
    assert load_study("own.yaml", ["dataset.options.size=9"]).runs[0].id != first.id
    assert load_study("own.yaml", ["dataset.options.path=plants"]).runs[0].id != first.id


OWN_ID = "342fc588d906"
"""Pinned: another id would orphan every stored result."""


@pytest.mark.parametrize(("title", "shown"), [("Roses", "Roses"), ("", "flowers")])
def test_tables_call_data_by_title_or_path(title: str, shown: str, place: Path) -> None:
    study = load_study("own.yaml", [f"dataset.options.title='{title}'"])
    assert study_frame(study, Store(Path("results")))["dataset"].tolist() == [shown]


def test_plan_needs_the_data_and_says_so(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    arguments = ("plan", "own.yaml", "--json")
    code, _, errors = in_process(*arguments, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 4
    assert len(errors.splitlines()) == 1
    assert "option path ('flowers') is relative to the data root" in errors
    code, printed, errors = in_process(*arguments, "--data-root", "data", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0, errors
    assert json.loads(printed)["images_to_do"] == 12
    assert not (place / ".prunebench").exists()
    assert data_root() != place.parent


def test_prepare_decodes_what_a_study_names(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, printed, errors = in_process(
        "prepare", "own.yaml", "--data-root", "data", monkeypatch=monkeypatch, capsys=capsys
    )
    assert code == 0, errors
    assert "My flowers: 16 training and 4 test samples of shape 1x8x8" in printed
    assert len([*(place / ".prunebench").iterdir()]) == 1
    for arguments, message in (
        (("image-folder",), "needs options; give the study that sets them"),
        (("own.yaml", "--data-root", "data", "--from", "own.yaml"), "image-folder takes no archive"),
    ):
        code, _, errors = in_process("prepare", *arguments, monkeypatch=monkeypatch, capsys=capsys)
        assert code == 2
        assert message in errors


def test_options_are_refused_with_their_place_in_the_study(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for change, message in (
        ("dataset.options.path=/somewhere", "path is '/somewhere'; it must be relative to the data root"),
        ("dataset.options.channels=2", "channels is 2; it must be one of 1, 3"),
        ("dataset.name=image_folder", "unknown data set 'image_folder'; did you mean 'image-folder'"),
    ):
        code, _, errors = in_process("show", "own.yaml", "--set", change, monkeypatch=monkeypatch, capsys=capsys)
        assert (code, len(errors.splitlines())) == (2, 1)
        assert message in errors


def test_lists_name_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    _, printed, _ = in_process("list", "datasets", "--json", monkeypatch=monkeypatch, capsys=capsys)
    rows = {row["name"]: row for row in json.loads(printed)["datasets"]}
    options = rows["arrays"].pop("options")
    assert list(options) == ["limit", "path", "title", "augment"]
    assert rows["arrays"] == {"name": "arrays", "input": None, "classes": None, "licence": "your own"}
    assert rows["digits"]["input"] == "1x8x8"
    _, printed, _ = in_process("list", "datasets", monkeypatch=monkeypatch, capsys=capsys)
    assert "None" not in printed


def test_a_root_holds_for_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEBENCH_DATA", str(tmp_path / "outer"))
    with reading_from(tmp_path / "inner"):
        assert data_root() == tmp_path / "inner"
    assert data_root() == tmp_path / "outer"
    monkeypatch.delenv("PRUNEBENCH_DATA")
    with reading_from(tmp_path / "inner"):
        assert data_root(tmp_path / "argument") == tmp_path / "argument"
    assert data_root() not in (tmp_path / "inner", tmp_path / "outer")
