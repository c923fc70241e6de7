"""Image files as one array of bytes, decoded by Pillow in threads; every file that cannot be decoded is named."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from ...benchmark.api.errors import DataDamaged
from .own_data import some

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODES = {1: "L", 3: "RGB"}
AT_ONCE = 256  # files: what has been decoded and not yet been put in its place


def decode_all(
    files: Sequence[Path], shown: Sequence[str], *, channels: int, size: int, folder: Path
) -> NDArray[np.uint8]:
    """(n, channels, height, width) of the files; `shown` are their names in messages, `size` as of `decode`.

    Raises DataDamaged naming those that cannot be decoded, and those that are not of the first one's size.
    """
    import numpy as np

    images: NDArray[np.uint8] | None = None
    broken, others = [], []
    for index, image in enumerate(_decoded(files, channels, size)):
        if isinstance(image, str):
            broken.append(f"{shown[index]} ({image})")
        elif images is None:
            images = np.empty((len(files), *image.shape), dtype=np.uint8)
            images[index] = image
        elif image.shape != images.shape[1:]:
            others.append(f"{shown[index]} ({image.shape[1]}x{image.shape[2]})")
        else:
            images[index] = image
    if broken:
        raise DataDamaged(
            f"image-folder: {folder}: {len(broken)} of {len(files)} images cannot be decoded: {some(broken)}"
        )
    if others or images is None:
        usual = "" if images is None else f"{images.shape[2]}x{images.shape[3]}"
        raise DataDamaged(
            f"image-folder: {folder}: {len(others)} of {len(files)} images are not of the first one's size ({usual}): "
            f"{some(others)}; option size resizes all"
        )
    return images


def _decoded(files: Sequence[Path], channels: int, size: int) -> Iterator[NDArray[np.uint8] | str]:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for start in range(0, len(files), AT_ONCE):
            yield from pool.map(lambda path: attempt(path, channels, size), files[start : start + AT_ONCE])


def attempt(path: Path, channels: int, size: int) -> NDArray[np.uint8] | str:
    """The image as of `decode`, or why it has none."""
    from PIL import Image, UnidentifiedImageError

    try:
        return decode(path, channels, size)
    except UnidentifiedImageError:
        return "empty" if path.stat().st_size == 0 else "not an image"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # OSError of the system has the path in its text
        return getattr(error, "strerror", None) or str(error)


def decode(path: Path, channels: int, size: int) -> NDArray[np.uint8]:
    """(channels, height, width); turned as its EXIF tag says, transparency dropped.

    `size` is height and width of the result: the largest centred square is resized to it, bilinear and antialiased.
    0 leaves images as they are. Raises what Pillow raises, and ValueError for more than 8 bits a channel.
    """
    import numpy as np
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        if file.mode.startswith(("I", "F")):
            raise ValueError(f"more than 8 bits a channel, mode {file.mode}")
        image = ImageOps.exif_transpose(file)
        if "transparency" in image.info:
            image = image.convert("RGBA")
        image = image.convert(MODES[channels])
    if size:
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        # cut first: resizing a box of an image would mix in what lies around the box
        image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
