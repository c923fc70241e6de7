"""`image-folder`: the user's own class folders, what is read from them, and what is refused."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from prunebench.benchmark.api.data import Split
from prunebench.benchmark.api.errors import DataDamaged, DataMissing, MachineError, UserError
from prunebench.datasets import image_folder as own_images
from prunebench.datasets import registry
from prunebench.datasets.parts import decoded_cache
from prunebench.datasets.parts.own_decode import decode

CPU = torch.device("cpu")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache of decoded images."""
    monkeypatch.setattr(decoded_cache, "IN_HOME", tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRUNEBENCH_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def flowers(root: Path) -> Path:
    """Red roses, green grass, each with four training images and one test image, of growing brightness."""
    place = root / "flowers"
    for index in range(4):
        paint(place / "train" / "rose" / f"{index}.png", (200 + index, 0, 0))
        paint(place / "train" / "grass" / f"{index}.png", (0, 100 + index, 0))
    paint(place / "test" / "rose" / "9.png", (250, 0, 0))
    paint(place / "test" / "grass" / "9.png", (0, 150, 0))
    return place


def pixels(split: Split, facts: Mapping) -> torch.Tensor:
    """(n, c, h, w) as in the files: normalisation undone."""
    inputs, _ = split.sample(torch.arange(len(split)), device=CPU)
    mean, std = (torch.tensor(facts["normalisation"][key]).view(-1, 1, 1) for key in ("mean", "std"))
    return ((inputs * std + mean) * 255).round()


def test_classes_by_name_and_pixels_of_the_files(flowers: Path) -> None:
    data = registry.load("image-folder", path="flowers", validation=0)
    assert (data.input_shape, data.num_classes) == ((3, 8, 8), 2)
    assert data.train.targets.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]  # grass before rose
    train = pixels(data.train, data.facts)
    assert train[:, :, 0, 0].tolist() == [[0, 100 + i, 0] for i in range(4)] + [[200 + i, 0, 0] for i in range(4)]
    assert pixels(data.test, data.facts)[:, :, 7, 7].tolist() == [[0, 150, 0], [250, 0, 0]]


def test_normalised_by_the_training_images_which_results_note(flowers: Path) -> None:
    data = registry.load("image-folder", path="flowers", validation=0)
    red = np.array([0, 0, 0, 0, 200, 201, 202, 203]) / 255
    noted = data.facts["normalisation"]
    assert noted["mean"][0] == pytest.approx(red.mean())
    assert noted["std"][0] == pytest.approx(red.std())
    assert noted["std"][2] == 1.0  # there is no blue, so the channel is only centred
    assert data.facts["num_classes"] == 2
    inputs, _ = data.train.sample(torch.arange(8), device=CPU)
    assert inputs[:, :2].mean(dim=(0, 2, 3)).abs().max() < 1e-6
    assert inputs[:, :2].std(dim=(0, 2, 3), correction=0).tolist() == pytest.approx([1, 1])
    half = registry.load("image-folder", path="flowers", validation=0.5)
    assert half.facts["normalisation"] == noted


def test_described_without_torch_or_decoding_all(flowers: Path) -> None:
    info = registry.describe("image-folder", path="flowers", size=4, channels=1, title="My flowers")
    assert (info.title, info.input_shape, info.num_classes) == ("My flowers", (1, 4, 4), 2)
    assert (info.num_train, info.num_test) == (8, 2)
    assert registry.describe("image-folder", path="flowers").input_shape == (3, 8, 8)
    assert registry.train_size("image-folder", 0.25, path="flowers") == 6
    assert not (flowers / ".prunebench").exists()


def test_test_split_cut_by_class_is_fixed(root: Path) -> None:
    for index in range(10):
        paint(root / "leaves" / "oak" / f"{index}.png", (index, 0, 0))
        paint(root / "leaves" / "elm" / f"{index}.png", (0, index, 0))
    options = {"path": "leaves", "test_fraction": 0.3, "validation": 0}
    data = registry.load("image-folder", **options)
    assert (data.train.targets.bincount().tolist(), data.test.targets.bincount().tolist()) == ([7, 7], [3, 3])
    test = pixels(data.test, data.facts)[:, :2, 0, 0].amax(dim=1).int().tolist()
    assert test == TEST_IMAGES
    train = pixels(data.train, data.facts)[:, :2, 0, 0].amax(dim=1).int().tolist()
    assert sorted(train[:7] + test[:3]) == sorted(train[7:] + test[3:]) == list(range(10))


