"""ImageNet from small class folders: order, crops, workers, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from prunebench.benchmark.api.errors import DataMissing, UserError
from prunebench.datasets import registry
from prunebench.datasets.imagenet import ImageNet
from prunebench.datasets.parts.listing import list_images
from torchvision import transforms
from torchvision.datasets import ImageFolder

CPU = torch.device("cpu")
CLASSES = ("n01440764", "n01443537", "n01484850")
TRAIN, TEST = 8, 3  # images of a class
NORMALISE = transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])


def write_image(path: Path, seed: int, *, grey: bool = False) -> None:
    """A small JPEG of random colour fields, portrait or landscape, of various sizes."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((40 + seed % 7, 30 + seed % 30))
    path.parent.mkdir(parents=True, exist_ok=True)
    (image.convert("L") if grey else image).save(path, "JPEG")


def write_folders(root: Path) -> Path:
    """train/ and val/ with three classes; one image is grey, and one name is in capitals."""
    for part, count in (("train", TRAIN), ("val", TEST)):
        for label, name in enumerate(CLASSES):
            for index in range(count):
                suffix = "JPEG" if index else "jpg"
                path = root / part / name / f"{part}_{index}.{suffix}"
                write_image(path, seed=100 * label + index, grey=index == 1)
    return root


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = replace(ImageNet.facts, num_classes=3, num_train=3 * TRAIN, num_test=3 * TEST)
    monkeypatch.setattr(ImageNet, "facts", facts)
    monkeypatch.setenv("PRUNEBENCH_WORKERS", "0")


@pytest.fixture
def small(tmp_path: Path, accepted: None) -> Path:
    write_folders(tmp_path / "imagenet")
    return tmp_path


def augmented_pass(
    root: Path, *, rank: int = 0, world: int = 1, decoder: str = "pillow"
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    split = registry.load("imagenet", root=root, validation=0, decoder=decoder).train
    return split.batches(10, device=CPU, order=torch.Generator().manual_seed(3), augment=True, rank=rank, world=world)


def test_listing_is_torchvision_s(tmp_path: Path) -> None:
    folder = write_folders(tmp_path) / "train"
    (folder / CLASSES[0] / "._train_0.jpg").write_bytes(b"left by a Mac")
    (folder / CLASSES[0] / "notes.txt").write_bytes(b"")
    listing = list_images(folder)
    (folder / CLASSES[0] / "._train_0.jpg").unlink()
    reference = ImageFolder(str(folder))
    assert [(str(folder / file), label) for file, label in zip(listing.files, listing.targets, strict=True)] == (
        reference.samples
    )
    assert list(listing.classes) == reference.classes


def test_evaluation_images_are_those_of_torchvision(small: Path) -> None:
    pipeline = transforms.Compose(
        [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), NORMALISE]
    )
    reference = ImageFolder(str(small / "imagenet" / "val"), pipeline)
    data = registry.load("imagenet", root=small)
    inputs, targets = next(data.test.batches(9, device=CPU))
    assert torch.equal(inputs, torch.stack([reference[index][0] for index in range(9)]))
    assert targets.tolist() == reference.targets
    assert torch.equal(data.test.sample(torch.tensor([8, 2]), device=CPU)[0], inputs[[8, 2]])


def test_training_images_are_those_of_torchvision_for_the_same_draws(small: Path) -> None:
    order = torch.Generator().manual_seed(3)
    permutation = torch.randperm(24, generator=order)
    seeds = torch.randint(2**62, (24,), generator=order).tolist()
    pipeline = transforms.Compose(
        [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(), NORMALISE]
    )
    reference = ImageFolder(str(small / "imagenet" / "train"), pipeline)
    inputs, targets = next(augmented_pass(small))
    for place in range(10):
        with torch.random.fork_rng():
            torch.manual_seed(seeds[place])
            expected, label = reference[int(permutation[place])]
        assert torch.equal(inputs[place], expected)
        assert targets[place] == label


def test_torchcodec_decodes_the_same_images(small: Path) -> None:
    """TorchCodec rounds differently, and also reads files that are no JPEG, of which ImageNet has a few."""
    odd = small / "imagenet" / "val" / CLASSES[0] / "val_2.JPEG"
    Image.open(odd).convert("CMYK").save(odd, "JPEG")
    Image.open(odd.with_name("val_1.JPEG")).save(odd.with_name("val_1.JPEG"), "PNG")
    inputs = {
        decoder: next(registry.load("imagenet", root=small, decoder=decoder).test.batches(9, device=CPU))[0]
        for decoder in ("pillow", "torchcodec")
    }
    assert inputs["torchcodec"].shape == (9, 3, 224, 224)
    # one grey level is 1 / 255 / 0.225 = 0.0174
    differences = (inputs["pillow"] - inputs["torchcodec"]).abs().amax(dim=(1, 2, 3))
    assert differences.max() < 4 * 0.0176
    assert differences.max() > 0
    with pytest.raises(UserError, match="decoder is 'turbo'; it must be one of pillow, torchcodec"):
        registry.load("imagenet", root=small, decoder="turbo")


