"""Decoding and cropping ImageNet-sized photographs: Pillow beside TorchCodec, as the loader's workers do it.

    python -m prunebench.benchmark.perf.decode [--images 20] [--repeats 7]

Made-up JPEG files of 500 x 375 pixels with the bytes of a usual photograph. One thread, as in a loader's worker.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ...datasets.imagenet import NORMALISATION
from ...datasets.parts.image_folder_split import WORKERS_VARIABLE, ImageFolderSplit
from ...datasets.parts.info import Decoder
from .side_by_side import machine, markdown, median_seconds

DECODERS: tuple[Decoder, ...] = ("pillow", "torchcodec")


def write_photographs(folder: Path, count: int) -> list[str]:
    """Smooth colours with noise: about 60 kB each at quality 90."""
    rng = np.random.default_rng(0)
    names = []
    for index in range(count):
        coarse = rng.normal(128, 60, (12, 16, 3)).clip(0, 255).astype(np.uint8)
        smooth = np.asarray(Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC), dtype=np.float64)
        pixels = (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)
        names.append(f"{index}.jpg")
        Image.fromarray(pixels).save(folder / names[-1], "JPEG", quality=90)
    return names


def one_pass(split: ImageFolderSplit) -> Callable[[], None]:
    def decode() -> None:
        order = torch.Generator().manual_seed(0)
        for _ in split.batches(len(split), device=torch.device("cpu"), order=order, augment=True):
            pass

    return decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ[WORKERS_VARIABLE] = "0"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_photographs(folder, arguments.images)
        targets = torch.zeros(len(files), dtype=torch.int64)
        ways = {
            decoder: one_pass(
                ImageFolderSplit(folder, files, targets, normalisation=NORMALISATION, augments=True, decoder=decoder)
            )
            for decoder in DECODERS
        }
        seconds = median_seconds(ways, arguments.repeats)
    rows = [
        [way, f"{value / len(files) * 1e3:.2f}", f"{seconds['pillow'] / value:.2f}x"] for way, value in seconds.items()
    ]
    print(f"{len(files)} images, medians of {arguments.repeats}; {machine()}\n")
    print(markdown(["decoder", "ms an image", "ratio"], rows))


if __name__ == "__main__":
    main()