TEST_IMAGES = [1, 4, 5, 2, 3, 8]
"""Which images of elm and oak are in the test split: another cut would orphan every stored result."""


def test_largest_centred_square_is_resized(tmp_path: Path) -> None:
    wide = Image.new("RGB", (12, 4), (255, 0, 0))
    wide.paste((0, 0, 255), (4, 0, 8, 4))
    wide.save(tmp_path / "wide.png")
    image = decode(tmp_path / "wide.png", 3, 2)
    assert image.shape == (3, 2, 2)
    assert image[:, 0, 0].tolist() == [0, 0, 255]
    assert (image == image[:, :1, :1]).all()
    assert decode(tmp_path / "wide.png", 3, 0).shape == (3, 4, 12)


def test_grey_turned_and_transparent(tmp_path: Path) -> None:
    paint(tmp_path / "red.png", (255, 0, 0))
    assert decode(tmp_path / "red.png", 1, 0).tolist() == [[[76] * 8] * 8]  # ITU-R 601: 0.299 * 255
    upright = Image.new("RGB", (4, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF: rotate by 90 degrees
    upright.save(tmp_path / "turned.jpg", exif=exif)
    assert decode(tmp_path / "turned.jpg", 3, 0).shape == (3, 4, 2)
    Image.new("RGBA", (1, 1), (1, 2, 3, 0)).save(tmp_path / "clear.png")
    assert decode(tmp_path / "clear.png", 3, 0).flatten().tolist() == [1, 2, 3]


def test_same_pixels_by_another_way_have_one_fingerprint(flowers: Path) -> None:
    """Images are read from the cache or decoded again after files were touched, moved or linked."""
    first = registry.load("image-folder", path="flowers").fingerprint
    assert registry.load("image-folder", path="flowers").fingerprint == first
    os.utime(flowers / "train" / "rose" / "0.png", (1, 1))
    assert registry.load("image-folder", path="flowers").fingerprint == first
    assert len([*(flowers / ".prunebench").iterdir()]) == 2
    flowers.rename(flowers.with_name("moved"))
    flowers.with_name("link").symlink_to(flowers.with_name("moved"))
    assert registry.load("image-folder", path="link").fingerprint == first
    paint(flowers.with_name("moved") / "train" / "rose" / "0.png", (9, 9, 9))
    assert registry.load("image-folder", path="link").fingerprint != first


def test_second_load_decodes_nothing(flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = registry.load("image-folder", path="flowers", size=6)

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(own_images, "decode_all", refuse)
    assert registry.load("image-folder", path="flowers", size=6).fingerprint == first.fingerprint
    with pytest.raises(AssertionError, match="decoded"):
        registry.load("image-folder", path="flowers", size=5)


@pytest.mark.parametrize("position", [20, -1])
def test_damaged_cache_is_made_anew(position: int, flowers: Path) -> None:
    first = registry.load("image-folder", path="flowers").fingerprint
    (cache,) = (flowers / ".prunebench").iterdir()
    whole = cache.read_bytes()
    damaged = bytearray(whole)
    damaged[position] ^= 1
    cache.write_bytes(damaged)
    assert registry.load("image-folder", path="flowers").fingerprint == first
    assert cache.read_bytes() == whole


def test_cache_lies_in_the_home_folder_where_the_data_cannot_be_written(flowers: Path, home: Path) -> None:
    (flowers / ".prunebench").write_text("in the way")
    first = registry.load("image-folder", path="flowers").fingerprint
    assert len([*home.iterdir()]) == 1
    assert registry.load("image-folder", path="flowers").fingerprint == first


def test_nowhere_to_write_is_the_machines_failure(flowers: Path, home: Path) -> None:
    (flowers / ".prunebench").write_text("in the way")
    home.write_text("in the way")
    with pytest.raises(MachineError, match=r"can be written to neither .*flowers/.prunebench \(.* nor .*home"):
        registry.load("image-folder", path="flowers")


def test_all_broken_files_are_named_at_once(flowers: Path) -> None:
    (flowers / "train" / "rose" / "1.png").write_bytes(b"")
    (flowers / "train" / "rose" / "2.png").write_bytes(b"no image at all")
    stream = io.BytesIO()
    Image.effect_noise((40, 40), 50).save(stream, "JPEG")
    (flowers / "test" / "grass" / "9.jpg").write_bytes(stream.getvalue()[:700])
    Image.new("I;16", (8, 8)).save(flowers / "train" / "grass" / "0.png")
    with pytest.raises(DataDamaged, match="4 of 11 images cannot be decoded") as caught:
        registry.load("image-folder", path="flowers", size=8)
    message = str(caught.value)
    for part in (
        "train/rose/1.png (empty)",
        "train/rose/2.png (not an image)",
        "test/grass/9.jpg (",
        "0.png (more than 8",
    ):
        assert part in message
    assert "\n" not in message
    assert caught.value.exit_code == 2
    assert not (flowers / ".prunebench").exists()


def test_many_broken_files_are_counted(flowers: Path) -> None:
    for index in range(12):
        (flowers / "train" / "rose" / f"x{index:02}.png").write_bytes(b"")
    with pytest.raises(DataDamaged, match="12 of 22 images") as caught:
        registry.load("image-folder", path="flowers", size=8)
    assert str(caught.value).count("(empty)") == 10
    assert str(caught.value).endswith("and 2 more")


def test_other_sizes_are_refused_without_size(flowers: Path) -> None:
    paint(flowers / "test" / "rose" / "wide.png", (1, 1, 1), size=(9, 8))
    with pytest.raises(DataDamaged, match=r"1 of 11 .* \(8x8\): test/rose/wide.png \(8x9\); option size"):
        registry.load("image-folder", path="flowers")
    assert registry.load("image-folder", path="flowers", size=8).input_shape == (3, 8, 8)


def test_hidden_files_and_notes_beside_classes_are_left_out_and_links_followed(flowers: Path, root: Path) -> None:
    (flowers / "README.md").write_text("about")
    (flowers / "train" / "labels.csv").write_text("about")
    (flowers / "train" / ".DS_Store").write_text("Mac")
    (flowers / "train" / "rose" / "._0.png").write_text("Mac")
    (flowers / ".git").mkdir()
    paint(root / "elsewhere.png", (5, 5, 5))
    (flowers / "train" / "rose" / "link.png").symlink_to(root / "elsewhere.png")
    assert registry.describe("image-folder", path="flowers").num_train == 9
    assert len(registry.load("image-folder", path="flowers", validation=0).train) == 9


def spoil(place: Path, how: str) -> None:
    rose = place / "train" / "rose"
    if how == "empty class":
        (place / "train" / "tulip").mkdir()
        (place / "test" / "tulip").mkdir()
    if how == "lost link":
        (rose / "lost.png").symlink_to("nowhere.png")
    if how == "text":
        (rose / "notes.txt").write_text("about")
    if how == "nested":
        (rose / "more").mkdir()
    if how == "pipe":
        os.mkfifo(rose / "pipe.png")
    if how == "loose":
        paint(place / "train" / "loose.png", (1, 1, 1))
    if how == "train only":
        paint(place / "train" / "tulip" / "0.png", (1, 1, 1))
    if how == "test only":
        paint(place / "test" / "tulip" / "0.png", (1, 1, 1))
    if how == "val":
        paint(place / "val" / "rose" / "0.png", (1, 1, 1))
    if how == "no test":
        (place / "test").rename(place / "tests")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty class", r"train/tulip has no images"),
        ("lost link", r"1 problem\(s\): train/rose/lost.png is a link to nothing"),
        ("text", r"train/rose/notes.txt is not an image by its name"),
        ("nested", r"train/rose/more is a folder in a class folder"),
        ("pipe", r"train/rose/pipe.png is no regular file"),
        ("loose", r"train/loose.png is an image in no class folder"),
        ("train only", r"classes in train only: tulip"),
        ("test only", r"classes in test only: tulip"),
        ("val", r"holds the folders test, train, val; it must hold train and test and no other"),
        ("no test", r"holds the folders tests, train; it must hold train and test"),
    ],
)
def test_what_does_not_fit_is_named(how: str, message: str, flowers: Path) -> None:
    spoil(flowers, how)
    with pytest.raises(DataDamaged, match=message):
        registry.describe("image-folder", path="flowers")


def test_classes_too_small_to_cut_are_named(flowers: Path, root: Path) -> None:
    for index in range(1, 4):
        (flowers / "train" / "rose" / f"{index}.png").unlink()
    for call in (
        registry.train_size,
        lambda name, validation, path: registry.load(name, validation=validation, path=path),
    ):
        with pytest.raises(DataDamaged, match="only one training sample of rose; training and validation"):
            call("image-folder", 0.1, path="flowers")
    assert len(registry.load("image-folder", path="flowers", validation=0).train) == 5
    with pytest.raises(DataDamaged, match="one image only of rose; training and test"):
        registry.describe("image-folder", path="flowers/train", test_fraction=0.5)
    (flowers / "train" / "rose").rename(root / "roses")
    with pytest.raises(DataDamaged, match="has 1 class folders; there must be at least 2"):
        registry.describe("image-folder", path="flowers/train", test_fraction=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs the option path"),
        ({"path": "/data/flowers"}, "path is '/data/flowers'; it must be relative to the data root"),
        ({"path": "../flowers"}, "must be relative"),
        ({"path": "./flowers"}, "must be relative"),
        ({"path": "flowers/"}, "must be relative"),
        ({"path": "~/flowers"}, "must be relative"),
        ({"path": 3}, "path is 3"),
        ({"path": "flowers", "size": -1}, "size is -1"),
        ({"path": "flowers", "size": 8.0}, "size is 8.0"),
        ({"path": "flowers", "channels": 4}, "channels is 4; it must be one of 1, 3"),
        ({"path": "flowers", "channels": True}, "channels is True"),
        ({"path": "flowers", "test_fraction": 0.2}, "test_fraction is 0.2, but .* has a folder train"),
        ({"path": "flowers", "test_fraction": 1}, "test_fraction is 1; it must be a finite number > 0 and < 1"),
        ({"path": "flowers/train"}, "option test_fraction says how much"),
        ({"path": "flowers", "augment": "yes"}, "augment is 'yes'; it must be true or false"),
        ({"path": "flowers", "augment": True, "size": 4}, r"augment pads by 4 pixels; images of \(4, 4\)"),
        ({"path": "flowers", "title": "a\nb"}, "title is .*one line"),
        ({"path": "flowers", "sise": 3}, "unknown option of data set 'image-folder' 'sise'; did you mean 'size'"),
        ({"path": "flowers/train/rose/0.png"}, "is not a folder"),
    ],
)
def test_options_that_make_no_sense(options: dict, message: str, flowers: Path) -> None:
    with pytest.raises(UserError, match=message) as caught:
        registry.describe("image-folder", **options)
    assert caught.value.exit_code == 2


def test_missing_folder_says_where_it_is_looked_for(root: Path) -> None:
    with pytest.raises(
        DataMissing, match=f"{root}/flowers does not exist; option path .'flowers'. is relative"
    ) as caught:
        registry.describe("image-folder", path="flowers")
    assert caught.value.exit_code == 4


def test_augmented_as_cifar(flowers: Path) -> None:
    order = torch.Generator().manual_seed(0)
    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(flowers / "train" / "rose" / "0.png")
    for augment, is_moved in ((False, False), (True, True)):
        data = registry.load("image-folder", path="flowers", augment=augment, validation=0)
        whole, _ = data.train.sample(torch.arange(8), device=CPU)
        inputs, _ = next(data.train.batches(8, device=CPU, order=order, augment=True))
        assert inputs.shape == (8, 3, 8, 8)
        found = any(torch.equal(each, whole[4]) for each in inputs)
        assert found != is_moved
