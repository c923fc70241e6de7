"""The three archives of ILSVRC 2012, unpacked and sorted by torchvision's own functions."""

from __future__ import annotations

import tarfile
from pathlib import Path

from ...benchmark.api.errors import DataMissing, UserError
from .info import Report


def unpack(source: Path, target: Path, report: Report) -> None:
    """Make train/ and val/ with class folders in `target` from the archives in `source`; takes hours."""
    from torchvision.datasets import imagenet as reader

    parsers = {
        "devkit": reader.parse_devkit_archive,
        "train": reader.parse_train_archive,
        "val": reader.parse_val_archive,
    }
    archives = {part: source.absolute() / reader.ARCHIVE_META[part][0] for part in parsers}
    for path in archives.values():
        if not path.is_file():
            raise DataMissing(
                f"imagenet: {path.name} is missing in {source}; it needs train/ and val/, or "
                f"{', '.join(archive.name for archive in archives.values())} (from image-net.org, with an account)"
            )
    for part, parse in parsers.items():
        report(f"checking and unpacking {archives[part]}")
        try:
            # torchvision joins the two paths, which leaves an absolute second one as it is
            parse(str(target), str(archives[part]))
        except RuntimeError as error:
            expected = reader.ARCHIVE_META[part][1]
            raise UserError(f"{archives[part]} is truncated or not the published file (md5 {expected})") from error
        except (tarfile.TarError, EOFError, OSError, KeyError, ValueError) as error:
            raise UserError(f"{archives[part]} cannot be unpacked in {target.parent}: {error}") from error