def test_a_missing_decoder_is_named(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(UserError, match=r"decoder 'torchcodec' needs `pip install prunebench\[images\]`"):
        registry.load("imagenet", root=small, decoder="torchcodec")


def test_workers_and_ranks_change_nothing(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_rng_state()
    alone = [*augmented_pass(small)]
    assert torch.equal(before, torch.get_rng_state())
    monkeypatch.setenv("PRUNEBENCH_WORKERS", "2")
    split = registry.load("imagenet", root=small, validation=0).train
    for _ in range(2):  # the second pass uses the same workers
        order = torch.Generator().manual_seed(3)
        together = [*split.batches(10, device=CPU, order=order, augment=True)]
        assert all(
            torch.equal(a, b)
            for one, other in zip(alone, together, strict=True)
            for a, b in zip(one, other, strict=True)
        )
    assert torch.equal(before, torch.get_rng_state())
    monkeypatch.setenv("PRUNEBENCH_WORKERS", "0")
    ranks = [[*augmented_pass(small, rank=rank, world=2)] for rank in range(2)]
    for step, (inputs, _) in enumerate(alone):
        assert torch.equal(inputs, torch.cat([batches[step][0] for batches in ranks]))


def test_a_pass_that_was_left_does_not_disturb_the_next(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEBENCH_WORKERS", "1")
    split = registry.load("imagenet", root=small, validation=0).train
    passes = [split.batches(4, device=CPU, order=torch.Generator().manual_seed(1), augment=True) for _ in range(2)]
    first = next(passes[0])
    again = next(passes[1])
    assert torch.equal(first[0], again[0])


def test_validation_and_limit(small: Path) -> None:
    data = registry.load("imagenet", root=small, validation=0.25, limit=9)
    assert data.validation.targets.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.train.targets.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(registry.load("imagenet", root=small, validation=0).validation) == 0
    first, again, other = (registry.load("imagenet", root=small, limit=limit).fingerprint for limit in (9, 9, 12))
    assert first == again != other


def test_validation_is_not_augmented(small: Path) -> None:
    split = registry.load("imagenet", root=small, validation=0.25).validation
    orders = [torch.Generator().manual_seed(1) for _ in range(2)]
    plain, augmented = (
        next(split.batches(6, device=CPU, order=order, augment=augment))[0]
        for order, augment in zip(orders, (False, True), strict=True)
    )
    assert torch.equal(plain, augmented)


@pytest.mark.parametrize("decoder", ["pillow", "torchcodec"])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_image_that_does_not_decode_is_one_line_with_its_name(
    small: Path, monkeypatch: pytest.MonkeyPatch, workers: str, decoder: str
) -> None:
    monkeypatch.setenv("PRUNEBENCH_WORKERS", workers)
    broken = small / "imagenet" / "train" / CLASSES[1] / "train_3.JPEG"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(UserError, match=r"n01443537/train_3\.JPEG cannot be decoded") as caught:
        for _ in augmented_pass(small, decoder=decoder):
            pass
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"train_3\.JPEG cannot be decoded"):
        registry.check("imagenet", root=small)


def test_unsorted_validation_images_are_recognised(small: Path) -> None:
    val = small / "imagenet" / "val"
    for path in [*val.glob("*/*")]:
        path.replace(val / f"{path.parent.name}_{path.name}")
    for name in CLASSES:
        (val / name).rmdir()
    with pytest.raises(UserError, match="val has 9 files and no class folders: images must be sorted"):
        registry.load("imagenet", root=small)


def test_wrong_folders_are_refused(small: Path) -> None:
    place = small / "imagenet"
    (place / "val" / CLASSES[2]).rename(place / "val" / "n09999999")
    with pytest.raises(UserError, match="n01484850 is in only one of"):
        registry.load("imagenet", root=small)
    (place / "val" / "n09999999").rename(place / "val" / "shark")
    with pytest.raises(UserError, match="shark is not named by a WordNet id"):
        registry.load("imagenet", root=small)
    (place / "train" / "n09999999").mkdir()
    with pytest.raises(UserError, match="n09999999 has no images"):
        registry.load("imagenet", root=small)
    write_image(place / "train" / "n09999999" / "train_0.JPEG", seed=0)
    with pytest.raises(UserError, match="4 class folders, not 3"):
        registry.load("imagenet", root=small)


def test_missing_images_are_counted(small: Path) -> None:
    (small / "imagenet" / "train" / CLASSES[0] / "train_5.JPEG").unlink()
    with pytest.raises(UserError, match="train has 23 images, not 24"):
        registry.load("imagenet", root=small)


@pytest.mark.usefixtures("accepted")
def test_missing_folder_and_copy_at_the_root(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"train/ is missing in .*imagenet; its authors ask for an account"):
        registry.load("imagenet", root=tmp_path)
    write_folders(tmp_path)
    assert len(registry.load("imagenet", root=tmp_path).test) == 9


def test_check_decodes_and_counts(small: Path) -> None:
    lines = registry.check("imagenet", root=small)
    assert "24 training and 9 test images" in lines[0]
    assert "3 classes, the same in train/ and val/; 9 images of each decoded" in lines[1]


def test_whoever_misses_imagenet_is_told_the_same(tmp_path: Path) -> None:
    """`doctor` and `prepare --check` ask `check`; neither sends anyone to a download that does not exist."""
    for ask in (registry.check, registry.prepare):
        with pytest.raises(DataMissing) as caught:
            ask("imagenet", root=tmp_path)
        assert "its authors ask for an account" in str(caught.value)
        assert "prepare imagenet --from FOLDER" in str(caught.value)
        assert "on a machine with internet" not in str(caught.value)
