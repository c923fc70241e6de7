"""Bits per byte of networks that predict each next byte of a text: which column holds them, and who has them."""

from __future__ import annotations

from ...datasets.registry import is_text
from ..api.errors import UserError
from ..studies.load import Study

OF_BITS: dict[str, str] = {"last": "of the last epoch", "selected": "of the epoch that validation picks"}
"""The epochs that bits are stored of. None is chosen on the test set."""


def has_bits(study: Study) -> bool:
    """Whether the study's data are a text."""
    return is_text(study.file.dataset.name)


def check_bits(study: Study) -> None:
    """Raises UserError for a study whose data are no text."""
    if not has_bits(study):
        raise UserError(
            f"--kind bits is of texts; the data of study {study.name!r} are {study.file.dataset.name!r}, "
            "which have one class for each sample"
        )


def bits_column(accuracy: str) -> str:
    """The frame's column for the epoch that an accuracy is of. Raises UserError for one that has no bits."""
    if accuracy not in OF_BITS:
        raise UserError(f"--accuracy {accuracy} has no bits per byte; known for --kind bits: {', '.join(OF_BITS)}")
    return f"bits_{accuracy}"
