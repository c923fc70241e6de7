"""A split of image files, decoded and augmented by worker processes; for sets that do not fit in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from ...benchmark.api.data import check_augmenting, check_batching, shares
from ...benchmark.api.errors import DataDamaged, UserError
from ...benchmark.api.transfer import send
from .decode_workers import num_workers, restore_signals
from .info import Decoder, Normalisation
from .side_stream import SideStream

CROP = 224  # pixels
SHORT_SIDE = 256
LARGEST_SEED = 2**62

# Both take image objects and tensors of uint8, and give tensors of uint8.
_CENTRE = v2.Compose([v2.Resize(SHORT_SIDE), v2.CenterCrop(CROP), v2.ToImage(), v2.ToPureTensor()])
_RANDOM = v2.Compose([v2.RandomResizedCrop(CROP), v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToPureTensor()])


class ImageFolderSplit:
    """Images by path, as (n, 3, 224, 224): the centre of the image, or a random crop and flip for training.

    Results do not depend on the number of workers: each augmented image has its own seed, drawn from the pass's
    generator, and the crop is drawn from that seed wherever the image is decoded.
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[str],
        targets: Tensor,
        *,
        normalisation: Normalisation,
        augments: bool,
        decoder: Decoder = "pillow",
    ) -> None:
        self._images = _Images(folder, files, decoder)
        self._targets = targets
        self._normalisation = normalisation
        self._augments = augments
        self._loaders: dict[tuple[bool, bool], tuple[_Pass, DataLoader]] = {}
        self._constants: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def targets(self) -> Tensor:
        return self._targets

    def sample(self, indices: Tensor, *, device: torch.device) -> tuple[Tensor, Tensor]:
        chosen = indices.cpu()
        # threads, because decoding releases the interpreter's lock, and starting processes would take longer
        with ThreadPoolExecutor(max(1, num_workers())) as pool:
            decoded = _stack([*pool.map(self._images.__getitem__, ((index, None) for index in chosen.tolist()))])
        return self._normalise(_unless_error(decoded), device), send(self._targets[chosen], device)

    def batches(
        self,
        batch_size: int,
        *,
        device: torch.device,
        order: torch.Generator | None = None,
        augment: bool = False,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        check_batching(len(self), batch_size, drop_last, rank, world)
        check_augmenting(augment, order)
        augmented = augment and self._augments
        permutation = torch.arange(len(self)) if order is None else torch.randperm(len(self), generator=order)
        seeds = torch.randint(LARGEST_SEED, (len(self),), generator=order) if augmented else None
        bounds = [*shares(len(self), batch_size, drop_last, rank, world)]
        return self._decoded(permutation, seeds, bounds, device)

    def _decoded(
        self, permutation: Tensor, seeds: Tensor | None, bounds: list[tuple[int, int]], device: torch.device
    ) -> Iterator[tuple[Tensor, Tensor]]:
        batches, loader = self._loader(augmented=seeds is not None, pinned=device.type == "cuda")
        batches.start(permutation, seeds, bounds)
        targets = send(self._targets[permutation], device)
        side = SideStream(device) if device.type == "cuda" else None
        for (start, stop), decoded in zip(bounds, loader, strict=True):
            work = partial(self._normalise, _unless_error(decoded), device)
            yield work() if side is None else side.make(work), targets[start:stop]

    def _normalise(self, decoded: Tensor, device: torch.device) -> Tensor:
        """uint8 goes to the device, a quarter of the bytes of float32, and is normalised there."""
        mean, std = self._constants_on(device)
        inputs = send(decoded, device).to(torch.float32).div_(self._normalisation.maximum)
        return inputs.sub_(mean).div_(std)

    def _constants_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the channels, copied once."""
        if device not in self._constants:
            values = (self._normalisation.mean, self._normalisation.std)
            mean, std = (torch.tensor(value, device=device).view(-1, 1, 1) for value in values)
            self._constants[device] = (mean, std)
        return self._constants[device]

    def _loader(self, *, augmented: bool, pinned: bool) -> tuple[_Pass, DataLoader]:
        if (augmented, pinned) not in self._loaders:
            batches, workers = _Pass(), num_workers()
            loader = DataLoader(
                self._images,
                batch_sampler=batches,
                num_workers=workers,
                collate_fn=_stack,
                pin_memory=pinned,
                # of the training split only: idle workers of the others would double the memory in use
                persistent_workers=augmented and workers > 0,
                worker_init_fn=restore_signals,
                # its own, or the loader would draw its base seed from the global random state
                generator=torch.Generator(),
            )
            self._loaders[augmented, pinned] = (batches, loader)
        return self._loaders[augmented, pinned]


class _Pass:
    """The batch sampler of a loader that outlives its passes: lists of (index, seed), made when asked for."""

    def __init__(self) -> None:
        self._permutation = torch.empty(0, dtype=torch.int64)
        self._seeds: Tensor | None = None
        self._bounds: list[tuple[int, int]] = []

    def start(self, permutation: Tensor, seeds: Tensor | None, bounds: list[tuple[int, int]]) -> None:
        self._permutation, self._seeds, self._bounds = permutation, seeds, bounds

    def __len__(self) -> int:
        return len(self._bounds)

    def __iter__(self) -> Iterator[list[tuple[int, int | None]]]:
        for start, stop in self._bounds:
            indices = self._permutation[start:stop].tolist()
            seeds = [None] * len(indices) if self._seeds is None else self._seeds[start:stop].tolist()
            yield [*zip(indices, seeds, strict=True)]


class _Images(Dataset):
    """Decodes one image. Paths are one array: a list of a million strings is copied bit by bit into every worker."""

    def __init__(self, folder: Path, files: Sequence[str], decoder: Decoder) -> None:
        self._folder = folder
        self._open = torchcodec_opener() if decoder == "torchcodec" else _open_by_pillow
        self._files = np.array([os.fsencode(file) for file in files], dtype=np.bytes_)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, item: tuple[int, int | None]) -> Tensor | UserError:
        """(3, 224, 224) uint8; an error is returned: raised in a worker, it would arrive with its whole traceback."""
        index, seed = item
        path = self._folder / os.fsdecode(self._files[index])
        try:
            image = self._open(path)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            return DataDamaged(f"{path} cannot be decoded: {error}")
        if seed is None:
            return _CENTRE(image)
        with torch.random.fork_rng(devices=[]):
            # not torch.manual_seed, which would seed the GPU of the process as well
            torch.default_generator.manual_seed(seed)
            return _RANDOM(image)


def _open_by_pillow(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return file.convert("RGB")


def torchcodec_opener() -> Callable[[Path], Tensor | Image.Image]:
    """Decodes to (3, h, w) uint8. Raises UserError if the package is missing or does not fit this torch."""
    try:
        from torchcodec.decoders import decode_image
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"decoder 'torchcodec' needs `pip install prunebench[images]` ({reason})") from error
    return partial(_open_by_torchcodec, decode_image)


def _open_by_torchcodec(decode: Callable[[Path], Tensor], path: Path) -> Tensor | Image.Image:
    """A file that TorchCodec cannot decode, of another format or broken, goes to Pillow, whose error says why."""
    try:
        return decode(path)
    except (RuntimeError, ValueError):
        return _open_by_pillow(path)


def _unless_error(decoded: Tensor | UserError) -> Tensor:
    if isinstance(decoded, UserError):
        raise decoded
    return decoded


def _stack(images: list[Tensor | UserError]) -> Tensor | UserError:
    decoded: list[Tensor] = []
    for image in images:
        if isinstance(image, UserError):
            return image
        decoded.append(image)
    return torch.stack(decoded) if decoded else torch.empty(0, 3, CROP, CROP, dtype=torch.uint8)
