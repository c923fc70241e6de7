"""The English text that Python carries: the chapters of its reference that `help()` shows. No download."""

from __future__ import annotations

import functools
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from ..benchmark.api.errors import DataMissing, UserError
from .parts.in_memory import Arrays, ResidentDataSet, whole_fingerprint
from .parts.info import DataSetInfo, Normalisation, Report
from .parts.text import Texts

if TYPE_CHECKING:
    from pydantic import Field

TEST_EVERY = 5
"""Of the topics by size, this one and each after as many more are the test set."""
LEAST_COMPARED = 40
"""Characters of a paragraph that may be there once only; shorter ones are headings, rules and single words."""


@dataclass(frozen=True, kw_only=True)
class PythonText(ResidentDataSet):
    """The topics of `help()` (the module pydoc_data.topics) as bytes, in windows; each next byte is to be predicted.

    Topics repeat each other: "compound" holds "if", "for" and "while". Every paragraph is kept once, in the largest
    topic that has it, and whole topics are cut into the splits, so that no paragraph of 40 characters or more is in two
    of them. Sentences that were changed a little are not found: with Python 3.11, 0.4 % of pieces of 64 bytes of the
    test are in the training or validation topics too. The text differs between versions of Python. The result records
    the version, and results of other text are not compared: it has another fingerprint.

    Args:
        context: bytes of a window. Windows follow one another; what is left of a topic is left out.
    """

    is_text: ClassVar[bool] = True

    context: Annotated[int, Field(ge=2, le=4096)] = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        self._texts().check_sizes("python-text")

    def describe(self) -> DataSetInfo:
        return self._texts().info(
            name="python-text",
            title="Python's help",
            licence="PSF-2.0 (Python's documentation)",
            source="pydoc_data.topics of the Python that runs",
        )

    def _texts(self) -> Texts:
        train, test = _split_topics()
        return Texts(train, test, self.context)

    def read(self, root: Path) -> Arrays:
        return self._texts().arrays()

    def train_size(self, validation: float) -> int | None:
        import numpy as np

        from .parts.in_memory import cut

        groups = self._texts().groups()
        return len(cut(np.zeros(len(groups), dtype=np.int64), validation, self.limit, groups)[0])

    def recorded(self, info: DataSetInfo, normalisation: Normalisation | None) -> dict[str, Any]:
        """Which text it is."""
        return {"text": f"Python {platform.python_version()}"}

    def place(self, root: Path) -> Path:
        """The file of the topics, in Python's library."""
        from pydoc_data import topics

        return Path(topics.__file__)

    def check(self, root: Path) -> list[str]:
        info, arrays = self.describe(), self.verified(root)
        return [
            f"python-text: {info.num_train} training and {info.num_test} test windows of {self.context} bytes",
            f"python-text: the text of Python {platform.python_version()}; fingerprint {whole_fingerprint(arrays)}",
            f"python-text: licence: {info.licence}; source: {info.source}",
        ]

    def prepare(self, root: Path, archive: Path | None, report: Report) -> Path:
        """Nothing to fetch."""
        if archive is not None:
            raise UserError(f"python-text takes no archive ({archive}): it comes with Python")
        return self.place(root)


@functools.cache
def _split_topics() -> tuple[list[bytes], list[bytes]]:
    """Topics for training and validation, and for the test: of the largest first, every fifth."""
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataMissing("python-text: this Python has no module pydoc_data.topics, which holds the text") from error
    texts = [text.encode() for text in once(topics).values() if text]
    texts.sort(key=lambda text: (-len(text), text))
    test = texts[TEST_EVERY - 1 :: TEST_EVERY]
    return [text for index, text in enumerate(texts) if index % TEST_EVERY != TEST_EVERY - 1], test


def once(topics: Mapping[str, str]) -> dict[str, str]:
    """Topics without paragraphs that a larger topic has already."""
    seen: set[str] = set()
    kept: dict[str, str] = {}
    for name in sorted(topics, key=lambda name: (-len(topics[name]), name)):
        own = []
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            words = " ".join(paragraph.split())
            if len(words) >= LEAST_COMPARED:
                if words in seen:
                    continue
                seen.add(words)
            own.append(paragraph)
        kept[name] = "\n\n".join(own)
    return kept
